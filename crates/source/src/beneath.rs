//! A folder whose descriptor is the only way down: nothing in it, whatever a stranger put there, can
//! lead a write out of it. Reads follow links, but never out (`openat2(2)`, `RESOLVE_BENEATH`).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Folder {
    /// A folder of our own, followed by its name.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(CWD, path, FOLDER, Mode::empty())?))
    }

    /// A new empty folder, owned by us, with mode 0755 whatever the umask.
    pub(crate) fn create(&self, name: &[u8]) -> io::Result<Self> {
        rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(0o755))?;
        let made = self.enter(name)?;
        rustix::fs::fchmod(&made.0, Mode::from_raw_mode(0o755))?;
        Ok(made)
    }

    /// A folder directly within this one; a link is not followed.
    pub(crate) fn enter(&self, name: &[u8]) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?))
    }

    /// A new file of our own; [`finish_file`] gives it its mode. Fails where the name is taken, also by a link.
    pub(crate) fn create_file(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&self.0, name, flags, Mode::from_raw_mode(0o600))?))
    }

    /// A new symbolic link; where it leads is only data.
    pub(crate) fn create_link(&self, name: &[u8], target: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target, &self.0, name)?)
    }

    /// A second name in `self` for `name` in `from`; a link is not followed.
    pub(crate) fn hard_link(&self, name: &[u8], from: &Self, old: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::linkat(&from.0, old, &self.0, name, AtFlags::empty())?)
    }

    /// Takes away a name that is no folder; a name that is not there is no error.
    pub(crate) fn remove(&self, name: &[u8]) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sets both times of a name within this folder to `seconds` since 1970; of a link its own.
    pub(crate) fn set_time(&self, name: &[u8], seconds: i64) -> io::Result<()> {
        let times = both(seconds);
        Ok(rustix::fs::utimensat(&self.0, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Sets the mode and the times of this folder itself.
    pub(crate) fn finish(&self, mode: u32, seconds: i64) -> io::Result<()> {
        rustix::fs::fchmod(&self.0, Mode::from_raw_mode(mode))?;
        Ok(rustix::fs::futimens(&self.0, &both(seconds))?)
    }

    /// What this folder holds, sorted; names that are not UTF-8 are left out.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            match entry?.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// A file or folder anywhere below; links are followed as long as they stay below.
    pub(crate) fn look_up(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC;
        Ok(rustix::fs::openat2(&self.0, path, flags, Mode::empty(), resolve)?)
    }

    /// A folder anywhere below, reached through folders only, never through a link.
    pub(crate) fn descend(&self, path: &Path) -> io::Result<Self> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        Ok(Self(rustix::fs::openat2(&self.0, path, FOLDER, Mode::empty(), resolve)?))
    }
}

/// Sets mode and times of a file that was written: a write takes the set-user-id bits away again.
pub(crate) fn finish_file(file: &File, mode: u32, seconds: i64) -> io::Result<()> {
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode))?;
    Ok(rustix::fs::futimens(file.as_fd(), &both(seconds))?)
}

fn both(seconds: i64) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}
