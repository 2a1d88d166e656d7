//! The only SQL of the project. In: typed calls of server, worker and publisher. Out: rows as values of
//! `model`. Deliberately absent: what to do about them. The moves themselves are functions in
//! `migrations/`, so that no role can make one that is not allowed.

pub mod backup;
mod cache;
pub mod cluster;
mod credentials;
mod deliveries;
mod error;
mod hints;
mod hooks;
mod inbox;
mod logs;
pub mod migrate;
mod outbox;
mod pool;
mod publisher;
mod pushes;
mod registries;
mod rescuer;
mod retention;
mod run_list;
mod runs;
mod sources;
mod statistics;
mod steps;
mod stores;
mod tasks;
mod tokens;
mod worker;
mod workers;

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use crate::pool::{Patience, Pool};
pub use cache::{CacheEntry, CacheLayer};
pub use credentials::{CredentialRow, NewCredential, PutCredential, SealedCredential, Under};
pub use deliveries::{DeliveryContent, DeliveryRow, DeliveryStatus, NewDelivery, Received, TaskDecision};
pub use error::Error;
pub use hints::{Hint, Hints, Moved};
pub use hooks::{HookRow, HookSecrets, NewHook};
pub use inbox::{Inbox, Worked, WorkedOff};
pub use logs::LogSlice;
pub use outbox::{GoneReceiver, OUTBOX_TRIES, OutboxRow, Report, ReportRow};
pub use publisher::{
    AfterFailure, BlobState, LeasedPublication, LeasedSource, ManifestTag, PublicationImage,
    PublicationLease, Work, WorkBlob,
};
pub use pushes::Pushed;
pub use registries::{Deleted, NewRegistry, Registry};
pub use rescuer::Rescued;
pub use retention::{Forget, Keep};
pub use run_list::{RunFilter, RunPage};
pub use runs::{Cancel, CreateRun, NewRun, RunRow, SkippedTag};
pub use statistics::{QueueStatistics, Statistics};
pub use steps::{AttemptRow, MAX_VERTEX_NAME, MAX_VERTICES, StepRow, VertexRecord, VertexRow};
pub use stores::UnfinishedPublication;
pub use tasks::{Changed, TaskRow};
pub use tokens::{NewToken, TokenRow};
pub use worker::{Held, LeasedRun, NewWorker, Outcome, PublicationBlob, Renewed, Verdict};
pub use workers::WorkerRow;

/// A pool of connections as one role. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Database {
    pool: Pool,
}

impl Database {
    /// Reads the address and prepares a pool. Connections are made when they are needed, so a database
    /// that is away does not fail this.
    ///
    /// # Errors
    /// The address can't be read.
    #[expect(clippy::unused_async, reason = "the pool needs the runtime that an await proves")]
    pub async fn connect(url: &str, application: &str) -> Result<Self, Error> {
        Self::connect_with(url, application, Patience::default())
    }

    fn connect_with(url: &str, application: &str, patience: Patience) -> Result<Self, Error> {
        Ok(Self { pool: Pool::new(connect_options(url, application)?, patience) })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query_scalar!(r#"SELECT 1 AS "one!""#).fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Whether every migration that this program knows has been applied.
    ///
    /// # Errors
    /// The database does not answer, or this role may not look.
    pub async fn is_current(&self) -> Result<bool, Error> {
        let newest = migrate::newest();
        let found = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM slipway._sqlx_migrations WHERE version = $1 AND success) AS "found!""#,
            newest
        );
        Ok(found.fetch_one(&self.pool).await?)
    }
}

/// A statement that hangs holds locks: it is cut.
fn connect_options(url: &str, application: &str) -> Result<PgConnectOptions, Error> {
    let options = PgConnectOptions::from_str(url)?;
    Ok(options
        .application_name(application)
        .options([("statement_timeout", "30s"), ("idle_in_transaction_session_timeout", "30s")]))
}
