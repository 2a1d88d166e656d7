//! What a stack of layers holds at a path, whiteouts and opaque folders of higher layers honoured.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, OFlags};

use crate::beneath;
use crate::error::Error;
use crate::folder::LayerDir;
use crate::node::Node;

/// A stack of layers.
pub(crate) struct Lowers {
    /// Highest first.
    roots: Vec<OwnedFd>,
}

/// The layers whose folders of one path are merged, highest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Merged(Vec<usize>);

/// What a stack holds at a path.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) file: Option<(OwnedFd, Node)>,
    /// For a folder: where its content is.
    pub(crate) merged: Merged,
}

impl Lowers {
    /// Opens the layers, given lowest first.
    pub(crate) fn open(layers: &[LayerDir]) -> Result<Self, Error> {
        let open = |layer: &LayerDir| beneath::root(layer.path()).map_err(Error::at(layer.path()));
        Ok(Self { roots: layers.iter().rev().map(open).collect::<Result<_, _>>()? })
    }

    /// The root of the stack.
    pub(crate) fn root(&self) -> Merged {
        Merged((0..self.roots.len()).collect())
    }

    /// What is at `path`, whose folder is `parent`.
    pub(crate) fn find(&self, parent: &Merged, path: &Path) -> Result<Found, Error> {
        let mut found = Found::default();
        for &index in &parent.0 {
            let Some(root) = self.roots.get(index) else { continue };
            let Some((fd, node)) = Node::open(root, path)? else { continue };
            let folder = node.kind() == FileType::Directory;
            if beneath::is_whiteout(&node.stat) || (found.file.is_some() && !folder) {
                break;
            }
            let last = !folder || node.opaque;
            if folder {
                found.merged.0.push(index);
            }
            found.file.get_or_insert((fd, node));
            if last {
                break;
            }
        }
        Ok(found)
    }

    /// The names in a folder of the stack.
    pub(crate) fn names(&self, merged: &Merged, path: &Path) -> Result<BTreeSet<OsString>, Error> {
        let mut shown = BTreeSet::new();
        let mut hidden = BTreeSet::new();
        for &index in &merged.0 {
            let Some(root) = self.roots.get(index) else { continue };
            let folder =
                beneath::beneath(root, path, OFlags::PATH | OFlags::DIRECTORY).map_err(Error::at(path))?;
            for name in beneath::names(&folder).map_err(Error::at(path))? {
                let stat = beneath::stat(&folder, &name).map_err(Error::at(path))?;
                let Some(stat) = stat else { continue };
                if beneath::is_whiteout(&stat) {
                    hidden.insert(name);
                } else if !hidden.contains(&name) {
                    shown.insert(name);
                }
            }
        }
        Ok(shown)
    }
}
