//! Mounting overlayfs.

use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sched::CloneFlags;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use crate::error::Error;
use crate::folder::{self, Folder, LayerDir};

/// The kernel copies one page of options and wants a zero at its end.
const MAX_OPTIONS: usize = 4095;

/// Where overlayfs keeps its marks: `trusted.` is for the root of the machine alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marks {
    Trusted,
    User,
}

impl Marks {
    /// As this process's user namespace wants it.
    pub(crate) fn of_this_process() -> Result<Self, Error> {
        let path = "/proc/self/uid_map";
        let map = std::fs::read_to_string(path).map_err(Error::at(path))?;
        let whole = map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
        Ok(if whole { Self::Trusted } else { Self::User })
    }

    /// The attribute of a folder that hides the lower layers' folders of its name.
    pub(crate) fn opaque(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User => "user.overlay.opaque",
        }
    }

    fn options(self) -> &'static str {
        match self {
            Self::Trusted => "redirect_dir=off,metacopy=off,index=off",
            Self::User => "userxattr",
        }
    }
}

/// A mounted stack, unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Mount {
    target: PathBuf,
    mounted: bool,
}

impl Mount {
    /// Mounts `lowers`, lowest first, below `upper`, at a new folder in `places`. What lies below `from` is named
    /// relative to it, which keeps names short.
    pub(crate) fn overlay(
        marks: Marks,
        from: &Path,
        lowers: &[LayerDir],
        upper: Option<&Folder>,
        places: &Path,
    ) -> Result<Self, Error> {
        let failed = |error: io::Error| Error::Mount { layers: lowers.len(), error };
        let names: Vec<String> = lowers.iter().rev().map(|lower| name(lower.path(), from)).collect();
        let mut options = format!("lowerdir={}", names.join(":"));
        if let Some(upper) = upper {
            let (upper, work) = (name(&upper.fs(), from), name(&upper.work(), from));
            options += &format!(",upperdir={upper},workdir={work},volatile");
        }
        options = format!("{options},{}", marks.options());
        if options.len() > MAX_OPTIONS {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "their names are too long")));
        }
        let options = CString::new(options).map_err(|error| failed(error.into()))?;
        let (_, target) = folder::unique(places)?;
        let mut mount = Self { target, mounted: false };
        elsewhere(from, || {
            rustix::mount::mount("overlay", &mount.target, "overlay", MountFlags::empty(), options.as_c_str())
        })
        .map_err(failed)?;
        mount.mounted = true;
        Ok(mount)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.target
    }

    /// Unmounts; a process that still uses the stack is waited for shortly.
    pub(crate) fn unmount(mut self) -> Result<(), Error> {
        for _ in 0..50 {
            match rustix::mount::unmount(&self.target, UnmountFlags::NOFOLLOW) {
                Err(Errno::BUSY) => std::thread::sleep(Duration::from_millis(10)),
                Err(errno) => return Err(Error::at(&self.target)(errno)),
                Ok(()) => {
                    self.mounted = false;
                    return Ok(());
                }
            }
        }
        Err(Error::at(&self.target)(Errno::BUSY))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.mounted {
            let _ = rustix::mount::unmount(&self.target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        }
        // Only ever the empty folder: what is mounted must not be emptied.
        if let Err(error) = std::fs::remove_dir(&self.target) {
            tracing::warn!(path = %self.target.display(), %error, "a mount point can't be removed");
        }
    }
}

fn name(folder: &Path, from: &Path) -> String {
    let text = folder.strip_prefix(from).unwrap_or(folder).to_string_lossy();
    text.replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,")
}

/// Runs `call` on a thread whose working folder is `folder`, the process's own being left alone.
fn elsewhere(folder: &Path, call: impl FnOnce() -> Result<(), Errno> + Send) -> io::Result<()> {
    std::thread::scope(|scope| {
        let run = || -> io::Result<()> {
            nix::sched::unshare(CloneFlags::CLONE_FS)?;
            rustix::process::chdir(folder)?;
            Ok(call()?)
        };
        let thread = std::thread::Builder::new().name("mount".into()).spawn_scoped(scope, run)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that mounts panicked")))
    })
}
