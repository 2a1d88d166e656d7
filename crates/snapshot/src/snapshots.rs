//! All layers below one root, and the names they are found by.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::Digest;

use crate::error::Error;
use crate::folder::{Folder, LayerDir};
use crate::hold::Hold;
use crate::mount::Marks;
use crate::stack::{Active, View};
use crate::{Usage, remove_folder, stubs, sweep, unpack, usage};

/// The layers below one root, and those of another one that is only read. Several processes may use it at once.
#[derive(Debug)]
pub struct Snapshots {
    root: PathBuf,
    /// Somebody else fills it.
    base: Option<PathBuf>,
    marks: Marks,
    ledger: Option<PathBuf>,
}

impl Snapshots {
    /// Opens `root`, making what is missing.
    ///
    /// # Errors
    /// It can't be written.
    pub fn open(root: &Path) -> Result<Self, Error> {
        for folder in [root.to_owned(), root.join("d"), root.join("m"), root.join("layers")] {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(Error::at(&folder))?;
        }
        let root = root.canonicalize().map_err(Error::at(root))?;
        stubs::make(&root.join("d"))?;
        Ok(Self { root, base: None, marks: Marks::of_this_process()?, ledger: None })
    }

    /// Opens `root`, and finds layers below `base` first. What is mounted is named from the folder that holds
    /// both, to be short.
    ///
    /// # Errors
    /// `root` can't be written, or there is no `base`.
    pub fn open_above(root: &Path, base: &Path) -> Result<Self, Error> {
        let base = base.canonicalize().map_err(Error::at(base))?;
        Ok(Self { base: Some(base), ..Self::open(root)? })
    }

    /// Writes the name of every folder that is made into `ledger`, a folder, as a file: what a run made is found
    /// by it while the run lives, and after it was killed.
    #[must_use]
    pub fn recording(self, ledger: &Path) -> Self {
        Self { ledger: Some(ledger.to_owned()), ..self }
    }

    /// What the folders of a ledger hold by now.
    ///
    /// # Errors
    /// The ledger can't be read.
    pub fn usage(root: &Path, ledger: &Path) -> io::Result<Usage> {
        let mut sum = Usage::default();
        for id in recorded(ledger)? {
            sum += usage(&root.join("d").join(id))?;
        }
        Ok(sum)
    }

    /// Removes those folders of a ledger that no name leads to: nobody else has seen them. For a run of which no
    /// process lives. One that is in use has lost its name to a cleaner, which removes it later.
    ///
    /// # Errors
    /// A file can't be removed.
    pub fn forget(&self, ledger: &Path) -> Result<(), Error> {
        let named = sweep::named_folders(&self.layers(), &self.folders())?;
        for id in recorded(ledger).map_err(Error::at(ledger))? {
            let folder = self.folders().join(&id);
            if !named.contains(&id)
                && let Some(_alone) = Hold::alone(&folder)
            {
                remove_folder(&folder).map_err(Error::at(&folder))?;
            }
        }
        Ok(())
    }

    /// The layer of that name, if it is there.
    #[must_use]
    pub fn get(&self, diff_id: &Digest) -> Option<LayerDir> {
        self.base.iter().chain([&self.root]).find_map(|root| named(root, diff_id))
    }

    /// Unpacks a layer from its archive, which is read to its end and has to be what `diff_id` says.
    ///
    /// # Errors
    /// The archive is another one, is damaged or hostile, or the disk is full. Nothing is kept then.
    pub fn unpack(&self, diff_id: &Digest, tar: impl Read) -> Result<LayerDir, Error> {
        let folder = Folder::new(&self.folders(), self.ledger.as_deref())?;
        let actual = unpack::unpack(&folder.fs(), self.marks, tar)?;
        if actual != *diff_id {
            return Err(Error::Digest { expected: diff_id.clone(), actual });
        }
        if self.publish(folder.id(), diff_id)? {
            return folder.keep();
        }
        match self.get(diff_id) {
            Some(first) => Ok(first),
            None => folder.keep(),
        }
    }

