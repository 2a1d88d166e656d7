//! What the kernel calls the files of a cgroup, and what is written into them: Documentation/admin-guide/cgroup-v1
//! and cgroup-v2.rst.

use model::RunLimits;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// A value for a file of the run's cgroup.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) file: &'static str,
    pub(super) value: String,
    /// A kernel without swap accounting has no file for it, and one without the cpu controller shares evenly.
    pub(super) needed: bool,
}

/// A number that a file gives after a word.
#[derive(Clone, Copy)]
pub(super) struct Counter {
    pub(super) file: &'static str,
    pub(super) word: &'static str,
}

impl Version {
    pub(super) fn oom_kills(self) -> Counter {
        match self {
            Self::One => Counter { file: "memory.oom_control", word: "oom_kill" },
            Self::Two => Counter { file: "memory.events", word: "oom_kill" },
        }
    }

    pub(super) fn freezer(self, frozen: bool) -> Setting {
        let (file, values) = match self {
            Self::One => ("freezer.state", ["THAWED", "FROZEN"]),
            Self::Two => ("cgroup.freeze", ["0", "1"]),
        };
        Setting { file, value: values[usize::from(frozen)].to_owned(), needed: false }
    }

    pub(super) fn forks_refused(self) -> Counter {
        Counter { file: "pids.events", word: "max" }
    }
}

/// In the order in which they are written: with swap can't be less than without.
pub(super) fn settings(version: Version, limits: &RunLimits) -> Vec<Setting> {
    let setting = |file, value: String, needed| Setting { file, value, needed };
    let mut settings = Vec::new();
    if let Some(memory) = limits.memory {
        match version {
            Version::One => settings.extend([
                setting("memory.limit_in_bytes", memory.to_string(), true),
                setting("memory.memsw.limit_in_bytes", memory.to_string(), false),
            ]),
            Version::Two => settings.extend([
                setting("memory.max", memory.to_string(), true),
                setting("memory.swap.max", "0".to_owned(), false),
            ]),
        }
    }
    settings.extend(limits.processes.map(|processes| setting("pids.max", processes.to_string(), true)));
    if let Some(millicores) = limits.millicores {
        // Microseconds of each tenth of a second; the kernel takes no less than one millisecond.
        let (period, quota) = (100_000, (millicores * 100).max(1000));
        match version {
            Version::One => settings.extend([
                setting("cpu.cfs_period_us", period.to_string(), true),
                setting("cpu.cfs_quota_us", quota.to_string(), true),
            ]),
            Version::Two => settings.push(setting("cpu.max", format!("{quota} {period}"), true)),
        }
    }
    settings
}

/// The number behind `word` in lines of `word number`.
pub(super) fn count(text: &str, word: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' ')?.trim().parse().ok())
}
