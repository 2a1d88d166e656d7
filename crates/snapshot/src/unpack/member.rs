//! An entry of an archive, its headers put together.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use tar::{EntryType, Header};

use super::pax::Pax;
use crate::attributes::Attributes;
use crate::error::Error;

/// What an entry makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Symlink,
    Hardlink,
    Fifo,
    Device,
}

/// An entry without its content.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) kind: Kind,
    /// Relative, without `.` and `..`; empty for the root.
    pub(crate) path: PathBuf,
    /// As written.
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) size: u64,
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
    pub(crate) attributes: Attributes,
}

impl Member {
    /// From an entry's header and what the headers before it say.
    pub(crate) fn new(header: &Header, pax: Pax) -> Result<Self, Error> {
        let path = pax.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let name = String::from_utf8_lossy(&path).into_owned();
        let bad = |what: &str| Error::Invalid(format!("the entry `{name}` {what}"));
        let number = |value: std::io::Result<u64>| value.map_err(|_| bad("has a header with an odd number"));
        let id = |pax: Option<u64>, value: std::io::Result<u64>| {
            let id = pax.map_or_else(|| number(value), Ok)?;
            u32::try_from(id).map_err(|_| bad("has an owner beyond all numbers"))
        };
        let size = pax.size.map_or_else(|| number(header.entry_size()), Ok)?;
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") && size == 0 => Kind::Folder,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Directory => Kind::Folder,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Link => Kind::Hardlink,
            EntryType::Fifo => Kind::Fifo,
            EntryType::Char | EntryType::Block => Kind::Device,
            _ => return Err(bad("is of a kind that layers don't have")),
        };
        let (seconds, nanoseconds) = match pax.time {
            Some(time) => time,
            None => (number(header.mtime())?.cast_signed(), 0),
        };
        let link = pax.link.or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        Ok(Self {
            kind,
            path: clean(&path)?,
            link: link.unwrap_or_default(),
            mode: header.mode().map_err(|_| bad("has a header with an odd number"))? & 0o7777,
            user: id(pax.user, header.uid())?,
            group: id(pax.group, header.gid())?,
            size: if kind == Kind::File { size } else { 0 },
            seconds,
            nanoseconds,
            attributes: pax.attributes,
        })
    }
}

/// A path relative to the layer's root. Climbing is refused, even where it would not lead out.
pub(crate) fn clean(path: &[u8]) -> Result<PathBuf, Error> {
    let path = Path::new(OsStr::from_bytes(path));
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => return Err(Error::invalid(path, "climbs out of its folder with `..`")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(Error::invalid(path, "has a zero in its name"));
    }
    Ok(clean)
}
