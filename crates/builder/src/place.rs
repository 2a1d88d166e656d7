//! Puts what a COPY selected into a root file system.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::Error;
use crate::fingerprint::xattrs;
use crate::rooted::{Place, Root, beneath, clean, reopen, stat};
use crate::select::{Entry, Selected, content};

/// Owner and time of what is placed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamp {
    /// Uid and gid; none keeps the source's.
    pub(crate) owner: Option<(u32, u32)>,
    /// Seconds since 1970; none keeps the source's.
    pub(crate) mtime: Option<i64>,
}

/// Copies `selection` to `dest`: absolute, with a `/` at its end where it must be a folder.
///
/// # Errors
/// Several sources and no folder, a file where a folder is or the other way round, or a file operation.
pub(crate) fn copy(root: &Root, dest: &str, selection: &[Selected], stamp: Stamp) -> Result<(), Error> {
    let path = clean(Path::new(dest));
    let exists = root.folder(&path).is_ok();
    let into_folder = dest.ends_with('/') || exists || path.as_os_str().is_empty();
    if selection.len() > 1 && !into_folder {
        return Err(Error::DestinationNotFolder(dest.to_owned()));
    }
    for selected in selection {
        if selected.is_folder {
            let folder = make_folders(root, &path, stamp)?;
            Copier::new(&folder, selected, stamp).entries()?;
        } else {
            let target = if into_folder { path.join(&selected.name) } else { path.clone() };
            let place = place(root, &target, stamp)?;
            Copier::new(&place.folder, selected, stamp).file(&place.name)?;
        }
    }
    Ok(())
}

/// Makes a folder and those above it; new ones get the stamp's owner.
pub(crate) fn make_folders(root: &Root, path: &Path, stamp: Stamp) -> Result<OwnedFd, Error> {
    root.make_folders(path, &mut |new| own(new, stamp)).map_err(|errno| blocked(root, path, errno))
}

fn place(root: &Root, path: &Path, stamp: Stamp) -> Result<Place, Error> {
    root.place(path, &mut |new| own(new, stamp)).map_err(|errno| blocked(root, path, errno))
}

fn own(new: BorrowedFd<'_>, stamp: Stamp) -> Result<(), Errno> {
    match stamp.owner {
        Some((uid, gid)) if (uid, gid) != (0, 0) => chown(new, OsStr::new(""), uid, gid),
        _ => Ok(()),
    }
}

/// The file in the way may stand anywhere above `path`: it is the lowest that is there.
fn blocked(root: &Root, path: &Path, errno: Errno) -> Error {
    let there = |above: &&Path| root.open_at(above, OFlags::PATH).is_ok();
    let file = path.ancestors().find(there).filter(|_| errno == Errno::NOTDIR);
    in_the_way(file.unwrap_or(path), errno)
}

fn in_the_way(path: &Path, errno: Errno) -> Error {
    match errno {
        Errno::NOTDIR | Errno::EXIST => Error::Conflict(format!(
            "/{} can't be a folder: a file of that name is in the way.",
            path.display()
        )),
        Errno::LOOP => Error::Conflict(format!("The links at /{} lead in a circle.", path.display())),
        errno => Error::errno("Making", path)(errno),
    }
}

/// One selected source on its way into one folder.
struct Copier<'a> {
    top: &'a OwnedFd,
    from: &'a Selected,
    stamp: Stamp,
    /// The folder that the last entry went to.
    open: Option<(PathBuf, OwnedFd)>,
    /// Where a file with several names was put first.
    links: HashMap<(u64, u64), PathBuf>,
    /// Folders, whose times are set when nothing more goes into them.
    folders: Vec<(&'a Entry, OwnedFd)>,
}

impl<'a> Copier<'a> {
    fn new(top: &'a OwnedFd, from: &'a Selected, stamp: Stamp) -> Self {
        Self { top, from, stamp, open: None, links: HashMap::new(), folders: Vec::new() }
    }

    /// Everything in the selected folder.
    fn entries(mut self) -> Result<(), Error> {
        for entry in &self.from.entries {
            self.entry(entry)?;
        }
        self.finish_folders(Path::new(""))
    }

