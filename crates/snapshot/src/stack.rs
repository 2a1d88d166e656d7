//! Layers stacked: to write a new one, or to read them.

use std::path::Path;

use crate::error::Error;
use crate::folder::{Folder, LayerDir};
use crate::mount::{Marks, Mount};

/// A stack with a new layer on top, mounted. Dropped, it is unmounted and the new layer removed.
#[derive(Debug)]
pub struct Active {
    // Dropped in this order.
    mount: Mount,
    folder: Folder,
    _lowers: Vec<LayerDir>,
}

impl Active {
    pub(crate) fn mount(
        marks: Marks,
        from: &Path,
        lowers: &[LayerDir],
        folder: Folder,
        places: &Path,
    ) -> Result<Self, Error> {
        // A folder that overlayfs worked in with `volatile` can't be used again, so each has its own.
        folder.make_work()?;
        let mount = Mount::overlay(marks, from, lowers, Some(&folder), places)?;
        Ok(Self { mount, folder, _lowers: lowers.to_vec() })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.mount.path()
    }

    /// Where what is written lies.
    #[must_use]
    pub fn written(&self) -> &Path {
        self.folder.path()
    }

    /// Unmounts and keeps the new layer.
    ///
    /// # Errors
    /// A process still uses the stack. The layer is removed then.
    pub fn commit(self) -> Result<LayerDir, Error> {
        self.mount.unmount()?;
        self.folder.keep()
    }
}

/// Layers as one folder to read from. Dropped, it is unmounted.
#[derive(Debug)]
pub struct View {
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Folder(LayerDir),
    Mount { mount: Mount, _lowers: Vec<LayerDir> },
}

impl View {
    pub(crate) fn folder(layer: LayerDir) -> Self {
        Self { shown: Shown::Folder(layer) }
    }

    pub(crate) fn mount(
        marks: Marks,
        from: &Path,
        lowers: &[LayerDir],
        places: &Path,
    ) -> Result<Self, Error> {
        let mount = Mount::overlay(marks, from, lowers, None, places)?;
        Ok(Self { shown: Shown::Mount { mount, _lowers: lowers.to_vec() } })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        match &self.shown {
            Shown::Folder(layer) => layer.path(),
            Shown::Mount { mount, .. } => mount.path(),
        }
    }
}
