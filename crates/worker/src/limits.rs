//! What one run may take of this worker: what its operator asked for, and what follows from the host where he
//! did not. In: options, the host. Out: numbers. Absent: seeing to it, which the run's cgroup and the disk's
//! watch do.

use std::path::Path;

use model::RunLimits;
use nix::sys::statvfs::statvfs;

/// What an operator asks for. None: what follows from the host; 0: not bounded.
#[derive(Debug, Clone, Copy, Default)]
pub struct LimitOptions {
    pub memory: Option<u64>,
    pub processes: Option<u64>,
    /// Thousandths of a core; not bounded unless asked for: runs share what cores there are evenly.
    pub millicores: Option<u64>,
    pub disk: Option<u64>,
    pub inodes: Option<u64>,
    pub file_size: Option<u64>,
    /// Bytes of one attempt's log.
    pub log: Option<u64>,
    /// What of the store's disk no run may take.
    pub disk_reserve: Option<u64>,
    /// Without a cgroup to bound them by, no run is leased.
    pub required: bool,
}

/// What there is of a disk, or what has to stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) bytes: u64,
    /// 0 of all where the file system has no fixed number.
    pub(crate) inodes: u64,
}

/// All of it in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    pub(crate) run: RunLimits,
    /// Kept free for the other runs.
    pub(crate) reserve: Space,
    /// Bytes of one attempt's log; what follows is left out.
    pub(crate) log: Option<u64>,
}

/// A log may be this long, in bytes, where the disk is large: nobody reads more, and the database keeps it.
const LOG: u64 = 128 << 20;
/// A file may be this long, in bytes: a layer's archive holds its holes as zeros.
const FILE_SIZE: u64 = 2 << 40;
/// More than the largest build needs, and few enough that the host's process ids last.
const PROCESSES: u64 = 4096;

impl Limits {
    /// For a worker with so many slots, whose store is a folder of the disk in question.
    pub(crate) fn on_this_host(asked: &LimitOptions, slots: u32, store: &Path) -> Self {
        let disk = statvfs(store).ok().map(|disk| Space {
            bytes: disk.blocks().saturating_mul(disk.fragment_size()),
            inodes: disk.files(),
        });
        let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory(&text));
        let ids = std::fs::read_to_string("/proc/sys/kernel/pid_max").ok();
        let ids = ids.and_then(|text| text.trim().parse().ok());
        Self::of(asked, u64::from(slots.max(1)), Host { disk: disk.unwrap_or_default(), memory, ids })
    }

    fn of(asked: &LimitOptions, slots: u64, host: Host) -> Self {
        let Host { disk, memory, ids } = host;
        let or = |asked: Option<u64>, derived: Option<u64>| asked.or(derived).filter(|limit| *limit > 0);
        let run = RunLimits {
            memory: or(asked.memory, memory.map(|all| all / 10 * 9 / slots)),
            processes: or(asked.processes, Some(ids.map_or(PROCESSES, |ids| PROCESSES.min(ids / 2 / slots)))),
            millicores: or(asked.millicores, None),
            disk: or(asked.disk, Some(disk.bytes / 2)),
            inodes: or(asked.inodes, Some(disk.inodes / 2)),
            file_size: or(asked.file_size, Some(FILE_SIZE)),
        };
        let reserve = Space {
            bytes: asked.disk_reserve.unwrap_or(disk.bytes / 20),
            inodes: if asked.disk_reserve == Some(0) { 0 } else { disk.inodes / 20 },
        };
        // `slipway up` has its database on the same disk, and writes every line twice.
        let log = or(asked.log, Some(LOG.min((disk.bytes / 100).max(1 << 20))));
        Self { run, reserve, log }
    }
}

#[derive(Clone, Copy)]
struct Host {
    disk: Space,
    memory: Option<u64>,
    ids: Option<u64>,
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Host =
        Host { disk: Space { bytes: 200 << 30, inodes: 1 << 20 }, memory: Some(20 << 30), ids: Some(32_768) };

    #[test]
    fn what_is_not_asked_for_follows_from_the_host_and_its_slots() {
        let limits = Limits::of(&LimitOptions::default(), 8, HOST);
        assert_eq!(limits.run.memory, Some((20 << 30) / 10 * 9 / 8));
        assert_eq!((limits.run.processes, limits.run.millicores), (Some(2048), None));
        assert_eq!((limits.run.disk, limits.run.inodes), (Some(100 << 30), Some(1 << 19)));
        assert_eq!(limits.reserve, Space { bytes: 10 << 30, inodes: (1 << 20) / 20 });
        assert_eq!(limits.log, Some(128 << 20));
        let small = Host { disk: Space { bytes: 700 << 20, inodes: 1 << 16 }, ..HOST };
        assert_eq!(Limits::of(&LimitOptions::default(), 8, small).log, Some(7 << 20));
    }

    #[test]
    fn zero_means_not_bounded() {
        let none =
            LimitOptions { memory: Some(0), disk: Some(0), disk_reserve: Some(0), ..LimitOptions::default() };
        let limits = Limits::of(&none, 2, HOST);
        assert_eq!((limits.run.memory, limits.run.disk, limits.reserve), (None, None, Space::default()));
    }

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        assert_eq!(total_memory("MemFree:  1 kB\nMemTotal:       24566 kB\n"), Some(24_566 << 10));
    }
}
