//! Whether a runtime works here, by running `true` under it.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::bundle::Shown;
use crate::{Error, Exit, Process, Runtime};

/// Where the host keeps what `true` needs.
const SYSTEM_FOLDERS: [&str; 5] = ["bin", "lib", "lib32", "lib64", "usr"];

impl Runtime {
    /// Runs the host's own `true` in an otherwise empty root folder below `scratch`, just as a RUN is
    /// run, and says how long it took. Changes nothing outside `scratch`.
    ///
    /// # Errors
    /// As [`crate::run`]; [`Error::Refused`] holds the runtime's own words.
    pub fn probe(&self, scratch: &Path) -> Result<Duration, Error> {
        let rootfs = scratch.join("probe-rootfs");
        let shown = lay_out(&rootfs).map_err(Error::io("Preparing the probe"))?;
        let mut words = Vec::new();
        let started = Instant::now();
        let process = Process { shown, ..Process::new(&rootfs, &["/bin/true"]) };
        let bundle = scratch.join(format!("probe-{}", self.kind.name()));
        let exit = crate::run(self, &bundle, &process, &mut |_, piece| words.extend_from_slice(piece))?;
        match exit {
            Exit::Code(0) => Ok(started.elapsed()),
            other => Err(Error::Refused {
                runtime: self.path.display().to_string(),
                message: format!("`true` ended with {other:?}: {}", String::from_utf8_lossy(&words)),
            }),
        }
    }
}

/// Folders for the runtime's mounts, and the host's system folders as they are: links as links,
/// folders as mounts.
fn lay_out(rootfs: &Path) -> std::io::Result<Vec<Shown>> {
    for folder in ["proc", "sys", "dev"] {
        std::fs::create_dir_all(rootfs.join(folder))?;
    }
    let mut shown = Vec::new();
    for name in SYSTEM_FOLDERS {
        let (host, inside) = (Path::new("/").join(name), rootfs.join(name));
        if let Ok(target) = std::fs::read_link(&host) {
            if inside.symlink_metadata().is_err() {
                symlink(target, inside)?;
            }
        } else if host.is_dir() {
            std::fs::create_dir_all(&inside)?;
            shown.push(Shown { source: host.clone(), destination: host });
        }
    }
    Ok(shown)
}
