//! Putting an entry of an archive at its place.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::member::{Kind, Member, clean};
use super::stream::Stream;
use super::tree::{Before, Tree, refused, times};
use crate::attributes;
use crate::beneath;
use crate::error::Error;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Other names that AUFS reserved for itself.
const RESERVED: &[u8] = b".wh..wh.";

impl Tree {
    /// Makes what `member` says, its content read from `stream`.
    pub(crate) fn place<R: Read>(&mut self, member: &Member, stream: &mut Stream<R>) -> Result<(), Error> {
        self.count()?;
        let (Some(above), Some(name)) = (member.path.parent(), member.path.file_name()) else {
            return self.place_root(member);
        };
        if name.as_bytes().starts_with(WHITEOUT) {
            return self.remove(above, name.as_bytes());
        }
        if member.kind == Kind::Device {
            self.devices += 1;
            return Ok(());
        }
        let parent = self.folder(above)?;
        let before = self.clear(&parent, name, &member.path, member.kind == Kind::Folder)?;
        let failed = |errno| refused(&member.path, errno);
        match member.kind {
            Kind::File => self.write(&parent, name, member, stream)?,
            Kind::Folder if before == Before::Folder => {}
            Kind::Folder => rustix::fs::mkdirat(&*parent, name, Mode::RWXU).map_err(failed)?,
            Kind::Symlink => {
                self.forget_near();
                rustix::fs::symlinkat(OsStr::from_bytes(&member.link), &*parent, name).map_err(failed)?;
            }
            Kind::Fifo => rustix::fs::mkfifoat(&*parent, name, Mode::RUSR).map_err(failed)?,
            Kind::Hardlink => return self.link(&parent, name, member),
            Kind::Device => {}
        }
        dress(&parent, name, member)?;
        if member.kind == Kind::Folder {
            if before == Before::Whiteout {
                self.hide(&parent, name, &member.path)?;
            }
            self.time(member.path.clone(), member.seconds, member.nanoseconds)?;
        }
        Ok(())
    }

    fn place_root(&mut self, member: &Member) -> Result<(), Error> {
        if member.kind != Kind::Folder {
            return Err(Error::Invalid("the layer's root is not a folder".to_owned()));
        }
        let root = std::rc::Rc::clone(&self.root);
        dress(&root, OsStr::new("."), member)?;
        self.time(member.path.clone(), member.seconds, member.nanoseconds)
    }

    /// A whiteout: hides what lower layers have, never what this one has.
    fn remove(&mut self, above: &Path, marked: &[u8]) -> Result<(), Error> {
        let parent = self.folder(above)?;
        if marked == OPAQUE {
            return self.hide(&parent, OsStr::new("."), above);
        }
        if marked.starts_with(RESERVED) {
            return Ok(());
        }
        let name = OsStr::from_bytes(&marked[WHITEOUT.len()..]);
        let path = above.join(name);
        if matches!(name.as_bytes(), b"" | b"." | b"..") {
            return Err(Error::invalid(above, "holds the mark of a removed file without its name"));
        }
        let failed = |errno| refused(&path, errno);
        match beneath::stat(&*parent, name).map_err(failed)? {
            None => {
                let (kind, none) = (FileType::CharacterDevice, rustix::fs::makedev(0, 0));
                rustix::fs::mknodat(&*parent, name, kind, Mode::empty(), none).map_err(failed)
            }
            Some(stat) if beneath::kind(&stat) == FileType::Directory => self.hide(&parent, name, &path),
            Some(_) => Ok(()),
        }
    }

    fn write<R: Read>(
        &mut self,
        parent: &OwnedFd,
        name: &OsStr,
        member: &Member,
        stream: &mut Stream<R>,
    ) -> Result<(), Error> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(file.map_err(|errno| refused(&member.path, errno))?);
        loop {
            let size = stream.content(&mut self.buffer)?;
            if size == 0 {
                return Ok(());
            }
            file.write_all(&self.buffer[..size]).map_err(Error::at(&member.path))?;
        }
    }

    /// A second name for a file that this layer already has.
    fn link(&mut self, parent: &OwnedFd, name: &OsStr, member: &Member) -> Result<(), Error> {
        let missing = || {
            let target = String::from_utf8_lossy(&member.link);
            Error::invalid(&member.path, &format!("is a second name for `{target}`, which its layer lacks"))
        };
        let target = clean(&member.link)?;
        let (Some(above), Some(last)) = (target.parent(), target.file_name()) else { return Err(missing()) };
        let folder = beneath::in_root(&self.root, above, beneath::FOLDER).map_err(|_| missing())?;
        let stat =
            beneath::stat(&folder, last).map_err(|errno| refused(&target, errno))?.ok_or_else(missing)?;
        if beneath::is_whiteout(&stat) || beneath::kind(&stat) == FileType::Directory {
            return Err(missing());
        }
        rustix::fs::linkat(&folder, last, parent, name, AtFlags::empty())
            .map_err(|errno| refused(&member.path, errno))
    }
}

/// Owner, attributes, permissions and time, in the order in which none undoes another.
fn dress(parent: &OwnedFd, name: &OsStr, member: &Member) -> Result<(), Error> {
    let (user, group) = (Uid::from_raw(member.user), Gid::from_raw(member.group));
    match rustix::fs::chownat(parent, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::INVAL) => {
            let path = member.path.clone();
            return Err(Error::Owner { path, user: member.user, group: member.group });
        }
        done => done.map_err(Error::at(&member.path))?,
    }
    let path = beneath::by_number(parent).join(name);
    attributes::write(&path, &member.attributes).map_err(Error::at(&member.path))?;
    if member.kind != Kind::Symlink {
        let mode = Mode::from_raw_mode(member.mode);
        rustix::fs::chmodat(parent, name, mode, AtFlags::empty()).map_err(Error::at(&member.path))?;
    }
    let times = times(member.seconds, member.nanoseconds);
    rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(Error::at(&member.path))
}
