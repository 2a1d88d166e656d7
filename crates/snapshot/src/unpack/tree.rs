//! The folder a layer is unpacked into, and the folders in it.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use crate::beneath::{self, FOLDER};
use crate::error::Error;
use crate::mount::Marks;
use crate::unpack::Limits;

/// A layer being unpacked.
pub(crate) struct Tree {
    pub(crate) root: Rc<OwnedFd>,
    marks: Marks,
    /// What of its limits is left.
    left: Limits,
    /// The folder of the last entry; most entries follow one of the same folder.
    near: Option<(PathBuf, Rc<OwnedFd>)>,
    /// Times of folders, set when nothing is put into them any more.
    times: Vec<(PathBuf, Timestamps)>,
    pub(crate) devices: u64,
    pub(crate) buffer: Vec<u8>,
}

/// What was where an entry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    Nothing,
    Folder,
    Whiteout,
}

impl Tree {
    pub(crate) fn open(folder: &Path, marks: Marks, limits: Limits) -> Result<Self, Error> {
        let root = Rc::new(beneath::root(folder).map_err(Error::at(folder))?);
        let buffer = vec![0; 1 << 17];
        let mut tree = Self { root, marks, left: limits, near: None, times: Vec::new(), devices: 0, buffer };
        tree.time(PathBuf::new(), 0, 0)?;
        Ok(tree)
    }

    /// Sets the folders' times.
    pub(crate) fn finish(self) -> Result<(), Error> {
        for (path, times) in &self.times {
            let Ok(folder) = beneath::in_root(&self.root, path, FOLDER | OFlags::NOFOLLOW) else { continue };
            rustix::fs::utimensat(&folder, "", times, AtFlags::EMPTY_PATH).map_err(Error::at(path))?;
        }
        if self.devices > 0 {
            tracing::info!(count = self.devices, "devices were left out of a layer");
        }
        Ok(())
    }

    pub(crate) fn time(&mut self, path: PathBuf, seconds: i64, nanoseconds: u32) -> Result<(), Error> {
        let names = self.left.names.checked_sub(path.as_os_str().len() as u64);
        self.left.names = names.ok_or(Error::TooLarge("folders"))?;
        self.times.push((path, times(seconds, nanoseconds)));
        Ok(())
    }

    /// One more entry, or a folder that has none.
    pub(crate) fn count(&mut self) -> Result<(), Error> {
        self.left.entries = self.left.entries.checked_sub(1).ok_or(Error::TooLarge("files"))?;
        Ok(())
    }

    /// The folder at `path`, made with all above it where it is missing. Links that the layer itself has
    /// are followed within the layer.
    pub(crate) fn folder(&mut self, path: &Path) -> Result<Rc<OwnedFd>, Error> {
        if let Some((near, folder)) = &self.near
            && near == path
        {
            return Ok(Rc::clone(folder));
        }
        let folder = match beneath::in_root(&self.root, path, FOLDER) {
            Ok(folder) => Rc::new(folder),
            Err(Errno::NOENT | Errno::NOTDIR) => self.make(path)?,
            Err(errno) => return Err(refused(path, errno)),
        };
        self.near = Some((path.to_owned(), Rc::clone(&folder)));
        Ok(folder)
    }

    fn make(&mut self, path: &Path) -> Result<Rc<OwnedFd>, Error> {
        let mut folder = Rc::clone(&self.root);
        let mut made = PathBuf::new();
        for name in path {
            made.push(name);
            folder = match beneath::in_root(&self.root, &made, FOLDER) {
                Ok(next) => Rc::new(next),
                Err(Errno::NOENT | Errno::NOTDIR) => {
                    self.make_one(&folder, name, &made)?;
                    Rc::new(beneath::beneath(&folder, Path::new(name), FOLDER).map_err(Error::at(&made))?)
                }
                Err(errno) => return Err(refused(&made, errno)),
            };
        }
        Ok(folder)
    }

    /// A folder that the archive has no entry for.
    fn make_one(&mut self, parent: &OwnedFd, name: &OsStr, path: &Path) -> Result<(), Error> {
        self.count()?;
        let hides = match beneath::stat(parent, name).map_err(Error::at(path))? {
            None => false,
            Some(stat) if beneath::is_whiteout(&stat) => {
                rustix::fs::unlinkat(parent, name, AtFlags::empty()).map_err(Error::at(path))?;
                true
            }
            Some(_) => return Err(Error::invalid(path, "is used as a folder but is none in its layer")),
        };
        let mode = Mode::from_raw_mode(0o755);
        rustix::fs::mkdirat(parent, name, mode).map_err(|errno| refused(path, errno))?;
        rustix::fs::chmodat(parent, name, mode, AtFlags::empty()).map_err(Error::at(path))?;
        if hides {
            self.hide(parent, name, path)?;
        }
        self.time(path.to_owned(), 0, 0)
    }

    /// Makes room for an entry. A folder stays if the entry is one.
    pub(crate) fn clear(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        path: &Path,
        keep_folder: bool,
    ) -> Result<Before, Error> {
        let Some(stat) = beneath::stat(parent, name).map_err(|errno| refused(path, errno))? else {
            return Ok(Before::Nothing);
        };
        let folder = beneath::kind(&stat) == FileType::Directory;
        if folder && keep_folder {
            return Ok(Before::Folder);
        }
        // It may have been the way to the last entry's folder.
        self.near = None;
        if folder {
            std::fs::remove_dir_all(beneath::by_number(parent).join(name)).map_err(Error::at(path))?;
        } else {
            rustix::fs::unlinkat(parent, name, AtFlags::empty()).map_err(Error::at(path))?;
        }
        Ok(if beneath::is_whiteout(&stat) { Before::Whiteout } else { Before::Nothing })
    }

    /// A new link may be the way to where the last entry's folder was.
    pub(crate) fn forget_near(&mut self) {
        self.near = None;
    }

    /// Lets a folder hide the lower layers' folders of its name.
    pub(crate) fn hide(&self, parent: &OwnedFd, name: &OsStr, path: &Path) -> Result<(), Error> {
        let folder = beneath::by_number(parent).join(name);
        rustix::fs::lsetxattr(folder, self.marks.opaque(), b"y", XattrFlags::empty()).map_err(Error::at(path))
    }
}

/// A time of last change; the time of last access becomes the same.
pub(crate) fn times(seconds: i64, nanoseconds: u32) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// What the kernel says of a path that a layer names: some of it is the layer's fault.
pub(crate) fn refused(path: &Path, errno: Errno) -> Error {
    match errno {
        Errno::LOOP => Error::invalid(path, "is a link that leads in circles"),
        Errno::NAMETOOLONG => Error::invalid(path, "is longer than a path can be"),
        Errno::NOTDIR | Errno::NOENT | Errno::EXIST => {
            Error::invalid(path, "is used as a folder but is none in its layer")
        }
        errno => Error::at(path)(errno),
    }
}
