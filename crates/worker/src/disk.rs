//! The store's disk while runs are under way: how much is free is looked at many times a second, and what each run
//! takes only when that has moved. A run that takes more than its limit is ended, and so is the largest one where
//! the reserve is touched; while that is being found out, all of them are frozen. There is no quota in the kernel
//! for it: what can be written between two looks has to fit into the reserve.

mod decide;
mod share;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cell::{Attempt, Taken};
use model::{Limit, RunId};
use nix::sys::signal::{Signal, kill};
use nix::sys::statvfs::statvfs;
use nix::unistd::Pid;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cgroup::RunCgroup;
use crate::house::House;
use crate::limits::{Limits, Space};
use decide::{decide, moved, touched};
pub(crate) use share::Share;

/// How often the disk is asked how much is free; it costs a system call.
const EVERY: Duration = Duration::from_millis(50);
/// A walk over what runs wrote is followed by so many times its own length without one.
const REST: u32 = 4;

/// Runs that are watched.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    runs: Mutex<HashMap<RunId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    attempt: Attempt,
    cgroup: Arc<RunCgroup>,
    /// Process id of its cell, once it has one.
    cell: Option<u32>,
    /// Those of cells that work for it.
    helpers: Vec<u32>,
    /// Bytes that were downloaded for it.
    fetched: u64,
    taken: Taken,
    exceeded: watch::Sender<Option<Limit>>,
}

/// A run is watched until this is dropped.
#[derive(Debug)]
pub(crate) struct Watched {
    disk: Arc<Disk>,
    run: RunId,
    exceeded: watch::Receiver<Option<Limit>>,
}

impl Disk {
    /// Begins to watch what a run takes.
    pub(crate) fn watch(self: &Arc<Self>, attempt: Attempt, cgroup: Arc<RunCgroup>) -> Watched {
        let (sender, exceeded) = watch::channel(None);
        let run = attempt.run;
        let (helpers, taken) = (Vec::new(), Taken::default());
        let entry = Entry { attempt, cgroup, cell: None, helpers, fetched: 0, taken, exceeded: sender };
        self.lock().insert(run, entry);
        Watched { disk: Arc::clone(self), run, exceeded }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, Entry>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_idle(&self) -> bool {
        self.lock().is_empty()
    }
}

impl Watched {
    /// For whoever works for the run.
    pub(crate) fn share(&self) -> Share {
        Share { disk: Arc::clone(&self.disk), run: self.run }
    }

    /// The run's cell has started.
    pub(crate) fn started(&self, cell: u32) {
        if let Some(entry) = self.disk.lock().get_mut(&self.run) {
            entry.cell = Some(cell);
        }
    }

    /// Waits until the run has to end for what it takes.
    pub(crate) async fn exceeded(&self) -> Limit {
        let mut exceeded = self.exceeded.clone();
        match exceeded.wait_for(Option::is_some).await.map(|limit| *limit) {
            Ok(Some(limit)) => limit,
            _ => std::future::pending().await,
        }
    }

    /// The run's cell is about to end, and its process id to be another's.
    pub(crate) fn stopping(&self) {
        if let Some(entry) = self.disk.lock().get_mut(&self.run) {
            entry.cell = None;
        }
    }

    /// Why the run had to end, if it had to.
    pub(crate) fn verdict(&self) -> Option<Limit> {
        *self.exceeded.borrow()
    }

    /// Whether, of all runs, this one took the most of a disk that is full, and not little.
    pub(crate) fn filled_it(&self, limits: &Limits) -> bool {
        let runs = self.disk.lock();
        let largest = runs.values().max_by_key(|entry| entry.taken.bytes);
        largest.is_some_and(|entry| {
            entry.attempt.run == self.run && decide::is_not_little(entry.taken.bytes, limits.reserve.bytes)
        })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.disk.lock().remove(&self.run);
    }
}

/// Watches until it is told to stop.
pub(crate) async fn watch(house: Arc<House>, stop: CancellationToken) {
    let mut looked = Look { free: free(&house.config.store).unwrap_or_default(), rest: Instant::now() };
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let Some(free) = free(&house.config.store) else { continue };
        // What was given back may be taken again.
        looked.free.bytes = looked.free.bytes.max(free.bytes);
        looked.free.inodes = looked.free.inodes.max(free.inodes);
        if house.disk.is_idle() {
            looked.free = free;
        } else if Instant::now() >= looked.rest && moved(&looked.free, &free, &house.limits) {
            looked = look(&house, free, touched(&free, &house.limits)).await;
        }
    }
}

