//! The OCI runtime's program: where it is and how it likes to be called.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::{Error, Network};

/// Folders that hold runtimes beside those in `PATH` (an ordinary user's may lack `sbin`).
const MORE_FOLDERS: [&str; 5] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin"];

/// The runtimes that are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuntimeKind {
    Crun,
    Runc,
    /// gVisor: a kernel of its own between the process and the machine's. Only where somebody asks for it.
    Runsc,
}

impl RuntimeKind {
    pub const ALL: [Self; 3] = [Self::Crun, Self::Runc, Self::Runsc];
    /// Those that are taken unasked, in the order of preference: crun starts a process in a quarter of the time.
    const UNASKED: [Self; 2] = [Self::Crun, Self::Runc];

    /// The program's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crun => "crun",
            Self::Runc => "runc",
            Self::Runsc => "runsc",
        }
    }
}

/// An installed runtime.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Runtime {
    /// Absolute.
    pub path: PathBuf,
    pub kind: RuntimeKind,
}

impl Runtime {
    /// The runtime named `preferred` (a known name, or an absolute path whose last part begins with
    /// one), or else the first that is installed.
    ///
    /// # Errors
    /// [`Error::RuntimeMissing`].
    pub fn find(preferred: Option<&str>) -> Result<Self, Error> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self::find_in(&path, preferred)
    }

    /// Every runtime that is installed, the preferred kind first.
    #[must_use]
    pub fn installed() -> Vec<Self> {
        RuntimeKind::ALL.iter().filter_map(|kind| Self::find(Some(kind.name())).ok()).collect()
    }

    fn find_in(path: &OsString, preferred: Option<&str>) -> Result<Self, Error> {
        if let Some(runtime) = preferred.and_then(at_path) {
            return Ok(runtime);
        }
        let wanted: Vec<RuntimeKind> = match preferred {
            Some(name) => RuntimeKind::ALL.into_iter().filter(|kind| kind.name() == name).collect(),
            None => RuntimeKind::UNASKED.into(),
        };
        let folders: Vec<PathBuf> =
            std::env::split_paths(path).chain(MORE_FOLDERS.iter().map(PathBuf::from)).collect();
        for kind in wanted {
            let found = folders.iter().map(|f| f.join(kind.name())).find(|p| p.is_absolute() && p.is_file());
            if let Some(path) = found {
                return Ok(Self { path, kind });
            }
        }
        let looked_for = preferred.unwrap_or("crun, runc").to_owned();
        Err(Error::RuntimeMissing { looked_for })
    }

    /// Arguments before the verb: state below `state`, errors as JSON lines into `log`.
    pub(crate) fn global_arguments(&self, network: Network, state: &Path, log: &Path) -> Vec<OsString> {
        let own: &[&str] = match (self.kind, network) {
            (RuntimeKind::Crun, _) => &["--cgroup-manager=disabled"],
            (RuntimeKind::Runc, _) => &[],
            (RuntimeKind::Runsc, Network::None) => {
                &["--ignore-cgroups", "--platform=ptrace", "--network=none"]
            }
            // The network namespace that it is started in, which is the cell's.
            (RuntimeKind::Runsc, Network::Cell) => {
                &["--ignore-cgroups", "--platform=ptrace", "--network=host"]
            }
        };
        let mut arguments: Vec<OsString> = own.iter().map(OsString::from).collect();
        arguments.extend(["--root".into(), state.into(), "--log".into(), log.into()]);
        arguments.push("--log-format=json".into());
        arguments
    }
}

fn at_path(preferred: &str) -> Option<Runtime> {
    let path = Path::new(preferred);
    let name = path.file_name()?.to_str()?;
    let kind = RuntimeKind::ALL.into_iter().find(|kind| name.starts_with(kind.name()))?;
    (path.is_absolute() && path.is_file()).then(|| Runtime { path: path.to_owned(), kind })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test may panic")]
    use super::*;

    #[test]
    fn a_missing_runtime_is_named_with_the_package_that_mends_it() {
        let failure = Runtime::find_in(&OsString::new(), Some("youki")).unwrap_err().failure();
        assert_eq!(failure.kind, "runtime_missing");
        assert!(failure.message.contains("youki") && failure.hint.contains("`crun`"), "{failure}");
    }

    #[test]
    fn crun_is_preferred_and_a_path_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["crun", "runc", "runc-1.2", "runsc"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let path = folder.path().as_os_str().to_owned();
        assert_eq!(Runtime::find_in(&path, None).unwrap().kind, RuntimeKind::Crun);
        assert_eq!(Runtime::find_in(&path, Some("runc")).unwrap().path, folder.path().join("runc"));
        assert_eq!(Runtime::find_in(&path, Some("runsc")).unwrap().kind, RuntimeKind::Runsc);
        let exact = folder.path().join("runc-1.2");
        assert_eq!(Runtime::find_in(&path, exact.to_str()).unwrap().path, exact);
    }
}
