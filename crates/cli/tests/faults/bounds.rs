//! What the service holds on to when nothing is under way. In: its processes and its database, after each fleet. Out:
//! what has grown since the first one: a descriptor, a thread or a connection that each fault leaves is none too many
//! by itself.

use std::collections::BTreeMap;

use crate::draw::Target;
use crate::stage::Stage;

/// More than a pool and a runtime's threads come and go by.
const DESCRIPTORS: u64 = 60;
const THREADS: u64 = 60;
const CONNECTIONS: u64 = 40;
const MEBIBYTES: u64 = 200;

/// By what it is: how much there is, and how much more there may be.
type Held = BTreeMap<String, (u64, u64)>;

/// At the first look after a fleet.
#[derive(Debug, Default)]
pub(crate) struct Bounds(std::sync::Mutex<Option<Held>>);

impl Bounds {
    /// What has grown beyond what comes and goes.
    pub(crate) fn exceeded(&self, stage: &Stage) -> Option<String> {
        let now = held(stage);
        let mut first = self.0.lock().expect("nobody panics while holding this");
        let Some(first) = &*first else {
            *first = Some(now);
            return None;
        };
        let grown = now.iter().filter_map(|(what, (count, more))| {
            let before = first.get(what).map_or(0, |(count, _)| *count);
            (*count > before + more).then(|| format!("{what}: {before}, and now {count}"))
        });
        let grown: Vec<String> = grown.collect();
        (!grown.is_empty()).then(|| grown.join("; "))
    }
}

fn held(stage: &Stage) -> Held {
    let mut held = Held::new();
    for (name, target) in
        [("server", Target::Server), ("worker", Target::Worker), ("publisher", Target::Publisher)]
    {
        let most = |count: fn(i32) -> Option<u64>| {
            stage.processes(target).into_iter().filter_map(count).max().unwrap_or_default()
        };
        held.insert(format!("descriptors of the {name}"), (most(descriptors), DESCRIPTORS));
        held.insert(format!("threads of the {name}"), (most(|pid| status(pid, "Threads:")), THREADS));
        let mebibytes = most(|pid| Some(status(pid, "VmRSS:")? >> 10));
        held.insert(format!("mebibytes of the {name}"), (mebibytes, MEBIBYTES));
    }
    let count = |query: &str| stage.sql(query).and_then(|text| text.parse().ok()).unwrap_or_default();
    let connections = count("SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'slipway_%'");
    held.insert("connections to PostgreSQL".to_owned(), (connections, CONNECTIONS));
    for (what, query) in [
        ("runs in the queue", "SELECT count(*) FROM slipway.run_queue"),
        ("open publications", "SELECT count(*) FROM slipway.publications WHERE status IN ('open', 'sealed')"),
    ] {
        held.insert(what.to_owned(), (count(query), 0));
    }
    held
}

fn descriptors(pid: i32) -> Option<u64> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    u64::try_from(open.count()).ok()
}

/// A number of `/proc/<pid>/status` (proc_pid_status(5)).
fn status(pid: i32, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}
