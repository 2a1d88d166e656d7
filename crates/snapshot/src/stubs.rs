//! Two layers that no image has: one empty, and one with the places that a container runtime mounts at, so
//! that it need not make them in the layer that is being written.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use crate::error::Error;
use crate::folder::{Folder, LayerDir};

/// Folder of the layer without files.
pub(crate) const EMPTY: &str = "empty";
/// Folder of the layer with places to mount at.
pub(crate) const STUBS: &str = "stubs";

const FOLDERS: [&str; 8] = ["proc", "sys", "dev", "dev/pts", "dev/shm", "dev/mqueue", "etc", "run"];
const FILES: [&str; 3] = ["etc/resolv.conf", "etc/hosts", "etc/hostname"];

/// Makes what is missing below `layers`.
pub(crate) fn make(layers: &Path) -> Result<(), Error> {
    publish(layers, EMPTY, &[], &[])?;
    publish(layers, STUBS, &FOLDERS, &FILES)
}

pub(crate) fn layer(layers: &Path, name: &str) -> LayerDir {
    LayerDir::new(layers.join(name).join("fs"))
}

fn publish(layers: &Path, name: &str, folders: &[&str], files: &[&str]) -> Result<(), Error> {
    let target = layers.join(name);
    if target.is_dir() {
        return Ok(());
    }
    let new = Folder::new(layers, None)?;
    for folder in folders {
        let path = new.fs().join(folder);
        DirBuilder::new().mode(0o755).create(&path).map_err(Error::at(&path))?;
        mode(&path, 0o755)?;
    }
    for file in files {
        let path = new.fs().join(file);
        File::create_new(&path).map_err(Error::at(&path))?;
        mode(&path, 0o644)?;
    }
    match std::fs::rename(layers.join(new.id()), &target) {
        Ok(()) => new.keep().map(drop),
        // Another process was faster.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) =>
        {
            Ok(())
        }
        Err(error) => Err(Error::at(target)(error)),
    }
}

fn mode(path: &Path, mode: u32) -> Result<(), Error> {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(Error::at(path))
}
