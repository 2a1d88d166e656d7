//! What one run may take of its worker, and what is said of a run that took more.

use serde::{Deserialize, Serialize};

use crate::Failure;

/// What one run may take. None: not bounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RunLimits {
    /// Bytes of memory, page cache and tmpfs included.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Thousandths of a core.
    pub millicores: Option<u64>,
    /// Bytes that it makes the store grow by.
    pub disk: Option<u64>,
    /// Files and folders, likewise.
    pub inodes: Option<u64>,
    /// The length of one file that a RUN writes, holes included.
    pub file_size: Option<u64>,
}

/// One of them, exceeded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    Memory,
    Processes,
    Disk,
    Inodes,
    FileSize,
    /// None of its own: the disk is nearly full, and this run took the most of it.
    DiskReserve,
    /// Likewise of what files and folders the disk can hold.
    InodeReserve,
}

impl Limit {
    /// Stable name: the failure's `kind`.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Memory => "memory_limit",
            Self::Processes => "process_limit",
            Self::Disk | Self::DiskReserve => "disk_limit",
            Self::Inodes | Self::InodeReserve => "inode_limit",
            Self::FileSize => "file_size_limit",
        }
    }

    /// The failure of a run that ran into it; `more` follows on lines of its own.
    #[must_use]
    pub fn failure(self, limits: &RunLimits, more: &str) -> Failure {
        let mut message = self.sentence(limits);
        if !more.is_empty() {
            message.push('\n');
            message.push_str(more);
        }
        Failure::limits(self.kind(), message, self.hint())
    }

    fn sentence(self, limits: &RunLimits) -> String {
        let bytes = |limit: Option<u64>| limit.map_or_else(|| "what there is".to_owned(), in_words);
        let count =
            |limit: Option<u64>| limit.map_or_else(|| "as many as there are".to_owned(), |n| n.to_string());
        match self {
            Self::Memory => {
                format!(
                    "The run needed more memory than its limit of {}, and a process was killed.",
                    bytes(limits.memory)
                )
            }
            Self::Processes => {
                format!("The run started more processes than its limit of {}.", count(limits.processes))
            }
            Self::Disk => format!("The run wrote more than its limit of {} to the disk.", bytes(limits.disk)),
            Self::Inodes => format!("The run made more files than its limit of {}.", count(limits.inodes)),
            Self::DiskReserve => {
                "The worker's disk is nearly full, and this run took more of it than the others.".to_owned()
            }
            Self::InodeReserve => {
                "The worker's disk can hold few more files, and this run made more of them than the others."
                    .to_owned()
            }
            Self::FileSize => {
                format!("The run wrote a file of more than its limit of {}.", bytes(limits.file_size))
            }
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Memory => {
                "Let it do less at the same time, for instance `make -j2`; or the operator raises the worker's --run-memory."
            }
            Self::Processes => {
                "Let it do less at the same time, for instance `make -j2`; or the operator raises the worker's --run-processes."
            }
            Self::Disk => {
                "Remove what is not needed in the RUN that makes it; or the operator raises the worker's --run-disk."
            }
            Self::Inodes => {
                "Remove what is not needed in the RUN that makes it; or the operator raises the worker's --run-inodes."
            }
            Self::DiskReserve | Self::InodeReserve => {
                "Start it again when the worker has less to do; or the operator gives its store a larger disk (--disk-reserve says how much stays free)."
            }
            Self::FileSize => "Write smaller files; or the operator raises the worker's --run-file-size.",
        }
    }
}

/// `512.0 MiB`.
#[must_use]
pub fn in_words(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let power = (bytes.ilog2() / 10).min(5) as usize;
    let tenths = (u128::from(bytes) * 10) >> (10 * power);
    let unit = UNITS.get(power.saturating_sub(1)).copied().unwrap_or("PiB");
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        tenth => format!("{}.{tenth} {unit}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Blame;

    #[test]
    fn sizes_are_told_as_people_write_them() {
        let told = [100, 1024, 1536, 64 << 20, 5 << 40].map(in_words);
        assert_eq!(told, ["100 bytes", "1 KiB", "1.5 KiB", "64 MiB", "5 TiB"]);
    }

    #[test]
    fn a_limit_says_how_much_it_was_and_what_follows() {
        let limits = RunLimits { memory: Some(512 << 20), ..RunLimits::default() };
        let failure = Limit::Memory.failure(&limits, "more");
        assert_eq!(failure.blame, Blame::Limits);
        assert!(failure.message.contains("512 MiB"), "{failure}");
        assert!(failure.message.ends_with("killed.\nmore"), "{failure}");
    }
}
