//! A commit's tree as files. libgit2's own checkout is not used: it knows filters, attributes and
//! hooks, and none of them may run on a stranger's word. Every folder is new and entered by its
//! descriptor, so no link in the tree leads a write anywhere.

use std::io::{self, Write};
use std::path::Path;

use git2::{ObjectType, Odb, OdbObject, Oid, Repository, Tree, TreeEntry};

use super::fetch::git;
use crate::beneath::{Folder, finish_file};
use crate::error::Error;
use crate::measure::Measure;

/// What a checkout has to tell.
pub(super) struct CheckedOut {
    /// Paths of submodules, which are empty folders now.
    pub(super) submodules: Vec<String>,
}

/// Writes `tree` into the empty folder `dest`; every time becomes `time`, seconds since 1970.
pub(super) fn check_out(
    repository: &Repository,
    tree: &Tree<'_>,
    dest: &Path,
    time: i64,
    measure: Measure,
) -> Result<CheckedOut, Error> {
    let odb = repository.odb().map_err(git)?;
    let folder = Folder::open(dest).map_err(Error::disk(dest))?;
    let mut checkout =
        Checkout { repository, odb: &odb, time, measure, path: Vec::new(), submodules: Vec::new() };
    checkout.tree(tree, &folder)?;
    Ok(CheckedOut { submodules: checkout.submodules })
}

struct Checkout<'a> {
    repository: &'a Repository,
    odb: &'a Odb<'a>,
    time: i64,
    /// Names from the root to where we are.
    path: Vec<String>,
    measure: Measure,
    submodules: Vec<String>,
}

impl<'a> Checkout<'a> {
    fn tree(&mut self, tree: &Tree<'_>, folder: &Folder) -> Result<(), Error> {
        self.measure.depth(self.path.len())?;
        for entry in tree.iter() {
            self.path.push(String::from_utf8_lossy(entry.name_bytes()).into_owned());
            self.entry(&entry, folder)?;
            self.path.pop();
        }
        folder.finish(0o755, self.time).map_err(|error| self.written(error))
    }

    fn entry(&mut self, entry: &TreeEntry<'_>, folder: &Folder) -> Result<(), Error> {
        self.measure.entry()?;
        let name = entry.name_bytes();
        if is_forbidden(name) {
            return Err(self.refused("is a name that no checkout may have"));
        }
        match entry.filemode_raw() {
            0o040_000 => {
                let tree = self.repository.find_tree(entry.id()).map_err(git)?;
                let made = folder.create(name).map_err(|error| self.written(error))?;
                self.tree(&tree, &made)
            }
            0o120_000 => self.link(entry.id(), name, folder),
            0o160_000 => {
                self.submodules.push(self.path.join("/"));
                let made = folder.create(name).map_err(|error| self.written(error))?;
                made.finish(0o755, self.time).map_err(|error| self.written(error))
            }
            mode if mode & 0o170_000 == 0o100_000 => {
                let mode = if mode & 0o100 == 0 { 0o644 } else { 0o755 };
                self.file(entry.id(), name, mode, folder)
            }
            mode => Err(self.refused(&format!("has the unknown mode {mode:o}"))),
        }
    }

    fn file(&mut self, id: Oid, name: &[u8], mode: u32, folder: &Folder) -> Result<(), Error> {
        let content = self.blob(id)?;
        let mut file = folder.create_file(name).map_err(|error| self.written(error))?;
        file.write_all(content.data()).map_err(|error| self.written(error))?;
        finish_file(&file, mode, self.time).map_err(|error| self.written(error))
    }

    fn link(&mut self, id: Oid, name: &[u8], folder: &Folder) -> Result<(), Error> {
        let target = self.blob(id)?;
        let target = target.data();
        if target.is_empty() || target.len() >= 4096 || target.contains(&0) {
            return Err(self.refused("is a link whose target is no path"));
        }
        folder.create_link(name, target).map_err(|error| self.written(error))?;
        folder.set_time(name, self.time).map_err(|error| self.written(error))
    }

    /// The content of a file; its size is counted before it is read.
    fn blob(&mut self, id: Oid) -> Result<OdbObject<'a>, Error> {
        let (size, kind) = self.odb.read_header(id).map_err(git)?;
        if kind != ObjectType::Blob {
            return Err(self.refused("is not what its mode says"));
        }
        self.measure.bytes(size as u64)?;
        self.odb.read(id).map_err(git)
    }

    fn refused(&self, why: &str) -> Error {
        Error::RepositoryUnsafe { what: format!("`{}` {why}", self.path.join("/")) }
    }

    /// A name that is taken can only be the tree's own second entry.
    fn written(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::AlreadyExists => self.refused("is there twice"),
            io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => self.refused("is no file name"),
            _ => Error::Disk { path: self.path.join("/").into(), error },
        }
    }
}

/// Names by which a tree would climb or bring a repository of its own.
fn is_forbidden(name: &[u8]) -> bool {
    name.is_empty()
        || name == b"."
        || name == b".."
        || name.eq_ignore_ascii_case(b".git")
        || name.contains(&b'/')
        || name.contains(&0)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::{LIMITS, Limits};

    /// Ten folders of ten folders …, five deep, from six objects.
    fn bomb(repository: &Repository) -> Oid {
        let mut object = (repository.blob(b"0123456789").unwrap(), 0o100_644);
        for _ in 0..5 {
            let mut tree = repository.treebuilder(None).unwrap();
            for number in 0..10 {
                tree.insert(format!("n{number}"), object.0, object.1).unwrap();
            }
            object = (tree.write().unwrap(), 0o040_000);
        }
        object.0
    }

    #[test]
    fn a_tree_that_multiplies_itself_ends_at_the_limits() {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(folder.path().join("git")).unwrap();
        let tree = repository.find_tree(bomb(&repository)).unwrap();
        for limits in [
            Limits { entries: 100, ..LIMITS },
            Limits { bytes: 100, ..LIMITS },
            Limits { depth: 3, ..LIMITS },
        ] {
            let dest = tempfile::tempdir_in(folder.path()).unwrap();
            let result = check_out(&repository, &tree, dest.path(), 0, Measure::of(limits));
            let is_too_large = matches!(result, Err(Error::TooLarge { .. }));
            assert!(is_too_large, "{limits:?}");
        }
    }
}
