//! One file of a layer: what an archive says about it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

use crate::attributes::{self, Attributes, CAPABILITY};
use crate::beneath;
use crate::error::Error;

/// A file without its content.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) stat: Stat,
    /// Those that belong to an image, sorted by name.
    pub(crate) attributes: Attributes,
    /// Hides the lower layers' folders of its name.
    pub(crate) opaque: bool,
    /// overlayfs made it from a file of a lower layer.
    pub(crate) copied_up: bool,
}

impl Node {
    /// The file at `path` below `root`, where no component may be a link.
    pub(crate) fn open(root: &OwnedFd, path: &Path) -> Result<Option<(OwnedFd, Self)>, Error> {
        let fd = match beneath::beneath(root, path, OFlags::PATH) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(Error::at(path)(errno)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(Error::at(path))?;
        let found = attributes::read(&beneath::by_number(&fd)).map_err(Error::at(path))?;
        let marked = |mark: &str| {
            found.iter().find(|(name, _)| {
                ["trusted.overlay.", "user.overlay."]
                    .iter()
                    .any(|prefix| name.strip_prefix(prefix) == Some(mark))
            })
        };
        if marked("redirect").is_some() || marked("metacopy").is_some() {
            return Err(Error::Redirected(path.to_owned()));
        }
        let opaque = marked("opaque").is_some_and(|(_, value)| value == b"y");
        let copied_up = marked("origin").is_some();
        let mut kept: Attributes = found.into_iter().filter(|(name, _)| attributes::belongs(name)).collect();
        for (_, value) in kept.iter_mut().filter(|(name, _)| name == CAPABILITY) {
            *value = attributes::portable(value);
        }
        Ok(Some((fd, Self { stat, attributes: kept, opaque, copied_up })))
    }

    pub(crate) fn kind(&self) -> FileType {
        beneath::kind(&self.stat)
    }

    /// The time of its last change, in whole seconds.
    pub(crate) fn seconds(&self) -> i64 {
        self.stat.st_mtime
    }

    /// Same kind, permissions, owner and attributes; times and content are not looked at.
    pub(crate) fn looks_like(&self, other: &Self) -> bool {
        self.stat.st_mode == other.stat.st_mode
            && self.stat.st_uid == other.stat.st_uid
            && self.stat.st_gid == other.stat.st_gid
            && self.attributes == other.attributes
    }
}

/// A file's content, never waiting for a pipe or a device.
pub(crate) fn content(fd: &OwnedFd) -> Result<File, Errno> {
    Ok(File::from(beneath::reopen(fd, OFlags::RDONLY | OFlags::NONBLOCK)?))
}

/// Where a link opened with `O_PATH` leads.
pub(crate) fn target(fd: &OwnedFd) -> Result<PathBuf, Errno> {
    use std::os::unix::ffi::OsStringExt;
    let target = rustix::fs::readlinkat(fd, "", Vec::new())?;
    Ok(PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes())))
}

/// Whether two files, equally long, hold the same bytes.
pub(crate) fn same_content(one: &OwnedFd, other: &OwnedFd) -> io::Result<bool> {
    let (mut one, mut other) = (content(one)?, content(other)?);
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let size = one.read(&mut left)?;
        if size == 0 {
            return Ok(other.read(&mut right)? == 0);
        }
        match other.read_exact(&mut right[..size]) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            done => done?,
        }
        if left[..size] != right[..size] {
            return Ok(false);
        }
    }
}