    /// Mounts `lowers`, lowest first, with a new empty layer on top. `mountpoints` adds, below all, the
    /// folders and files that a container runtime mounts at.
    ///
    /// # Errors
    /// overlayfs can't be mounted.
    pub fn prepare(&self, lowers: &[LayerDir], mountpoints: bool) -> Result<Active, Error> {
        let folders = self.folders();
        let lowest = match (mountpoints, lowers.is_empty()) {
            (true, _) => Some(stubs::layer(&folders, stubs::STUBS)),
            (false, true) => Some(stubs::layer(&folders, stubs::EMPTY)),
            (false, false) => None,
        };
        let folder = Folder::new(&folders, self.ledger.as_deref())?;
        if let Some(base) = lowers.first() {
            like(base.path(), &folder.fs())?;
        }
        let stack: Vec<LayerDir> = lowest.into_iter().chain(lowers.iter().cloned()).collect();
        Active::mount(self.marks, &self.from(), &stack, folder, &self.places())
    }

    /// Shows `lowers`, lowest first, as one folder to read from.
    ///
    /// # Errors
    /// overlayfs can't be mounted.
    pub fn view(&self, lowers: &[LayerDir]) -> Result<View, Error> {
        match lowers {
            [] => Ok(View::folder(stubs::layer(&self.folders(), stubs::EMPTY))),
            [only] => Ok(View::folder(only.clone())),
            _ => View::mount(self.marks, &self.from(), lowers, &self.places()),
        }
    }

    /// Lets `layer` be found by `diff_id`. A layer that is already found by it stays.
    ///
    /// # Errors
    /// It is no layer of this root, or the name can't be written.
    pub fn name(&self, layer: &LayerDir, diff_id: &Digest) -> Result<(), Error> {
        let folders = self.folders();
        let id = layer
            .id(&folders)
            .ok_or_else(|| Error::at(layer.path())(io::Error::other("not a layer here")))?;
        self.publish(id, diff_id).map(drop)
    }

    /// Removes what nothing names. Only for a root that nothing uses.
    ///
    /// # Errors
    /// A file can't be removed.
    pub fn sweep(&self) -> Result<(), Error> {
        sweep::sweep(&self.folders(), &self.places(), &self.layers())
    }

    /// Whether the folder became the one that `diff_id` names.
    fn publish(&self, id: &str, diff_id: &Digest) -> Result<bool, Error> {
        let name = self.layers().join(diff_id.hex());
        let target = Path::new("../d").join(id);
        match symlink(&target, &name) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::at(name)(error)),
        }
        if self.get(diff_id).is_some() {
            return Ok(false);
        }
        // The name leads nowhere: its folder is gone.
        let aside = self.layers().join(format!(".{id}"));
        symlink(&target, &aside).map_err(Error::at(&aside))?;
        std::fs::rename(&aside, &name).map_err(Error::at(&name))?;
        Ok(true)
    }

    /// Where layers are named from in a mount.
    fn from(&self) -> PathBuf {
        match (&self.base, self.root.parent()) {
            (Some(base), Some(both)) if base.starts_with(both) => both.to_owned(),
            _ => self.folders(),
        }
    }

    fn folders(&self) -> PathBuf {
        self.root.join("d")
    }

    fn places(&self) -> PathBuf {
        self.root.join("m")
    }

    fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }
}

/// The folder that a name below `root` leads to.
fn named(root: &Path, diff_id: &Digest) -> Option<LayerDir> {
    let name = root.join("layers").join(diff_id.hex());
    let target = std::fs::read_link(&name).ok()?;
    let folder = root.join("d").join(target.file_name()?);
    let hold = Hold::shared(&folder)?;
    // Before it was held it may have been removed.
    let is_named = std::fs::read_link(&name).is_ok_and(|now| now == target);
    let fs = folder.join("fs");
    (is_named && fs.is_dir()).then(|| {
        hold.touch();
        LayerDir::held(fs, Arc::new(hold))
    })
}

/// The names in a ledger; one that is not there has none.
fn recorded(ledger: &Path) -> io::Result<Vec<OsString>> {
    match std::fs::read_dir(ledger) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name())).collect(),
    }
}

/// The root of a stack is its uppermost folder, so that has to look like the base's.
fn like(base: &Path, upper: &Path) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;
    let stat = std::fs::symlink_metadata(base).map_err(Error::at(base))?;
    std::os::unix::fs::lchown(upper, Some(stat.uid()), Some(stat.gid())).map_err(Error::at(upper))?;
    std::fs::set_permissions(upper, stat.permissions()).map_err(Error::at(upper))
}
