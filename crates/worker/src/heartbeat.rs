//! One batched statement every four seconds keeps every lease of this worker, carries the progress
//! of its runs out, and brings the only words that travel against the stream: cancel, lost, too late.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use database::{Held, Verdict};
use model::RunId;
use port::Progress;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::house::House;
use crate::lease::Lease;
use crate::metrics::METRICS;

const EVERY: Duration = Duration::from_secs(4);

/// Runs that this worker holds.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    runs: Mutex<HashMap<RunId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    lease: Lease,
    progress: Progress,
    verdict: watch::Sender<Verdict>,
}

/// A run is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    holding: Arc<Holding>,
    run: RunId,
    verdict: watch::Receiver<Verdict>,
}

impl Holding {
    /// Begins to renew a lease.
    pub(crate) fn hold(self: &Arc<Self>, lease: Lease) -> Hold {
        let (sender, verdict) = watch::channel(Verdict::Continue);
        let run = lease.run;
        let entry = Entry { lease, progress: Progress::default(), verdict: sender };
        self.lock().insert(run, entry);
        METRICS.held.inc();
        Hold { holding: Arc::clone(self), run, verdict }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, Entry>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> Vec<Held> {
        let held = |entry: &Entry| Held {
            run: entry.lease.run,
            epoch: entry.lease.epoch,
            token: entry.lease.token.clone(),
            progress: serde_json::to_value(&entry.progress).unwrap_or_default(),
        };
        self.lock().values().map(held).collect()
    }
}

impl Hold {
    /// Reported with the next heartbeat.
    pub(crate) fn progress(&self, progress: Progress) {
        if let Some(entry) = self.holding.lock().get_mut(&self.run) {
            METRICS.progressed(&entry.progress, &progress);
            entry.progress = progress;
        }
    }

    /// Waits for a verdict that ends the run.
    pub(crate) async fn ended(&self) -> Verdict {
        let mut told = self.verdict.clone();
        let verdict = told.wait_for(|verdict| *verdict != Verdict::Continue).await.map(|verdict| *verdict);
        match verdict {
            Ok(verdict) => verdict,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.holding.lock().remove(&self.run);
        METRICS.held.dec();
    }
}

/// Beats until it is told to stop, also while no run is held: it is the worker's sign of life.
pub(crate) async fn beat(house: Arc<House>, holding: Arc<Holding>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
            () = house.beat.notified() => {}
        }
        measure_disk(&house.config.store);
        // A lease outlives three beats: one that is not answered must not cost the next.
        let held = holding.held();
        let renewed = house.database.renew_leases(house.worker, &held);
        match tokio::time::timeout(EVERY, renewed).await {
            Ok(Ok(renewed)) => {
                for answer in renewed {
                    if let Some(entry) = holding.lock().get(&answer.run) {
                        entry.verdict.send_replace(answer.verdict);
                    }
                }
            }
            // The builds go on: the rescuer waits as long as the database was away.
            Ok(Err(error)) => {
                METRICS.heartbeats_failed.inc();
                tracing::warn!(%error, "the leases could not be renewed");
            }
            Err(_) => {
                METRICS.heartbeats_failed.inc();
                tracing::warn!("the leases could not be renewed: the database did not answer in time");
            }
        }
    }
}

fn measure_disk(store: &Path) {
    if let Ok(disk) = nix::sys::statvfs::statvfs(store) {
        let bytes =
            |blocks: u64| i64::try_from(blocks.saturating_mul(disk.fragment_size())).unwrap_or(i64::MAX);
        METRICS.store_free.set(bytes(disk.blocks_available()));
        METRICS.store_size.set(bytes(disk.blocks()));
    }
}
