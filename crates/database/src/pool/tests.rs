//! A line to PostgreSQL that went dead without a word.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use test_support::TestDatabase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::{CONNECTIONS, Patience};
use crate::{Database, Hint};

/// Far more than any limit here.
const LONG: Duration = Duration::from_secs(20);
const SHORT: Patience = Patience {
    acquire: Duration::from_millis(500),
    answer: Duration::from_millis(1500),
    ping: Duration::from_millis(500),
};

/// Stands between a pool and PostgreSQL.
struct Line {
    folder: tempfile::TempDir,
    /// Connections below this number are dead: nothing moves, and nobody says so.
    dead: Arc<AtomicU64>,
    made: Arc<AtomicU64>,
}

impl Line {
    fn to(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (dead, made) = <(Arc<AtomicU64>, Arc<AtomicU64>)>::default();
        let upstream = options(url).get_socket().unwrap().join(".s.PGSQL.5432");
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let (counted, kills) = (Arc::clone(&made), Arc::clone(&dead));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let (from, to) = client.into_split();
                let (back, there) = UnixStream::connect(&upstream).await.unwrap().into_split();
                tokio::spawn(pass(from, there, number, Arc::clone(&kills)));
                tokio::spawn(pass(back, to, number, Arc::clone(&kills)));
            }
        });
        Self { folder, dead, made }
    }

    fn url(&self, url: &str) -> String {
        options(url).socket(self.folder.path()).to_url_lossy().to_string()
    }

    /// Whatever is connected now.
    fn die(&self) {
        self.dead.store(self.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

async fn pass(
    mut from: tokio::net::unix::OwnedReadHalf,
    mut to: tokio::net::unix::OwnedWriteHalf,
    number: u64,
    dead: Arc<AtomicU64>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if number < dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

fn options(url: &str) -> PgConnectOptions {
    url.parse().unwrap()
}

async fn sleep(database: &Database, seconds: f64) -> Result<(), crate::Error> {
    sqlx::query("SELECT pg_sleep($1)").bind(seconds).execute(&database.pool).await?;
    Ok(())
}

/// All connections at once: who has to wait for one gives up before it is free.
async fn all(database: &Database) -> Vec<Result<(), crate::Error>> {
    join_all((0..CONNECTIONS).map(|_| sleep(database, 0.8))).await
}

#[tokio::test]
async fn what_waits_for_a_dead_line_ends_and_the_pool_comes_back_whole() {
    let real = TestDatabase::new().await;
    let url = real.url("slipway_server");
    let line = Line::to(&url);
    let database = Database::connect_with(&line.url(&url), "test", SHORT).unwrap();
    assert!(all(&database).await.iter().all(Result::is_ok));

    let waits = tokio::spawn({
        let database = database.clone();
        async move { sleep(&database, 0.5).await }
    });
    let transacts = tokio::spawn({
        let database = database.clone();
        async move {
            let work = async {
                let mut transaction = database.pool.begin().await?;
                sqlx::query("SELECT pg_sleep(0.5)").execute(&mut *transaction).await?;
                Ok(())
            };
            database.pool.whole(work).await
        }
    });
    let given_up =
        tokio::time::timeout(Duration::from_millis(100), join_all([0.5; 4].map(|s| sleep(&database, s))));
    assert!(given_up.await.is_err());
    line.die();
    let both = async { (waits.await.unwrap(), transacts.await.unwrap()) };
    let (waited, transacted) = tokio::time::timeout(LONG, both).await.unwrap();
    assert!(waited.unwrap_err().is_unavailable());
    assert!(transacted.unwrap_err().is_unavailable());

    // Each try finds out about one connection at the least.
    let mut tries = 0;
    while database.ping().await.is_err() {
        tries += 1;
        assert!(tries <= CONNECTIONS);
    }
    let whole = async { while !all(&database).await.iter().all(Result::is_ok) {} };
    tokio::time::timeout(LONG, whole).await.unwrap();
}

#[tokio::test]
async fn who_listens_on_a_dead_line_finds_out_and_listens_again() {
    let real = TestDatabase::new().await;
    let url = real.url("slipway_server");
    let line = Line::to(&url);
    let database = Database::connect_with(&line.url(&url), "test", SHORT).unwrap();
    let mut hints = database.hints();
    hints.quiet = Duration::from_millis(100);
    assert_eq!(hints.next().await, Hint::Unknown, "connected");
    line.die();
    assert_eq!(tokio::time::timeout(LONG, hints.next()).await.unwrap(), Hint::Unknown, "lost");
    assert_eq!(tokio::time::timeout(LONG, hints.next()).await.unwrap(), Hint::Unknown, "connected again");
    let run = model::RunId(uuid::Uuid::now_v7());
    real.execute(&format!(r#"NOTIFY slipway, '{{"log": "{run}"}}'"#)).await;
    assert_eq!(tokio::time::timeout(LONG, hints.next()).await.unwrap(), Hint::Log(run));
}
