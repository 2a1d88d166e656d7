//! Unpacking a layer's archive into a folder that overlayfs can use.

mod member;
mod pax;
mod place;
mod stream;
mod tree;

use std::io::Read;
use std::path::Path;

use model::Digest;

use crate::error::Error;
use crate::mount::Marks;

/// How large a layer may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of its archive, which has no holes.
    pub(crate) bytes: u64,
    /// Entries, and folders that the archive has no entry for.
    pub(crate) entries: u64,
    /// Bytes of the paths of all folders, which are remembered until the end.
    pub(crate) names: u64,
}

/// What every layer is held to, whatever its blob's size.
const LIMITS: Limits = Limits { bytes: 64 << 30, entries: 4_000_000, names: 256 << 20 };

/// Unpacks `tar` into `folder` and answers the digest of all that was read.
pub(crate) fn unpack(folder: &Path, marks: Marks, tar: impl Read) -> Result<Digest, Error> {
    unpack_within(LIMITS, folder, marks, tar)
}

fn unpack_within(limits: Limits, folder: &Path, marks: Marks, tar: impl Read) -> Result<Digest, Error> {
    let mut stream = stream::Stream::new(tar, limits.bytes);
    let mut tree = tree::Tree::open(folder, marks, limits)?;
    let placed = place_all(&mut tree, &mut stream);
    if let Err(error @ Error::Invalid(_)) = placed {
        // Bytes lost on the way look like a bad archive, until the source, read to its end, says so.
        stream.finish()?;
        return Err(error);
    }
    placed?;
    let digest = stream.finish()?;
    tree.finish()?;
    Ok(digest)
}

fn place_all<R: Read>(tree: &mut tree::Tree, stream: &mut stream::Stream<R>) -> Result<(), Error> {
    while let Some(member) = stream.next()? {
        tree.place(&member, stream)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