    /// The selected file, under another name.
    fn file(mut self, name: &OsStr) -> Result<(), Error> {
        let folder = reopen(self.top, OFlags::PATH | OFlags::DIRECTORY)
            .map_err(Error::errno("Opening", Path::new(name)))?;
        self.open = Some((PathBuf::new(), folder));
        for entry in &self.from.entries {
            self.put(entry, Path::new(name))?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &'a Entry) -> Result<(), Error> {
        self.finish_folders(&entry.path)?;
        self.put(entry, &entry.path)
    }

    /// Folders that `next` is not in get their times; at most as many stay open as the tree is deep.
    fn finish_folders(&mut self, next: &Path) -> Result<(), Error> {
        while let Some((entry, _)) = self.folders.last() {
            if !next.as_os_str().is_empty() && next.starts_with(&entry.path) {
                break;
            }
            if let Some((entry, fd)) = self.folders.pop() {
                let done = rustix::fs::futimens(&fd, &self.times(entry));
                done.map_err(Error::errno("Setting the time of", &entry.path))?;
            }
        }
        Ok(())
    }

    fn put(&mut self, entry: &'a Entry, path: &Path) -> Result<(), Error> {
        let name = path.file_name().unwrap_or_default().to_owned();
        let parent = path.parent().unwrap_or(Path::new("")).to_owned();
        if self.open.as_ref().is_none_or(|(open, _)| *open != parent) {
            let fd = beneath(self.top, &parent, OFlags::PATH | OFlags::DIRECTORY)
                .map_err(|errno| in_the_way(&parent, errno))?;
            self.open = Some((parent, fd));
        }
        let Some((_, folder)) = &self.open else { return Ok(()) };
        let folder = folder.try_clone().map_err(Error::io("Copying a descriptor"))?;
        match entry.kind {
            FileType::Directory => self.folder(entry, &folder, &name),
            FileType::RegularFile => self.regular(entry, path, &folder, &name),
            FileType::Symlink => self.symlink(entry, &folder, &name),
            FileType::Fifo => self.fifo(entry, &folder, &name),
            // Devices and sockets are not copied: the sandbox brings its own.
            _ => Ok(()),
        }
    }

    fn folder(&mut self, entry: &'a Entry, folder: &OwnedFd, name: &OsStr) -> Result<(), Error> {
        let failed = |errno| in_the_way(&entry.path, errno);
        match rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let made = beneath(folder, Path::new(name), flags).map_err(|errno| match errno {
            Errno::LOOP => failed(Errno::NOTDIR),
            errno => failed(errno),
        })?;
        let from = self.from.open(entry).map_err(Error::errno("Opening", &entry.path))?;
        self.dress(entry, &from, &made).map_err(Error::errno("Setting the mode of", &entry.path))?;
        self.folders.push((entry, made));
        Ok(())
    }

    fn regular(&mut self, entry: &Entry, path: &Path, folder: &OwnedFd, name: &OsStr) -> Result<(), Error> {
        make_room(folder, name, path)?;
        if entry.stat.st_nlink > 1 {
            let key = (entry.stat.st_dev, entry.stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                return hard_link(self.top, first, folder, name).map_err(Error::errno("Linking", path));
            }
            self.links.insert(key, path.to_owned());
        }
        let mut from = content(self.from, entry).map_err(Error::errno("Opening", path))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let to = rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o600))
            .map_err(Error::errno("Making", path))?;
        let mut to = File::from(to);
        std::io::copy(&mut from, &mut to).map_err(Error::io(format!("Copying {}", path.display())))?;
        self.dress(entry, &from, &to).map_err(Error::errno("Setting the mode of", path))?;
        rustix::fs::futimens(&to, &self.times(entry)).map_err(Error::errno("Setting the time of", path))
    }

    fn symlink(&self, entry: &Entry, folder: &OwnedFd, name: &OsStr) -> Result<(), Error> {
        make_room(folder, name, &entry.path)?;
        let link = || -> Result<(), Errno> {
            rustix::fs::symlinkat(self.from.link(entry)?, folder, name)?;
            self.own_and_time(entry, folder, name)
        };
        link().map_err(Error::errno("Linking", &entry.path))
    }

    fn fifo(&self, entry: &Entry, folder: &OwnedFd, name: &OsStr) -> Result<(), Error> {
        make_room(folder, name, &entry.path)?;
        let make = || -> Result<(), Errno> {
            let mode = Mode::from_raw_mode(entry.stat.st_mode & 0o7777);
            rustix::fs::mknodat(folder, name, FileType::Fifo, mode, 0)?;
            self.own_and_time(entry, folder, name)
        };
        make().map_err(Error::errno("Making", &entry.path))
    }

    /// Owner first: changing it clears set-user-id bits and capabilities.
    fn dress(&self, entry: &Entry, from: impl AsFd, to: impl AsFd) -> Result<(), Errno> {
        let (uid, gid) = self.owner(entry);
        rustix::fs::fchown(&to, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        rustix::fs::fchmod(&to, Mode::from_raw_mode(entry.stat.st_mode & 0o7777))?;
        for (name, value) in xattrs(from)? {
            rustix::fs::fsetxattr(&to, OsStr::from_bytes(&name), &value, XattrFlags::empty())?;
        }
        Ok(())
    }

    fn own_and_time(&self, entry: &Entry, folder: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
        let (uid, gid) = self.owner(entry);
        chown(folder.as_fd(), name, uid, gid)?;
        rustix::fs::utimensat(folder, name, &self.times(entry), AtFlags::SYMLINK_NOFOLLOW)
    }

    fn owner(&self, entry: &Entry) -> (u32, u32) {
        self.stamp.owner.unwrap_or((entry.stat.st_uid, entry.stat.st_gid))
    }

    fn times(&self, entry: &Entry) -> Timestamps {
        let own = Timespec { tv_sec: entry.stat.st_mtime as _, tv_nsec: entry.stat.st_mtime_nsec as _ };
        let time = self.stamp.mtime.map_or(own, |tv_sec| Timespec { tv_sec, tv_nsec: 0 });
        Timestamps { last_access: time, last_modification: time }
    }
}

fn hard_link(top: &OwnedFd, first: &Path, folder: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    let parent = beneath(top, first.parent().unwrap_or(Path::new("")), OFlags::PATH | OFlags::DIRECTORY)?;
    rustix::fs::linkat(parent, first.file_name().unwrap_or_default(), folder, name, AtFlags::empty())
}

/// Removes a file or link that stands where a new one goes; never a folder.
fn make_room(folder: &OwnedFd, name: &OsStr, path: &Path) -> Result<(), Error> {
    let Ok(stat) = stat(folder, name) else { return Ok(()) };
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(Error::Conflict(format!(
            "`{}` can't replace the folder of that name in the image.",
            path.display()
        )));
    }
    rustix::fs::unlinkat(folder, name, AtFlags::empty()).map_err(Error::errno("Replacing", path))
}

fn chown(folder: BorrowedFd<'_>, name: &OsStr, uid: u32, gid: u32) -> Result<(), Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    rustix::fs::chownat(folder, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), flags)
}
