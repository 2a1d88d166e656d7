//! Who uses a layer's folder, and who may remove it. It is the kernel's word (`flock`), for the users are processes of
//! many cells, and each of them may be killed: what it held is free then.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// A folder in use, or one that is being removed; let go when it is dropped.
#[derive(Debug)]
pub(crate) struct Hold(File);

impl Hold {
    /// For use. None: it is being removed, is gone, or can't be looked at.
    pub(crate) fn shared(folder: &Path) -> Option<Self> {
        Self::try_shared(folder).ok().flatten()
    }

    /// For use. None: it is being removed, or is gone.
    pub(crate) fn try_shared(folder: &Path) -> io::Result<Option<Self>> {
        Self::take(folder, FlockOperation::NonBlockingLockShared)
    }

    /// To remove it. None: somebody uses it, or it is gone.
    pub(crate) fn alone(folder: &Path) -> Option<Self> {
        Self::take(folder, FlockOperation::NonBlockingLockExclusive).ok().flatten()
    }

    /// Marks the folder as used now. A base layer may be mounted read-only here: then its age stays.
    pub(crate) fn touch(&self) {
        let _ = self.0.set_modified(std::time::SystemTime::now());
    }

    fn take(folder: &Path, how: FlockOperation) -> io::Result<Option<Self>> {
        let taken = || {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::open(folder, flags, Mode::empty())?;
            rustix::fs::flock(&fd, how)?;
            // It may have been removed between the two.
            let (held, there) =
                (rustix::fs::fstat(&fd)?, rustix::fs::statat(CWD, folder, AtFlags::SYMLINK_NOFOLLOW)?);
            let is_there = (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino);
            Ok(is_there.then(|| Self(fd.into())))
        };
        match taken() {
            Err(Errno::WOULDBLOCK | Errno::NOENT) => Ok(None),
            taken => Ok(taken?),
        }
    }
}
