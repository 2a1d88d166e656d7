//! The cgroup of one run, version 1 (a folder a controller) or 2 (one folder). Made by the worker with the run's
//! limits before the cell has its ids, asked what it had to refuse, removed when the run ends. The cell and all
//! that it starts are in it; what serves it from outside (slirp4netns) is not.

mod files;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cell::porch::cgroup_roots;
use model::RunLimits;

use files::{Version, count, settings};

/// Where cgroups of runs are made on this host, if anywhere.
#[derive(Debug, Clone)]
pub(crate) struct Cgroups {
    roots: Vec<PathBuf>,
    version: Version,
}

/// What a cgroup has refused to a run so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Processes that were killed for want of memory.
    pub(crate) oom_kills: u64,
    /// New processes that there were to be.
    pub(crate) forks: u64,
}

/// A folder for each handed-over controller; none where the host gave none.
#[derive(Debug)]
pub(crate) struct RunCgroup {
    folders: Vec<PathBuf>,
    version: Version,
}

impl Cgroups {
    /// Of this host.
    pub(crate) fn of_host() -> Self {
        Self::at(cgroup_roots())
    }

    pub(crate) fn at(roots: Vec<PathBuf>) -> Self {
        let unified = roots.first().is_some_and(|root| root.join("cgroup.controllers").exists());
        Self { roots, version: if unified { Version::Two } else { Version::One } }
    }

    /// Whether runs can be bounded: memory and processes, by folders that this worker may write.
    pub(crate) fn bound_runs(&self) -> bool {
        ["memory", "pids"].iter().all(|controller| self.roots.iter().any(|root| self.has(root, controller)))
    }

    fn has(&self, root: &Path, controller: &str) -> bool {
        let given = match self.version {
            Version::One => root.parent().and_then(Path::file_name).is_some_and(|name| name == controller),
            Version::Two => {
                let handed_down = std::fs::read_to_string(root.join("cgroup.subtree_control"));
                handed_down.unwrap_or_default().split_whitespace().any(|word| word == controller)
            }
        };
        given && nix::unistd::access(root, nix::unistd::AccessFlags::W_OK).is_ok()
    }

    /// Makes a run's cgroup with its limits; an empty one on a host that can't bound runs.
    ///
    /// # Errors
    /// A folder can't be made, or a limit can't be set: a run without the limits that it is to have does not start.
    pub(crate) fn make(&self, name: &str, limits: &RunLimits) -> io::Result<RunCgroup> {
        let mut cgroup = RunCgroup { folders: Vec::new(), version: self.version };
        if !self.bound_runs() {
            return Ok(cgroup);
        }
        // What is not needed for every limit may be missing: a limit that asks for it says so.
        let given =
            |root: &&PathBuf| nix::unistd::access(root.as_path(), nix::unistd::AccessFlags::W_OK).is_ok();
        for root in self.roots.iter().filter(given) {
            let folder = root.join(name);
            let made = std::fs::create_dir(&folder);
            made.map_err(|error| at(&folder, &error))?;
            cgroup.folders.push(folder);
        }
        match cgroup.limit(limits) {
            Ok(()) => Ok(cgroup),
            Err(error) => {
                cgroup.folders.iter().for_each(|folder| drop(std::fs::remove_dir(folder)));
                Err(error)
            }
        }
    }

    /// Removes what an earlier worker of the same store left: every empty folder whose name begins so.
    pub(crate) fn sweep(&self, prefix: &str) {
        for root in &self.roots {
            for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with(prefix) {
                    let _ = std::fs::remove_dir(entry.path());
                }
            }
        }
    }
}

impl RunCgroup {
    fn limit(&self, limits: &RunLimits) -> io::Result<()> {
        for setting in settings(self.version, limits) {
            let files = self.folders.iter().map(|folder| folder.join(setting.file));
            let present: Vec<_> = files.filter(|file| file.exists()).collect();
            if present.is_empty() && setting.needed {
                return Err(io::Error::other(format!("no controller has {}", setting.file)));
            }
            for file in present {
                std::fs::write(&file, &setting.value).map_err(|error| at(&file, &error))?;
            }
        }
        Ok(())
    }

    /// Puts a process into it; what that process starts follows.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn place(&self, pid: u32) -> io::Result<()> {
        let procs = self.folders.iter().map(|folder| folder.join("cgroup.procs"));
        procs
            .into_iter()
            .try_for_each(|file| std::fs::write(&file, pid.to_string()).map_err(|e| at(&file, &e)))
    }

    /// What it has refused so far.
    pub(crate) fn refused(&self) -> Refused {
        let sum = |counter: files::Counter| {
            let texts = self.folders.iter().map(|folder| folder.join(counter.file));
            texts.filter_map(|file| count(&std::fs::read_to_string(file).ok()?, counter.word)).sum()
        };
        Refused { oom_kills: sum(self.version.oom_kills()), forks: sum(self.version.forks_refused()) }
    }

    /// Stops everything in it, or lets it go on. Where the host gave no way to, nothing happens.
    pub(crate) fn freeze(&self, frozen: bool) {
        let states = self.version.freezer(frozen);
        for file in self.folders.iter().map(|folder| folder.join(states.file)).filter(|file| file.exists()) {
            if let Err(error) = std::fs::write(&file, &states.value) {
                tracing::warn!(file = %file.display(), %error, "a run can't be stopped or let go on");
            }
        }
    }

    /// Every process in it, by id; none where there is no cgroup.
    pub(crate) fn processes(&self) -> Option<Vec<u32>> {
        let text = std::fs::read_to_string(self.folders.first()?.join("cgroup.procs")).ok()?;
        Some(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Removes the folders. The kernel takes a moment to let go of killed processes.
    pub(crate) async fn remove(&self) {
        for folder in &self.folders {
            let mut tries = 0;
            while let Err(error) = std::fs::remove_dir(folder) {
                tries += 1;
                if tries > 500 || error.kind() == io::ErrorKind::NotFound {
                    tracing::warn!(folder = %folder.display(), %error, "a cgroup stays until the worker's next start");
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