/// When what runs take was last looked at, and what was free then.
struct Look {
    free: Space,
    rest: Instant,
}

async fn look(house: &Arc<House>, free: Space, is_urgent: bool) -> Look {
    let began = Instant::now();
    let frozen = is_urgent.then(|| Frozen::all(&house.disk));
    let measuring = Arc::clone(house);
    let measured = tokio::task::spawn_blocking(move || measure(&measuring)).await;
    match measured {
        Ok(taken) => {
            let runs = house.disk.lock();
            for (run, limit) in decide(&house.limits, &free, &taken) {
                let Some(entry) = runs.get(&run) else { continue };
                // Before they are let go on.
                for cell in entry.helpers.iter().copied().chain(entry.cell) {
                    let _ = i32::try_from(cell).map(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL));
                }
                tracing::warn!(%run, limit = limit.kind(), taken = ?entry.taken, ?free, "a run takes too much of the disk");
                entry.exceeded.send_replace(Some(limit));
            }
        }
        Err(error) => tracing::warn!(%error, "what runs take of the disk can't be measured"),
    }
    drop(frozen);
    Look { free, rest: Instant::now() + began.elapsed() * REST }
}

/// Runs that do nothing until this is dropped.
struct Frozen(Vec<Arc<RunCgroup>>);

impl Frozen {
    fn all(disk: &Disk) -> Self {
        let all: Vec<_> = disk.lock().values().map(|entry| Arc::clone(&entry.cgroup)).collect();
        all.iter().for_each(|cgroup| cgroup.freeze(true));
        Self(all)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.0.iter().for_each(|cgroup| cgroup.freeze(false));
    }
}

/// What each run takes by now, also noted with it. One that ends meanwhile is left out.
fn measure(house: &House) -> Vec<(RunId, Taken)> {
    let all: Vec<_> = {
        let runs = house.disk.lock();
        let of = |entry: &Entry| {
            Some((entry.attempt.clone(), entry.cell?, Arc::clone(&entry.cgroup), entry.fetched))
        };
        runs.values().filter_map(of).collect()
    };
    let measured = all.into_iter().filter_map(|(attempt, cell, cgroup, fetched)| {
        let processes = cgroup.processes().unwrap_or_else(|| descendants(cell));
        match house.measure(cell, &attempt, processes) {
            Ok(taken) => {
                let bytes = taken.bytes.saturating_add(fetched);
                Some((attempt.run, Taken { bytes, ..taken }))
            }
            Err(error) => {
                tracing::debug!(run = %attempt.run, %error, "what a run takes of the disk can't be measured");
                None
            }
        }
    });
    let measured: Vec<_> = measured.collect();
    let mut runs = house.disk.lock();
    for (run, taken) in &measured {
        if let Some(entry) = runs.get_mut(run) {
            entry.taken = *taken;
        }
    }
    measured
}

/// A process and all below it, where no cgroup has them gathered.
fn descendants(pid: u32) -> Vec<u32> {
    let (mut found, mut next) = (vec![pid], 0);
    while let Some(pid) = found.get(next) {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let children =
            threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
        let children: Vec<u32> = children
            .flat_map(|text| text.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<_>>())
            .collect();
        found.extend(children);
        next += 1;
    }
    found
}

fn free(store: &Path) -> Option<Space> {
    let disk = statvfs(store).ok()?;
    let bytes = disk.blocks_available().saturating_mul(disk.fragment_size());
    Some(Space { bytes, inodes: disk.files_available() })
}
