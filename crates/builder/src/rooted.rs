//! The only way to touch a root file system, a stage's files or the context: through a descriptor of its
//! root, where the kernel resolves every link as if that were `/` (openat2(2), `RESOLVE_IN_ROOT`).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A folder that nothing leads out of.
#[derive(Debug)]
pub(crate) struct Root {
    fd: OwnedFd,
}

/// A place for a file: its folder, which exists, and its name there.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) folder: OwnedFd,
    pub(crate) name: OsString,
}

impl Root {
    pub(crate) fn open(path: &Path) -> Result<Self, Errno> {
        let fd = rustix::fs::open(path, FOLDER, Mode::empty())?;
        Ok(Self { fd })
    }

    pub(crate) fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Opens what `path` leads to, links followed within the root.
    pub(crate) fn open_at(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        retry(|| rustix::fs::openat2(&self.fd, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve))
    }

    /// A folder, if that is what `path` leads to.
    pub(crate) fn folder(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open_at(path, FOLDER)
    }

    /// Makes `path` and what is missing above it. `made` is told of every new folder. A link that leads
    /// nowhere has its target made, as Docker does.
    pub(crate) fn make_folders(
        &self,
        path: &Path,
        made: &mut dyn FnMut(BorrowedFd<'_>) -> Result<(), Errno>,
    ) -> Result<OwnedFd, Errno> {
        self.make(path, made, MAX_LINKS)
    }

    fn make(
        &self,
        path: &Path,
        made: &mut dyn FnMut(BorrowedFd<'_>) -> Result<(), Errno>,
        links: usize,
    ) -> Result<OwnedFd, Errno> {
        match self.folder(path) {
            Err(Errno::NOENT) => {}
            done => return done,
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::NOENT) };
        let folder = self.make(parent, made, links)?;
        match rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                let new = beneath(&folder, Path::new(name), FOLDER)?;
                rustix::fs::fchmod(
                    reopen(&new, OFlags::RDONLY | OFlags::DIRECTORY)?,
                    Mode::from_raw_mode(0o755),
                )?;
                made(new.as_fd())?;
                Ok(new)
            }
            Err(Errno::EXIST) if links > 0 => match link_target(&folder, name) {
                Some(target) => self.make(&clean(&parent.join(target)), made, links - 1),
                None => self.folder(path),
            },
            Err(errno) => Err(errno),
        }
    }

    /// Where a file named `path` goes: links at its end are followed within the root, folders above
    /// it are made.
    pub(crate) fn place(
        &self,
        path: &Path,
        made: &mut dyn FnMut(BorrowedFd<'_>) -> Result<(), Errno>,
    ) -> Result<Place, Errno> {
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(Errno::ISDIR);
            };
            let folder = self.make_folders(parent, made)?;
            match link_target(&folder, name) {
                Some(target) => path = clean(&parent.join(target)),
                None => return Ok(Place { folder, name: name.to_owned() }),
            }
        }
        Err(Errno::LOOP)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Opens below `folder` without following any link.
pub(crate) fn beneath(folder: impl AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    retry(|| rustix::fs::openat2(&folder, path, flags, Mode::empty(), resolve))
}

/// The same file as a descriptor made with `O_PATH`, open for use.
pub(crate) fn reopen(fd: impl AsFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    rustix::fs::open(link, flags | OFlags::CLOEXEC, Mode::empty())
}

/// A regular file's content, never waiting for a pipe or a device.
pub(crate) fn open_file(fd: impl AsFd) -> Result<File, Errno> {
    Ok(File::from(reopen(fd, OFlags::RDONLY | OFlags::NONBLOCK)?))
}

pub(crate) fn stat(folder: impl AsFd, name: &OsStr) -> Result<Stat, Errno> {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Names in a folder, sorted by their bytes.
pub(crate) fn names(folder: impl AsFd) -> Result<Vec<OsString>, Errno> {
    use std::os::unix::ffi::OsStrExt;
    let readable = reopen(folder, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut names = Vec::new();
    for entry in Dir::read_from(readable)? {
        let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// An absolute or relative path made relative to the root, `..` clipped there.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir => clean = PathBuf::new(),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

fn link_target(folder: &OwnedFd, name: &OsStr) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let stat = stat(folder, name).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        return None;
    }
    let target = rustix::fs::readlinkat(folder, name, Vec::new()).ok()?;
    Some(PathBuf::from(OsString::from_vec(target.into_bytes())))
}

/// openat2 answers EAGAIN when a rename anywhere disturbed a `..`.
fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 0..64 {
        match call() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            done => return done,
        }
    }
    call()
}
