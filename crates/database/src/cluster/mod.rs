//! A private Postgres cluster: made once, reached by a unix socket only, started again when it dies, and
//! ended with this process whatever ends it.

mod binaries;
mod error;
mod make;
mod postmaster;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

pub use binaries::{Binaries, find_binaries};
pub use error::ClusterError;
use postmaster::Postmaster;

/// The superuser, for this process's own user only (peer authentication).
const ADMIN: &str = "slipway_admin";
const DATABASE: &str = "slipway";
/// The port only names the socket's file.
const PORT: u16 = 5432;
/// After kill -9 with much to recover it takes a while.
const START: Duration = Duration::from_secs(120);

/// Where a cluster lies and who it belongs to.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Folder of the cluster; made where it is missing.
    pub data: PathBuf,
    /// Folder of the socket; its path has at most 80 bytes.
    pub socket: PathBuf,
    /// User and group that run it; needed by root, which Postgres refuses to be run by.
    pub owner: Option<(u32, u32)>,
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    socket: PathBuf,
    postmaster: Postmaster,
}

impl Cluster {
    /// Makes the cluster where it is missing, starts it, and waits until it answers.
    ///
    /// # Errors
    /// Postgres is not installed or has another version than the data, or it does not come up.
    pub async fn start(options: ClusterOptions) -> Result<Self, ClusterError> {
        let prepared = options.clone();
        let binaries = tokio::task::spawn_blocking(move || make::prepare(&prepared)).await;
        let binaries =
            binaries.map_err(|error| ClusterError::io("preparing", std::io::Error::other(error)))??;
        let postmaster = Postmaster::start(&binaries, &options)?;
        let cluster = Self { socket: options.socket, postmaster };
        match cluster.come_up().await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                cluster.stop().await;
                Err(error)
            }
        }
    }

    /// The database, as somebody who may do everything.
    #[must_use]
    pub fn admin_url(&self) -> String {
        admin_url(&self.socket)
    }

    /// Ends it, as `pg_ctl stop -m fast` does, and waits.
    pub async fn stop(self) {
        let _ = tokio::task::spawn_blocking(move || self.postmaster.stop()).await;
    }

    async fn come_up(&self) -> Result<(), ClusterError> {
        let deadline = Instant::now() + START;
        loop {
            let error = match PgConnection::connect_with(&admin(&self.socket, "postgres")).await {
                Ok(connection) => return make_database(connection).await.map_err(ClusterError::Sql),
                Err(error) => error,
            };
            if Instant::now() > deadline || self.postmaster.keeps_failing() {
                return Err(ClusterError::NotUp(error));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The database of a cluster whose socket is in that folder, as somebody who may do everything: only for who runs it.
#[must_use]
pub fn admin_url(socket: &Path) -> String {
    admin(socket, DATABASE).to_url_lossy().to_string()
}

async fn make_database(mut connection: PgConnection) -> Result<(), sqlx::Error> {
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(DATABASE)
        .fetch_one(&mut connection)
        .await?;
    if !there {
        sqlx::raw_sql("CREATE DATABASE slipway").execute(&mut connection).await?;
    }
    connection.close().await
}

fn admin(socket: &Path, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass().socket(socket).port(PORT).username(ADMIN).database(database)
}
