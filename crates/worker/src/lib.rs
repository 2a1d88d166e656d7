//! Lease → the publisher's leave → cell → answers to its questions → finish. In: leased runs. Out: outcomes,
//! log lines, announced blobs. Deliberately absent: any look into a user's file, any push credential.

mod answers;
mod cgroup;
mod cleaner;
mod desk;
mod disk;
mod fetch;
mod git;
mod guard;
mod heartbeat;
mod house;
mod lease;
mod limits;
mod line;
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

pub use limits::LimitOptions;
pub use ssh::{connect, keep_key};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::Broker;
use database::{Database, Hint, NewWorker};
use model::{BuildNetwork, Failure, Platform, WorkerLimits};
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
    /// What one run may take.
    pub limits: LimitOptions,
    /// How long runs under way may take to end when the worker is to stop.
    pub drain: Duration,
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

/// How a worker is told to stop.
#[derive(Debug, Clone)]
pub struct Stop {
    /// Lease nothing more, and stop when the last run has ended; after [`Config::drain`] those left are handed back.
    pub drain: CancellationToken,
    /// Do not wait any longer.
    pub now: CancellationToken,
}

/// Why a worker can't start. Everything later is a run's failure, or is waited out.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] pub Failure);

/// Polling alone is sufficient; a notification only makes it sooner.
const POLL: Duration = Duration::from_secs(1);

/// Leases and executes runs until it is told to stop; what has not ended in time then is handed back.
///
/// # Errors
/// The store is in use or unusable, or this host can't make cells.
pub async fn run(config: Config, database: Database, stop: Stop) -> Result<(), Error> {
    std::sync::LazyLock::force(&METRICS);
    let opened = database.clone();
    let house = tokio::task::spawn_blocking(move || House::open(config, opened)).await;
    let house = Arc::new(house.map_err(|error| Failure::service("internal", error.to_string(), ""))??);
    register(&house, &stop.drain).await;

    let holding = Arc::new(Holding::default());
    let heart = CancellationToken::new();
    let beating = tokio::spawn(heartbeat::beat(Arc::clone(&house), Arc::clone(&holding), heart.clone()));
    let watching = tokio::spawn(disk::watch(Arc::clone(&house), heart.clone()));
    let listening = tokio::spawn(listen(Arc::clone(&house)));
    let cleaning = tokio::spawn(cleaner::clean(Arc::clone(&house), heart.clone()));
    let sessions = TaskTracker::new();
    let hand_back = CancellationToken::new();
    if house.may_lease() {
        lease_until(&house, &holding, &sessions, &stop.drain, &hand_back).await;
    } else {
        stop.drain.cancelled().await;
    }
    sessions.close();
    drain(&sessions, house.config.drain, &stop.now).await;
    hand_back.cancel();
    sessions.wait().await;
    listening.abort();
    heart.cancel();
    let _ = tokio::join!(beating, watching, cleaning);
    Ok(())
}

/// Waits for the runs under way, but no longer than it may.
async fn drain(sessions: &TaskTracker, limit: Duration, now: &CancellationToken) {
    if sessions.is_empty() {
        return;
    }
    tracing::info!(
        runs = sessions.len(),
        seconds = limit.as_secs(),
        "no run is leased any more, those under way go on"
    );
    tokio::select! {
        () = sessions.wait() => {}
        () = tokio::time::sleep(limit) => tracing::warn!(runs = sessions.len(), "runs are handed back: their time is over"),
        () = now.cancelled() => tracing::warn!(runs = sessions.len(), "runs are handed back: told to stop at once"),
    }
}

async fn register(house: &House, stop: &CancellationToken) {
    let new = NewWorker {
        id: house.worker,
        store: house.store.id(),
        name: house.config.name.clone(),
        platform: Platform::host(),
        slots: i32::try_from(house.config.slots).unwrap_or(i32::MAX),
        limits: house.bounds(),
    };
    match new.limits {
        WorkerLimits::Enforced => tracing::info!(limits = ?house.limits.run, "each run has limits"),
        WorkerLimits::None => tracing::warn!("limits: none: no cgroup was handed to this worker"),
        WorkerLimits::Missing => {
            tracing::error!(
                "limits: none, but they are required: no run is leased here; see `slipway doctor`"
            );
        }
    }
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
    hand_back: &CancellationToken,
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
                let session =
                    session::execute(Arc::clone(house), Arc::clone(holding), leased, hand_back.clone());
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
