//! The archive being written.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use tar::{Builder, EntryType};

use super::header::Fields;
use super::{Diff, DiffStats};
use crate::error::Error;
use crate::node::{self, Node};

/// A tar archive and the count of what is in it.
pub(crate) struct Archive<'o> {
    out: Builder<&'o mut dyn Write>,
    options: Diff,
    stats: DiffStats,
}

impl<'o> Archive<'o> {
    pub(crate) fn new(out: &'o mut dyn Write, options: Diff) -> Self {
        Self { out: Builder::new(out), options, stats: DiffStats::default() }
    }

    /// A file without content: a folder, a link, a pipe.
    pub(crate) fn plain(
        &mut self,
        path: &Path,
        node: &Node,
        kind: EntryType,
        link: &Path,
    ) -> Result<(), Error> {
        // A second name of a file has the attributes of the first.
        let attributes = if kind == EntryType::Link { &[] } else { node.attributes.as_slice() };
        self.entry(&self.fields(path, node, kind, link, 0), attributes, io::empty())
    }

    /// A regular file.
    pub(crate) fn file(&mut self, path: &Path, node: &Node, fd: &OwnedFd) -> Result<(), Error> {
        let size = u64::try_from(node.stat.st_size).unwrap_or_default();
        let content = node::content(fd).map_err(Error::at(path))?;
        let fields = self.fields(path, node, EntryType::Regular, Path::new(""), size);
        self.entry(&fields, &node.attributes, content)?;
        self.stats.bytes += size;
        Ok(())
    }

    /// The mark of a removed file.
    pub(crate) fn whiteout(&mut self, folder: &Path, name: &OsStr) -> Result<(), Error> {
        let mut marked = OsStr::new(".wh.").to_owned();
        marked.push(name);
        let path = folder.join(marked);
        let fields = Fields {
            path: &path,
            kind: EntryType::Regular,
            link: Path::new(""),
            mode: 0,
            user: 0,
            group: 0,
            size: 0,
            time: self.options.epoch.unwrap_or(0),
        };
        self.entry(&fields, &[], io::empty())
    }

    /// Writes the archive's end.
    pub(crate) fn finish(mut self) -> Result<DiffStats, Error> {
        self.out.finish().map_err(Error::Write)?;
        Ok(self.stats)
    }

    fn fields<'f>(
        &self,
        path: &'f Path,
        node: &Node,
        kind: EntryType,
        link: &'f Path,
        size: u64,
    ) -> Fields<'f> {
        Fields {
            path,
            kind,
            link,
            mode: node.stat.st_mode,
            user: node.stat.st_uid,
            group: node.stat.st_gid,
            size,
            time: self.options.time(node.seconds()),
        }
    }

    fn entry(
        &mut self,
        fields: &Fields<'_>,
        attributes: &[(String, Vec<u8>)],
        content: impl Read,
    ) -> Result<(), Error> {
        let (header, mut records) = fields.encode();
        records
            .extend(attributes.iter().map(|(name, value)| (format!("SCHILY.xattr.{name}"), value.clone())));
        let records = records.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        self.out.append_pax_extensions(records).map_err(Error::Write)?;
        let mut content = Exact { content: content.take(fields.size), left: fields.size };
        self.out.append(&header, &mut content).map_err(Error::Write)?;
        self.stats.entries += 1;
        Ok(())
    }
}

/// Content that must be as long as its header says.
struct Exact<R> {
    content: R,
    left: u64,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.content.read(buffer)?;
        self.left = self.left.saturating_sub(size as u64);
        if size == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::other("a file became shorter while it was read"));
        }
        Ok(size)
    }
}
