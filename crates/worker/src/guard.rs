//! What ends a run that takes more than it may, and what a failure is told as that a limit was behind. In: the run's
//! cgroup, the disk's watch, what the cell says of its vertices. Out: failures with blame `limits` and the user's
//! own line.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use database::{MAX_VERTEX_NAME, MAX_VERTICES};
use model::{Blame, Failure, Limit, Location, VertexResult};
use port::{VertexEvent, VertexStart};

use crate::cgroup::{Refused, RunCgroup};
use crate::disk::Watched;
use crate::limits::Limits;

/// How often the cgroup is asked what it had to refuse.
const EVERY: Duration = Duration::from_secs(1);
/// So many looks in a row at which new processes were refused, and the run ends: it would not by itself.
const STORM: u32 = 5;

/// Over one run.
pub(crate) struct Guard {
    cgroup: Arc<RunCgroup>,
    disk: Watched,
    limits: Limits,
    dockerfile: String,
    /// Vertices under way, and the one that failed: its line, and what had been refused when it began.
    vertices: Mutex<Vertices>,
}

#[derive(Default)]
struct Vertices {
    known: BTreeMap<u32, (Option<Location>, Refused)>,
    failed: Option<u32>,
}

impl Guard {
    /// Begins to watch a run whose Dockerfile has this name.
    pub(crate) fn over(disk: Watched, cgroup: Arc<RunCgroup>, limits: Limits, dockerfile: &str) -> Self {
        Self { cgroup, disk, limits, dockerfile: dockerfile.to_owned(), vertices: Mutex::default() }
    }

    /// The run's cell has started.
    pub(crate) fn started(&self, cell: u32) {
        self.disk.started(cell);
    }

    /// The run's cell is about to end.
    pub(crate) fn stopping(&self) {
        self.disk.stopping();
    }

    /// Waits for a reason to end the run.
    pub(crate) async fn exceeded(&self) -> Failure {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut storm = Storm::default();
        let limit = loop {
            tokio::select! {
                limit = self.disk.exceeded() => break limit,
                _ = ticks.tick() => {}
            }
            if storm.goes_on(self.cgroup.refused().forks) {
                break Limit::Processes;
            }
        };
        with_line(limit.failure(&self.limits.run, ""), self.only_line())
    }

    /// What the cell says of its vertices.
    pub(crate) fn hear(&self, event: &VertexEvent) {
        let mut vertices = self.lock();
        match event {
            // The cell is a stranger: so many, and no longer names, as are written down of it.
            VertexEvent::Started(start) if (1..=MAX_VERTICES).contains(&start.number) => {
                let known = (self.location(start), self.cgroup.refused());
                vertices.known.insert(start.number, known);
            }
            VertexEvent::Started(_) => {}
            VertexEvent::Ended { number, result: VertexResult::Failed } => vertices.failed = Some(*number),
            VertexEvent::Ended { number, .. } => drop(vertices.known.remove(number)),
        }
    }

    /// The same failure, or the limit that was behind it.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        if failure.blame == Blame::Limits {
            return failure;
        }
        let (line, before) = self.lock().of_the_failed();
        let now = self.cgroup.refused();
        let ended =
            ["run_failed", "cell_died", "runtime_refused", "sandbox_failed"].contains(&failure.kind.as_str());
        let limit = match (self.disk.verdict(), failure.kind.as_str()) {
            (Some(limit), _) => limit,
            _ if ended && now.oom_kills > before.oom_kills => Limit::Memory,
            _ if ended && now.forks > before.forks => Limit::Processes,
            (None, "disk_full") if self.disk.filled_it(&self.limits) => Limit::DiskReserve,
            _ => return failure,
        };
        let told = limit.failure(&self.limits.run, &failure.message);
        let line = failure.location.map(|location| *location).or(line).or_else(|| self.only_line());
        with_line(told, line)
    }

    /// Where only one vertex is under way, it is the one.
    fn only_line(&self) -> Option<Location> {
        let vertices = self.lock();
        let mut lines = vertices.known.values().filter_map(|(line, _)| line.clone());
        lines.next().filter(|_| lines.next().is_none())
    }

    fn lock(&self) -> MutexGuard<'_, Vertices> {
        self.vertices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn location(&self, start: &VertexStart) -> Option<Location> {
        let (file, text) = (self.dockerfile.clone(), start.name.chars().take(MAX_VERTEX_NAME).collect());
        Some(Location { file, line: start.line?, text, column: 0, width: 0 })
    }
}

impl Vertices {
    fn of_the_failed(&self) -> (Option<Location>, Refused) {
        self.failed.and_then(|number| self.known.get(&number)).cloned().unwrap_or_default()
    }
}

fn with_line(failure: Failure, line: Option<Location>) -> Failure {
    match line {
        Some(line) => failure.at(line),
        None => failure,
    }
}

/// New processes refused at one look after the other.
#[derive(Default)]
struct Storm {
    refused: u64,
    looks: u32,
}

impl Storm {
    fn goes_on(&mut self, refused: u64) -> bool {
        self.looks = if refused > self.refused { self.looks + 1 } else { 0 };
        self.refused = refused;
        self.looks >= STORM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_refused_at_each_look_and_a_gust_is_not() {
        let mut storm = Storm::default();
        assert!([3, 9, 9, 20, 30, 40, 41].into_iter().all(|refused| !storm.goes_on(refused)));
        assert!(storm.goes_on(42));
    }
}
