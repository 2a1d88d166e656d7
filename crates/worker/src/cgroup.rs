//! The cgroup of one run. Made by the worker before the cell has its ids, removed when the run ends.
//! Limits are set here when they come; now it only gathers the run's processes.

use std::path::PathBuf;
use std::time::Duration;

use cell::porch::cgroup_roots;

/// A folder for each handed-over controller; none where the host gave none.
#[derive(Debug)]
pub(crate) struct RunCgroup {
    folders: Vec<PathBuf>,
}

impl RunCgroup {
    /// Makes the folders where the host lets this worker.
    pub(crate) fn make(name: &str) -> Self {
        let make = |root: PathBuf| {
            let folder = root.join(name);
            std::fs::create_dir(&folder).ok().map(|()| folder)
        };
        Self { folders: cgroup_roots().into_iter().filter_map(make).collect() }
    }

    /// Of a run that never had a process.
    pub(crate) fn none() -> Self {
        Self { folders: Vec::new() }
    }

    /// Puts a process into it; what that process starts follows.
    pub(crate) fn place(&self, pid: u32) {
        for folder in &self.folders {
            if let Err(error) = std::fs::write(folder.join("cgroup.procs"), pid.to_string()) {
                tracing::warn!(folder = %folder.display(), %error, "a cell could not be put into its cgroup");
            }
        }
    }

    /// Removes the folders. The kernel takes a moment to let go of killed processes.
    pub(crate) async fn remove(self) {
        for folder in self.folders {
            let mut tries = 0;
            while let Err(error) = std::fs::remove_dir(&folder) {
                tries += 1;
                if tries > 100 || error.kind() == std::io::ErrorKind::NotFound {
                    tracing::warn!(folder = %folder.display(), %error, "a cgroup stays until the worker's next start");
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Removes what an earlier worker of the same store left: every empty folder whose name begins so.
pub(crate) fn sweep(prefix: &str) {
    for root in cgroup_roots() {
        for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                let _ = std::fs::remove_dir(entry.path());
            }
        }
    }
}
