//! A layer's folder: `d/<id>/fs`, and beside it what overlayfs needs while it is written.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::hold::Hold;

/// The files of one layer. It stays as long as this lives.
#[derive(Clone, Debug)]
pub struct LayerDir {
    path: PathBuf,
    /// None of those that no cleaner removes.
    _hold: Option<Arc<Hold>>,
}

impl PartialEq for LayerDir {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for LayerDir {}

impl LayerDir {
    /// The folder that holds what the layer adds and, as overlayfs marks it, what it removes.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, _hold: None }
    }

    pub(crate) fn held(path: PathBuf, hold: Arc<Hold>) -> Self {
        Self { path, _hold: Some(hold) }
    }

    /// Its name among the layers below `d`, if it is one of them.
    pub(crate) fn id(&self, layers: &Path) -> Option<&str> {
        let id = self.path.strip_prefix(layers).ok()?.to_str()?.strip_suffix("/fs")?;
        (!id.contains('/')).then_some(id)
    }
}

/// A folder that is being filled; removed unless kept.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    id: String,
    hold: Arc<Hold>,
    kept: bool,
}

impl Folder {
    /// Makes `<layers>/<id>/fs` under a name of its own, which is first written down in the folder `ledger`: who else
    /// finds the name there knows whose it is. Names are short: all lowers of a mount have to fit into one page.
    pub(crate) fn new(layers: &Path, ledger: Option<&Path>) -> Result<Self, Error> {
        let (id, path, hold) = loop {
            let (id, path) = unique(layers)?;
            // None: a cleaner took it for one that nobody uses.
            if let Some(hold) = Hold::try_shared(&path).map_err(Error::at(&path))? {
                break (id, path, Arc::new(hold));
            }
        };
        let folder = Self { path, id, hold, kept: false };
        if let Some(ledger) = ledger {
            let name = ledger.join(folder.id());
            std::fs::File::create_new(&name).map_err(Error::at(&name))?;
        }
        let fs = folder.fs();
        private(&fs).map_err(Error::at(&fs))?;
        std::fs::set_permissions(&fs, std::fs::Permissions::from_mode(0o755)).map_err(Error::at(&fs))?;
        Ok(folder)
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn fs(&self) -> PathBuf {
        self.path.join("fs")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// Makes the folder that overlayfs works in.
    pub(crate) fn make_work(&self) -> Result<(), Error> {
        let work = self.work();
        private(&work).map_err(Error::at(&work))
    }

    /// Keeps the layer's files, and only those.
    pub(crate) fn keep(mut self) -> Result<LayerDir, Error> {
        let work = self.work();
        crate::remove_folder(&work).map_err(Error::at(&work))?;
        self.kept = true;
        Ok(LayerDir::held(self.fs(), Arc::clone(&self.hold)))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(error) = crate::remove_folder(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a layer's folder can't be removed");
        }
    }
}

/// Makes a folder with a new name in `parent`.
pub(crate) fn unique(parent: &Path) -> Result<(String, PathBuf), Error> {
    loop {
        let mut bytes = [0_u8; 6];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::at(parent)(io::Error::other(error.to_string())))?;
        let id = hex::encode(bytes);
        let path = parent.join(&id);
        match private(&path) {
            Ok(()) => return Ok((id, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::at(path)(error)),
        }
    }
}

fn private(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}
