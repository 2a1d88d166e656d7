//! Lease → the publisher's leave → cell → answers to its questions → finish. In: leased runs. Out: outcomes,
//! log lines, announced blobs. Deliberately absent: any look into a user's file, any push credential.

mod answers;
mod cgroup;
mod cleaner;
mod desk;
mod fetch;
mod git;
mod heartbeat;
mod house;
mod lease;
mod log;
mod metrics;
mod network;
mod pull;
mod resolved;
mod secrets;
mod session;
mod ssh;
mod streams;
mod told;
mod turns;
mod unpack;
mod vertices;

pub use ssh::{connect, keep_key};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::Broker;
use database::{Database, Hint, NewWorker};
use model::{BuildNetwork, Failure, Platform};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::heartbeat::Holding;
use crate::house::House;
use crate::metrics::METRICS;

/// How a worker is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Folder of the content store; one worker a store.
    pub store: PathBuf,
    /// Shown in lists; the host's name by default.
    pub name: String,
    /// Runs at the same time.
    pub slots: u32,
    /// Vertices of one run at the same time.
    pub cores: usize,
    /// `crun`, `runc` or a path; the first that works when absent.
    pub runtime: Option<String>,
    /// The socket of the publisher beside this worker.
    pub broker: Broker,
    /// Limits of connections to git hosts and registries.
    pub egress: egress::Options,
    /// What every RUN is given.
    pub network: BuildNetwork,
    /// Where those, and builds themselves, may go.
    pub policy: egress::Policy,
    /// What the store may take of its disk.
    pub quota: content::Quota,
    pub cleaning: Cleaning,
}

/// When the store is cleaned. The defaults are the documented ones; tests shorten them.
#[derive(Debug, Clone)]
pub struct Cleaning {
    pub every: Duration,
    /// How long an unpacked layer is believed before it is read again, while no run is at work.
    pub compare_after: Duration,
}

impl Default for Cleaning {
    fn default() -> Self {
        Self { every: Duration::from_secs(60), compare_after: Duration::from_secs(24 * 60 * 60) }
    }
}

/// Why a worker can't start. Everything later is a run's failure, or is waited out.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] pub Failure);

/// Polling alone is sufficient; a notification only makes it sooner.
const POLL: Duration = Duration::from_secs(1);

/// Leases and executes runs until `stop`, then hands back what it holds.
///
/// # Errors
/// The store is in use or unusable, or this host can't make cells.
pub async fn run(config: Config, database: Database, stop: CancellationToken) -> Result<(), Error> {
    std::sync::LazyLock::force(&METRICS);
    let opened = database.clone();
    let house = tokio::task::spawn_blocking(move || House::open(config, opened)).await;
    let house = Arc::new(house.map_err(|error| Failure::service("internal", error.to_string(), ""))??);
    register(&house, &stop).await;

    let holding = Arc::new(Holding::default());
    let heart = CancellationToken::new();
    let beating = tokio::spawn(heartbeat::beat(Arc::clone(&house), Arc::clone(&holding), heart.clone()));
    let listening = tokio::spawn(listen(Arc::clone(&house)));
    let cleaning = tokio::spawn(cleaner::clean(Arc::clone(&house), heart.clone()));
    let sessions = TaskTracker::new();
    lease_until(&house, &holding, &sessions, &stop).await;
    sessions.close();
    sessions.wait().await;
    listening.abort();
    heart.cancel();
    let _ = beating.await;
    let _ = cleaning.await;
    Ok(())
}

async fn register(house: &House, stop: &CancellationToken) {
    let new = NewWorker {
        id: house.worker,
        store: house.store.id(),
        name: house.config.name.clone(),
        platform: Platform::host(),
        slots: i32::try_from(house.config.slots).unwrap_or(i32::MAX),
    };
    while let Err(error) = house.database.register_worker(&new).await {
        tracing::warn!(%error, "the worker waits for the database");
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(POLL) => {}
        }
    }
    tracing::info!(worker = %house.worker, store = %house.store.id(), slots = house.config.slots, "worker ready");
}

async fn lease_until(
    house: &Arc<House>,
    holding: &Arc<Holding>,
    sessions: &TaskTracker,
    stop: &CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(house.config.slots as usize));
    loop {
        let permit = tokio::select! {
            () = stop.cancelled() => return,
            permit = Arc::clone(&slots).acquire_owned() => permit,
        };
        let Ok(permit) = permit else { return };
        let began = Instant::now();
        match house.database.lease_next(house.worker).await {
            Ok(Some(leased)) => {
                METRICS.lease.observe(began.elapsed().as_secs_f64());
                METRICS.queue_wait.observe(leased.waited.as_secs_f64());
                let session = session::execute(Arc::clone(house), Arc::clone(holding), leased, stop.clone());
                sessions.spawn(async move {
                    session.await;
                    drop(permit);
                });
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "no run could be leased"),
        }
        drop(permit);
        tokio::select! {
            () = stop.cancelled() => return,
            () = house.work.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// A new run is leased, and a cancelled one ended, without waiting for the next look.
async fn listen(house: Arc<House>) {
    let mut hints = house.database.hints();
    loop {
        match hints.next().await {
            Hint::Cancel(_) => house.beat.notify_one(),
            Hint::Run(_) => house.work.notify_one(),
            Hint::Log(_) | Hint::Publication | Hint::Unknown => {}
        }
    }
}
