//! Who uses a layer's folder, and who may remove it. It is the kernel's word (`flock`), for the users are processes of
//! many cells, and each of them may be killed: what it held is free then.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags};

/// A folder in use, or one that is being removed; let go when it is dropped.
#[derive(Debug)]
pub(crate) struct Hold(File);

impl Hold {
    /// For use. None: it is being removed, or is gone.
    pub(crate) fn shared(folder: &Path) -> Option<Self> {
        Self::take(folder, FlockOperation::NonBlockingLockShared)
    }

    /// To remove it. None: somebody uses it, or it is gone.
    pub(crate) fn alone(folder: &Path) -> Option<Self> {
        Self::take(folder, FlockOperation::NonBlockingLockExclusive)
    }

    /// Marks the folder as used now. A base layer may be mounted read-only here: then its age stays.
    pub(crate) fn touch(&self) {
        let _ = self.0.set_modified(std::time::SystemTime::now());
    }

    fn take(folder: &Path, how: FlockOperation) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::open(folder, flags, rustix::fs::Mode::empty()).ok()?;
        rustix::fs::flock(&fd, how).ok()?;
        Some(Self(fd.into()))
    }
}
