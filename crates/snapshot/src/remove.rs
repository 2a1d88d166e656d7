//! Removing a folder that a stranger filled. The standard library goes down one open folder and one frame of the
//! stack a level, and a stranger's folders nest deeper than a process has of either: what lies deep is moved up.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// How far down it goes before it moves folders up.
const DEEP: usize = 64;

/// Removes a folder and all below; one that is not there is fine.
///
/// # Errors
/// Something in it can't be removed.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    let top = match open(rustix::fs::CWD, folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        top => top?,
    };
    let mut removal = Removal { top: &top, next: 0, waiting: Vec::new() };
    removal.empty(&top, 0)?;
    while let Some(name) = removal.waiting.pop() {
        removal.empty(&open(&top, &*name)?, 1)?;
        rustix::fs::unlinkat(&top, &*name, AtFlags::REMOVEDIR)?;
    }
    std::fs::remove_dir(folder)
}

struct Removal<'a> {
    top: &'a OwnedFd,
    next: u64,
    /// Folders in `top` that were moved up.
    waiting: Vec<String>,
}

impl Removal<'_> {
    fn empty(&mut self, here: &OwnedFd, depth: usize) -> io::Result<()> {
        // All names first: what is moved into a folder that is being read may turn up in it again.
        let entries: Vec<_> = Dir::read_from(here)?.collect::<Result<_, _>>()?;
        for entry in entries {
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let stat = rustix::fs::statat(here, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                rustix::fs::unlinkat(here, name, AtFlags::empty())?;
            } else if depth == DEEP {
                self.lift(here, name)?;
            } else {
                self.empty(&open(here, name)?, depth + 1)?;
                rustix::fs::unlinkat(here, name, AtFlags::REMOVEDIR)?;
            }
        }
        Ok(())
    }

    fn lift(&mut self, here: &OwnedFd, name: &std::ffi::CStr) -> io::Result<()> {
        loop {
            let lifted = format!(".lifted-{}", self.next);
            self.next += 1;
            match rustix::fs::renameat_with(here, name, self.top, &*lifted, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
                Ok(()) => {
                    self.waiting.push(lifted);
                    return Ok(());
                }
            }
        }
    }
}

fn open(at: impl rustix::fd::AsFd, path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, path, flags, Mode::empty())?)
}
