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

/// Unpacks `tar` into `folder` and answers the digest of all that was read.
pub(crate) fn unpack(folder: &Path, marks: Marks, tar: impl Read) -> Result<Digest, Error> {
    let mut stream = stream::Stream::new(tar);
    let mut tree = tree::Tree::open(folder, marks)?;
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
