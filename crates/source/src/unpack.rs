//! A tar archive's entries as files below one folder. Where a link leads is only data: nothing is
//! written or read through one.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use tar::{Entry, EntryType};

use crate::beneath::{Folder, finish_file};
use crate::error::Error;
use crate::measure::Measure;
use crate::upload::invalid;

/// An unpacking that is under way.
pub(crate) struct Unpacking {
    root: Folder,
    /// The name of the entry at hand, as it is shown to people.
    shown: String,
    /// The folder of the entry before, which most often is this one's too.
    parent: Option<(PathBuf, Folder)>,
    /// Folders whose mode and time are set last: a mode may forbid writing, writing changes the time.
    folders: Vec<(PathBuf, u32, i64)>,
    measure: Measure,
}

impl Unpacking {
    pub(crate) fn into(folder: &Path, measure: Measure) -> io::Result<Self> {
        let root = Folder::open(folder)?;
        Ok(Self { root, shown: String::new(), parent: None, folders: Vec::new(), measure })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.measure.is_zero()
    }

    pub(crate) fn entry(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<(), Error> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        self.measure.entry()?;
        self.shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = clean(&entry.path_bytes()).map_err(|why| self.refused(why))?;
        self.measure.depth(path.iter().count())?;
        let mode = entry.header().mode().map_err(invalid)? & 0o7777;
        let time = i64::try_from(entry.header().mtime().map_err(invalid)?).unwrap_or(0);
        let Some(name) = path.file_name().map(OsStr::as_bytes) else {
            return self.root_entry(kind, mode, time);
        };
        self.go_to_parent(&path)?;
        match kind {
            EntryType::Directory => self.folder(&path, name, mode, time),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                if content::is_in_pieces(entry).map_err(invalid)? {
                    return Err(self.malformed("is a sparse file in pieces: pack it without --sparse"));
                }
                self.file(entry, name, mode, time)
            }
            EntryType::Symlink => self.link(entry, name, time),
            EntryType::Link => self.hard_link(entry, name),
            _ => Err(self.refused("it is neither a file nor a folder nor a link")),
        }
    }

    /// Reads what an entry holds beyond its meaning: a link with content is one.
    pub(crate) fn pass_over(&mut self, entry: &mut impl Read) -> Result<(), Error> {
        let mut buffer = [0; 8 << 10];
        loop {
            match entry.read(&mut buffer).map_err(invalid)? {
                0 => return Ok(()),
                count => self.measure.bytes(count as u64)?,
            }
        }
    }

    /// Sets modes and times of folders, the deepest first: those above must still let us through.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        // Stable: of two entries for one folder the later one is set last.
        self.folders.sort_by_key(|(path, ..)| std::cmp::Reverse(path.iter().count()));
        for (path, mode, time) in &self.folders {
            self.root
                .descend(path)
                .and_then(|folder| folder.finish(*mode, *time))
                .map_err(Error::disk(path))?;
        }
        Ok(())
    }

    /// `./`: its mode is the context's own, and must stay one that can be entered.
    fn root_entry(&mut self, kind: EntryType, mode: u32, time: i64) -> Result<(), Error> {
        if kind != EntryType::Directory {
            return Err(self.refused("it has no name"));
        }
        self.folders.push((PathBuf::new(), mode | 0o700, time));
        Ok(())
    }

    fn parent(&self) -> &Folder {
        self.parent.as_ref().map_or(&self.root, |(_, folder)| folder)
    }

    /// Opens the folder that `path` lies in, and makes what is missing of it.
    fn go_to_parent(&mut self, path: &Path) -> Result<(), Error> {
        let parent = path.parent().unwrap_or(Path::new(""));
        if self.parent.as_ref().is_some_and(|(open, _)| open == parent) {
            return Ok(());
        }
        let folder = match self.root.descend(parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make(parent)?,
            opened => opened.map_err(|error| self.written(error))?,
        };
        self.parent = Some((parent.to_owned(), folder));
        Ok(())
    }

    /// What has no entry of its own counts as one: a short archive may name many folders.
    fn make(&mut self, path: &Path) -> Result<Folder, Error> {
        let mut folder = self.root.descend(Path::new("")).map_err(|error| self.written(error))?;
        for part in path {
            let entered = match folder.enter(part.as_bytes()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.measure.entry()?;
                    folder.create(part.as_bytes())
                }
                entered => entered,
            };
            folder = entered.map_err(|error| self.written(error))?;
        }
        Ok(folder)
    }

    fn folder(&mut self, path: &Path, name: &[u8], mode: u32, time: i64) -> Result<(), Error> {
        let folder = match self.parent().create(name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.parent().enter(name),
            made => made,
        };
        folder.map_err(|error| self.written(error))?;
        self.folders.push((path.to_owned(), mode, time));
        Ok(())
    }

    /// Its size is counted before it is written, holes too.
    fn file(
        &mut self,
        entry: &mut Entry<'_, impl Read>,
        name: &[u8],
        mode: u32,
        time: i64,
    ) -> Result<(), Error> {
        self.measure.bytes(entry.size())?;
        let file = replacing(self.parent(), name, |parent| parent.create_file(name));
        let mut file = file.map_err(|error| self.written(error))?;
        if entry.header().entry_type() == EntryType::GNUSparse {
            // The disk's own refusals have a number, a decoder's have none.
            content::copy_with_holes(entry, &mut file).map_err(|error| match error.raw_os_error() {
                Some(_) => self.written(error),
                None => invalid(error),
            })?;
        }
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = entry.read(&mut buffer).map_err(invalid)?;
            if count == 0 {
                break;
            }
            file.write_all(&buffer[..count]).map_err(|error| self.written(error))?;
        }
        finish_file(&file, mode, time).map_err(|error| self.written(error))
    }

    fn link(&self, entry: &Entry<'_, impl Read>, name: &[u8], time: i64) -> Result<(), Error> {
        let target = entry.link_name_bytes().filter(|target| !target.is_empty());
        let target = target.ok_or_else(|| self.malformed("is a link to nowhere"))?;
        replacing(self.parent(), name, |parent| parent.create_link(name, &target))
            .and_then(|()| self.parent().set_time(name, time))
            .map_err(|error| self.written(error))
    }

    /// A hard link names an entry before it, from the archive's root.
    fn hard_link(&self, entry: &Entry<'_, impl Read>, name: &[u8]) -> Result<(), Error> {
        let target = entry.link_name_bytes().unwrap_or_default();
        let target = clean(&target).map_err(|why| self.refused(&format!("as a hard link, {why}")))?;
        let old = target.file_name().ok_or_else(|| self.malformed("is a hard link to nowhere"))?;
        let from = self.root.descend(target.parent().unwrap_or(Path::new("")));
        let from = from.map_err(|error| self.written(error))?;
        replacing(self.parent(), name, |parent| parent.hard_link(name, &from, old.as_bytes()))
            .map_err(|error| self.written(error))
    }

    fn refused(&self, why: &str) -> Error {
        Error::ArchiveUnsafe { what: format!("`{}`, {why}", self.shown) }
    }

    fn malformed(&self, why: &str) -> Error {
        Error::ArchiveInvalid { why: format!("`{}` {why}", self.shown) }
    }

    /// What a refused system call on our own disk says about the entry that asked for it.
    fn written(&self, error: io::Error) -> Error {
        match Errno::from_io_error(&error) {
            Some(Errno::LOOP | Errno::XDEV | Errno::NOTDIR) => {
                self.refused("it leads through a link or a file")
            }
            Some(
                Errno::ISDIR | Errno::EXIST | Errno::NOENT | Errno::NAMETOOLONG | Errno::INVAL | Errno::PERM,
            ) => self.malformed(&format!("can't be made: {error}")),
            _ => Error::Disk { path: self.shown.clone().into(), error },
        }
    }
}

