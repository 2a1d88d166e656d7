//! The test's side: a folder in which a point is armed by a file of its name, and in which a process that has come
//! to it says so by renaming that file. Whoever can rename it is the one: a process that is started again finds
//! nothing armed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Point;

/// Names the folder, in the environment of the processes under test.
pub const VARIABLE: &str = "SLIPWAY_FAILPOINTS";

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL, to the process that passes.
    Kill,
    /// SIGSTOP, likewise; the test sends SIGCONT.
    Stop,
    /// Whoever passes waits until [`Fired::release`].
    Stall,
    /// The point answers an error, where it can.
    Fail,
}

impl Action {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Stall => "stall",
            Self::Fail => "fail",
        }
    }

    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::Kill, Self::Stop, Self::Stall, Self::Fail].into_iter().find(|action| action.word() == word)
    }
}

/// The folder.
#[derive(Debug, Clone)]
pub struct Arms(PathBuf);

/// A process that came to an armed point.
#[derive(Debug)]
pub struct Fired {
    pub pid: i32,
    file: PathBuf,
}

impl Arms {
    /// In a folder in which every user of the processes under test may rename files.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Arms a point for its `nth` pass from now on, counted by each process for itself.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn arm(&self, point: Point, nth: u32, action: Action) -> io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let part = self.0.join(format!("part-{number}"));
        std::fs::write(&part, format!("{number} {nth} {}", action.word()))?;
        std::fs::rename(part, self.0.join(point.name()))
    }

    /// Whoever waits goes on, and nothing is armed any more.
    pub fn clear(&self) {
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let _ = std::fs::remove_file(entry.path());
        }
    }

    /// Who came to the point.
    #[must_use]
    pub fn fired(&self, point: Point) -> Option<Fired> {
        let prefix = format!("{}.fired.", point.name());
        std::fs::read_dir(&self.0).ok()?.flatten().find_map(|entry| {
            let pid = entry.file_name().to_str()?.strip_prefix(&prefix)?.parse().ok()?;
            Some(Fired { pid, file: entry.path() })
        })
    }

    /// Looks until somebody came there, for as long as `limit`.
    #[must_use]
    pub fn wait(&self, point: Point, limit: Duration) -> Option<Fired> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(fired) = self.fired(point) {
                return Some(fired);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        None
    }
}

impl Fired {
    /// Whoever stalls there goes on.
    pub fn release(self) {
        let _ = std::fs::remove_file(self.file);
    }
}
