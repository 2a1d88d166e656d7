//! The folder within a checkout that is the context.

use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::beneath::Folder;
use crate::error::Error;

/// The absolute path of `subdirectory` within `tree`. Links are followed within the tree only.
pub(super) fn subdirectory_of(tree: &Path, subdirectory: Option<&str>) -> Result<PathBuf, Error> {
    let root = tree.canonicalize().map_err(Error::disk(tree))?;
    let Some(path) = subdirectory.filter(|path| !path.is_empty()) else { return Ok(root) };
    let missing = |why: &str| Error::SubdirectoryNotFound { path: path.to_owned(), why: why.to_owned() };
    if path.contains('\0') {
        return Err(missing(""));
    }
    let folder = Folder::open(&root).map_err(Error::disk(&root))?;
    folder.look_up(Path::new(path), OFlags::RDONLY | OFlags::DIRECTORY).map_err(|error| {
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NAMETOOLONG) => missing(""),
            Some(Errno::NOTDIR) => missing(": it is a file"),
            Some(Errno::XDEV | Errno::LOOP) => missing(": it leads out of the repository"),
            _ => Error::Disk { path: root.join(path), error },
        }
    })?;
    // Nobody else writes here: what was looked up is what the name still means.
    let found = root.join(path).canonicalize().map_err(Error::disk(&root))?;
    if found.starts_with(&root) { Ok(found) } else { Err(missing(": it leads out of the repository")) }
}