/// The parts of a name below the root; empty for the root itself.
fn clean(name: &[u8]) -> Result<PathBuf, &'static str> {
    if name.first() == Some(&b'/') {
        return Err("its name is absolute");
    }
    let mut path = PathBuf::new();
    for part in name.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".") {
        match part {
            b".." => return Err("its name climbs"),
            part if part.contains(&0) => return Err("its name holds a zero byte"),
            part => path.push(OsStr::from_bytes(part)),
        }
    }
    Ok(path)
}

/// As tar does: a later entry replaces an earlier one, except a folder.
fn replacing<T>(folder: &Folder, name: &[u8], make: impl Fn(&Folder) -> io::Result<T>) -> io::Result<T> {
    match make(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            folder.remove(name)?;
            make(folder)
        }
        made => made,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::{LIMITS, Limits};

    #[test]
    fn an_archive_ends_at_the_limits() {
        let mut builder = tar::Builder::new(Vec::new());
        for name in ["a", "b/c/d/e"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(10);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, &b"0123456789"[..]).unwrap();
        }
        let archive = builder.into_inner().unwrap();
        let unpack = |limits: Limits| {
            let folder = tempfile::tempdir().unwrap();
            let mut unpacking = Unpacking::into(folder.path(), Measure::of(limits)).unwrap();
            let mut archive = tar::Archive::new(&archive[..]);
            archive.entries().unwrap().try_for_each(|entry| unpacking.entry(&mut entry.unwrap()))
        };
        assert!(unpack(Limits { entries: 5, bytes: 20, depth: 4 }).is_ok());
        for limits in
            [Limits { entries: 4, ..LIMITS }, Limits { bytes: 19, ..LIMITS }, Limits { depth: 3, ..LIMITS }]
        {
            assert!(matches!(unpack(limits), Err(Error::TooLarge { .. })), "{limits:?}");
        }
    }
}
