//! How much of the disk a folder holds: blocks, not lengths, so that a hole counts nothing. Whoever filled the
//! folder is a stranger, and may be changing it meanwhile: nothing is followed, and nothing is trusted to stay.

use std::collections::HashSet;
use std::ffi::CString;
use std::io;
use std::ops::AddAssign;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// What something takes of a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    pub bytes: u64,
    /// Files and folders.
    pub inodes: u64,
    /// Some of it nests too deep to be looked at: it is more than this.
    pub partial: bool,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.inodes = self.inodes.saturating_add(other.inodes);
        self.partial = self.partial || other.partial;
    }
}

/// A folder that is still to be read. Its parent stays open only until it is.
type Pending = (Rc<OwnedFd>, CString);

/// What lies below `folder`, and the folder. One that is not there takes nothing.
///
/// # Errors
/// It can't be read.
pub fn usage(folder: &Path) -> io::Result<Usage> {
    let top = match rustix::fs::open(folder, folder_flags(), Mode::empty()) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(Usage::default()),
        Err(errno) => return Err(errno.into()),
    };
    let mut walk =
        Walk { usage: Usage { inodes: 1, ..Usage::default() }, linked: HashSet::new(), pending: Vec::new() };
    walk.read(top)?;
    while let Some((parent, name)) = walk.pending.pop() {
        match rustix::fs::openat(&*parent, &name, folder_flags(), Mode::empty()) {
            Ok(folder) => {
                drop(parent);
                walk.read(folder)?;
            }
            Err(Errno::MFILE | Errno::NFILE) => walk.usage.partial = true,
            // Gone meanwhile, or something else now.
            Err(_) => {}
        }
    }
    Ok(walk.usage)
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

struct Walk {
    usage: Usage,
    /// Files with several names, each counted once.
    linked: HashSet<(u64, u64)>,
    pending: Vec<Pending>,
}

impl Walk {
    fn read(&mut self, folder: OwnedFd) -> io::Result<()> {
        let entries = Dir::read_from(&folder)?;
        let folder = Rc::new(folder);
        for entry in entries {
            let Ok(entry) = entry else { break };
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&*folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if !is_folder && stat.st_nlink > 1 && !self.linked.insert((stat.st_dev, stat.st_ino)) {
                continue;
            }
            let bytes = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
            self.usage += Usage { bytes, inodes: 1, partial: false };
            if is_folder {
                self.pending.push((Rc::clone(&folder), name.to_owned()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use std::fs::File;
    use std::io::Write;

    use super::*;

    #[test]
    fn blocks_are_counted_and_neither_holes_nor_second_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        File::create(path("sparse")).unwrap().set_len(1 << 40).unwrap();
        let mut written = File::create(path("written")).unwrap();
        written.write_all(&vec![7; 1 << 20]).unwrap();
        written.sync_all().unwrap();
        std::fs::hard_link(path("written"), path("again")).unwrap();
        std::os::unix::fs::symlink("/usr", path("link")).unwrap();
        let usage = usage(folder.path()).unwrap();
        assert_eq!(usage.inodes, 4, "the folder, two files, a link");
        assert!((1 << 20..2 << 20).contains(&usage.bytes), "{usage:?}");
        assert_eq!(super::usage(&path("nothing")).unwrap(), Usage::default());
    }

    #[test]
    fn a_folder_is_counted_however_deep_it_nests() {
        let folder = tempfile::tempdir().unwrap();
        let mut here = rustix::fs::open(folder.path(), folder_flags(), Mode::empty()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&here, "d", Mode::from_raw_mode(0o700)).unwrap();
            here = rustix::fs::openat(&here, "d", folder_flags(), Mode::empty()).unwrap();
        }
        assert_eq!(usage(folder.path()).unwrap(), Usage { inodes: 3001, ..usage(folder.path()).unwrap() });
        crate::remove::remove_folder(&folder.path().join("d")).unwrap();
        assert_eq!(usage(folder.path()).unwrap().inodes, 1);
    }
}
