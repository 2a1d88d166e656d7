//! What a run may leave behind, and must not: processes in the cells' ids, mounts, cgroups, folders.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// All of it at one moment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Residue {
    processes: BTreeSet<String>,
    mounts: BTreeSet<String>,
    cgroups: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
}

impl Residue {
    /// Of the cells below one data folder.
    pub(crate) fn now(data: &Path) -> Self {
        let cells = data.join("store/cells");
        let ids = subordinate_ids(&data.join("store"));
        Self {
            processes: processes().filter(|pid| is_of_cell(*pid, &ids)).map(command_line).collect(),
            mounts: mounts(&cells),
            cgroups: cgroups(data),
            folders: entries(&cells.join("runs")),
        }
    }
}

impl Residue {
    /// Of one data folder alone, where other services of the machine are at work: processes in the cgroups of its
    /// store or below `ancestors`. What another one took the cgroups' root away from can't be removed by ours.
    pub(crate) fn of_service(data: &Path, ancestors: &[i32]) -> Self {
        use std::os::unix::fs::MetadataExt;
        let store = std::fs::read_to_string(data.join("store/store-id")).unwrap_or_default();
        let owner = std::fs::metadata(data.join("store")).map(|meta| meta.uid()).ok();
        let is_ours = |line: &String| {
            let pid = line.split(' ').next().and_then(|pid| pid.parse().ok()).unwrap_or_default();
            let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let mut above = std::iter::successors(Some(pid), |pid| parent_of(*pid));
            cgroups.contains(store.trim()) || above.any(|pid| ancestors.contains(&pid))
        };
        let root_is_ours = |folder: &PathBuf| {
            let root = folder.parent().and_then(|root| std::fs::metadata(root).ok());
            root.map(|root| root.uid()) == owner
        };
        let mut residue = Self::now(data);
        residue.processes.retain(is_ours);
        residue.cgroups.retain(root_is_ours);
        residue
    }

    /// Whether there is nothing at all.
    pub(crate) fn is_none(&self) -> bool {
        let Self { processes, mounts, cgroups, folders } = self;
        processes.is_empty() && mounts.is_empty() && cgroups.is_empty() && folders.is_empty()
    }
}

/// Processes whose parent is `pid`.
pub(crate) fn children_of(pid: i32) -> Vec<i32> {
    processes().filter(|child| parent_of(*child) == Some(pid)).collect()
}

/// The first word of a process's command line.
pub(crate) fn argument_zero(pid: i32) -> String {
    let text = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let first = text.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(first).into_owned()
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A set of capabilities of a process, by its field in `/proc/PID/status`.
pub(crate) fn capabilities(pid: i32, set: &str) -> u64 {
    u64::from_str_radix(&status_field(pid, set).expect("the process lives"), 16).expect("a number")
}

fn status_field(pid: i32, field: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.split_whitespace().next()?.to_owned())
}

fn parent_of(pid: i32) -> Option<i32> {
    status_field(pid, "PPid")?.parse().ok()
}

/// The subordinate ids of the store's owner: the cells of other stories have others.
fn subordinate_ids(store: &Path) -> Range<u32> {
    use std::os::unix::fs::MetadataExt;
    let owner = std::fs::metadata(store).expect("the store").uid();
    let owner = nix::unistd::User::from_uid(owner.into()).ok().flatten().expect("its owner has a name").name;
    let text = std::fs::read_to_string("/etc/subuid").expect("/etc/subuid");
    let numbers = text.lines().find_map(|line| line.strip_prefix(&owner)?.strip_prefix(':')?.split_once(':'));
    let (start, count) = numbers.expect("the worker's user has subordinate ids");
    let (start, count): (u32, u32) = (start.parse().expect("a number"), count.parse().expect("a number"));
    start..start + count
}

fn is_of_cell(pid: i32, ids: &Range<u32>) -> bool {
    status_field(pid, "Uid").and_then(|uid| uid.parse().ok()).is_some_and(|uid: u32| ids.contains(&uid))
}

fn command_line(pid: i32) -> String {
    let text = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!("{pid} {}", String::from_utf8_lossy(&text).replace('\0', " "))
}

fn mounts(cells: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let name = cells.display().to_string();
    text.lines().filter(|line| line.contains(&name)).map(str::to_owned).collect()
}

/// A run's cgroup is named after its store.
fn cgroups(data: &Path) -> BTreeSet<PathBuf> {
    let store = std::fs::read_to_string(data.join("store/store-id")).unwrap_or_default();
    let roots = ["memory", "pids", "cpu", "freezer", "."]
        .map(|name| Path::new("/sys/fs/cgroup").join(name).join("slipway"));
    let ours = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        !store.trim().is_empty() && name.starts_with(store.trim())
    };
    roots.iter().flat_map(|root| entries(root)).filter(ours).collect()
}

fn entries(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
