//! Walking a layer's folder against the layers below it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags};
use tar::EntryType;

use super::archive::Archive;
use super::{Diff, DiffStats};
use crate::beneath;
use crate::error::Error;
use crate::folder::LayerDir;
use crate::lookup::{Found, Lowers, Merged};
use crate::node::{self, Node};

/// Folders within folders that an image may have.
const MAX_DEPTH: usize = 500;

/// A walk through a layer.
pub(crate) struct Walk<'o> {
    upper: OwnedFd,
    lowers: Lowers,
    options: Diff,
    archive: Archive<'o>,
    /// Folders on the way that are written only if something in them is.
    pending: Vec<(PathBuf, Node)>,
    /// First names of files with several.
    names: HashMap<(u64, u64), PathBuf>,
    skipped: u64,
}

impl<'o> Walk<'o> {
    pub(crate) fn new(
        upper: &LayerDir,
        lowers: &[LayerDir],
        options: &Diff,
        out: &'o mut dyn Write,
    ) -> Result<Self, Error> {
        Ok(Self {
            upper: beneath::root(upper.path()).map_err(Error::at(upper.path()))?,
            lowers: Lowers::open(lowers)?,
            options: *options,
            archive: Archive::new(out, *options),
            pending: Vec::new(),
            names: HashMap::new(),
            skipped: 0,
        })
    }

    pub(crate) fn run(mut self) -> Result<DiffStats, Error> {
        let root = self.lowers.root();
        self.folder(Path::new(""), &root, false, 0)?;
        if self.skipped > 0 {
            tracing::info!(count = self.skipped, "devices and sockets were left out of a layer");
        }
        self.archive.finish()
    }

    /// A folder's content. In a `replaced` one nothing of the lower layers shows through.
    fn folder(&mut self, path: &Path, merged: &Merged, replaced: bool, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::invalid(
                path,
                "lies too deep: an image may have 500 folders within each other",
            ));
        }
        let fd =
            beneath::beneath(&self.upper, path, OFlags::PATH | OFlags::DIRECTORY).map_err(Error::at(path))?;
        let names = beneath::names(&fd).map_err(Error::at(path))?;
        drop(fd);
        if replaced {
            for name in self.lowers.names(merged, path)? {
                if names.binary_search(&name).is_err() {
                    self.write_pending()?;
                    self.archive.whiteout(path, &name)?;
                }
            }
        }
        for name in names {
            self.entry(path, &name, merged, replaced, depth)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        folder: &Path,
        name: &OsStr,
        merged: &Merged,
        replaced: bool,
        depth: usize,
    ) -> Result<(), Error> {
        let path = folder.join(name);
        if name.as_bytes().starts_with(b".wh.") {
            return Err(Error::Reserved(path));
        }
        let Some((fd, node)) = Node::open(&self.upper, &path)? else {
            return Err(Error::at(&path)(rustix::io::Errno::NOENT));
        };
        let below = self.lowers.find(merged, &path)?;
        if beneath::is_whiteout(&node.stat) {
            if below.file.is_some() {
                self.write_pending()?;
                self.archive.whiteout(folder, name)?;
            }
            return Ok(());
        }
        match node.kind() {
            FileType::Directory => {
                drop(fd);
                let replaced = replaced || node.opaque;
                self.subfolder(path, node, &below, replaced, depth)
            }
            FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice => {
                self.skipped += 1;
                Ok(())
            }
            _ if self.unchanged(&fd, &node, &below).map_err(Error::at(&path))? => Ok(()),
            kind => {
                self.write_pending()?;
                self.write(path, &node, kind, &fd)
            }
        }
    }

    /// A folder is an entry if it is new or looks different, or if something in it is an entry.
    fn subfolder(
        &mut self,
        path: PathBuf,
        node: Node,
        below: &Found,
        replaced: bool,
        depth: usize,
    ) -> Result<(), Error> {
        let changed = match &below.file {
            Some((_, lower)) => !node.looks_like(lower),
            // Without a lower one it is new, unless it was copied from the places to mount at.
            None => !node.copied_up,
        };
        self.pending.push((path.clone(), node));
        if changed {
            self.write_pending()?;
        }
        self.folder(&path, &below.merged, replaced, depth + 1)?;
        if self.pending.last().is_some_and(|(last, _)| *last == path) {
            self.pending.pop();
        }
        Ok(())
    }

    fn write_pending(&mut self) -> Result<(), Error> {
        for (path, node) in std::mem::take(&mut self.pending) {
            self.archive.plain(&path, &node, EntryType::Directory, Path::new(""))?;
        }
        Ok(())
    }

    /// Whether a file is as below. What a COPY wrote is always a change: it gets a new time.
    fn unchanged(&self, fd: &OwnedFd, node: &Node, below: &Found) -> std::io::Result<bool> {
        let Some((lower_fd, lower)) = &below.file else { return Ok(false) };
        let same = !self.options.set_times
            && node.stat.st_nlink == 1
            && node.looks_like(lower)
            && node.stat.st_size == lower.stat.st_size
            && self.options.same_time(node.seconds(), lower.seconds());
        Ok(same
            && match node.kind() {
                FileType::RegularFile => node::same_content(fd, lower_fd)?,
                FileType::Symlink => node::target(fd)? == node::target(lower_fd)?,
                _ => true,
            })
    }

    fn write(&mut self, path: PathBuf, node: &Node, kind: FileType, fd: &OwnedFd) -> Result<(), Error> {
        if node.stat.st_nlink > 1 {
            let file = (node.stat.st_dev, node.stat.st_ino);
            if let Some(first) = self.names.get(&file) {
                return self.archive.plain(&path, node, EntryType::Link, first);
            }
            self.names.insert(file, path.clone());
        }
        match kind {
            FileType::RegularFile => self.archive.file(&path, node, fd),
            FileType::Symlink => {
                let target = node::target(fd).map_err(Error::at(&path))?;
                self.archive.plain(&path, node, EntryType::Symlink, &target)
            }
            FileType::Fifo => self.archive.plain(&path, node, EntryType::Fifo, Path::new("")),
            _ => {
                self.skipped += 1;
                Ok(())
            }
        }
    }
}
