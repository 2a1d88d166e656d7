//! Removing what an earlier life of the worker left behind.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::UnmountFlags;

use crate::error::Error;
use crate::stubs;

/// Unmounts what is mounted in `places`, then removes names that lead nowhere and folders without a name.
pub(crate) fn sweep(folders: &Path, places: &Path, layers: &Path) -> Result<(), Error> {
    for place in list(places)? {
        let _ = rustix::mount::unmount(&place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        std::fs::remove_dir(&place).map_err(Error::at(&place))?;
    }
    let mut kept: HashSet<OsString> = [stubs::EMPTY, stubs::STUBS].map(OsString::from).into();
    for name in list(layers)? {
        match named(&name, folders) {
            Some(id) => {
                kept.insert(id);
            }
            None => remove(&name)?,
        }
    }
    for folder in list(folders)? {
        if folder.file_name().is_some_and(|id| kept.contains(id)) {
            let work = folder.join("work");
            if work.exists() {
                remove(&work)?;
            }
        } else {
            remove(&folder)?;
        }
    }
    Ok(())
}

/// The folders that names lead to.
pub(crate) fn named_folders(layers: &Path, folders: &Path) -> Result<HashSet<OsString>, Error> {
    Ok(list(layers)?.iter().filter_map(|name| named(name, folders)).collect())
}

/// The folder that a name leads to, if both are whole.
fn named(name: &Path, folders: &Path) -> Option<OsString> {
    let hex = name.file_name()?.to_str()?;
    format!("sha256:{hex}").parse::<model::Digest>().ok()?;
    let id = std::fs::read_link(name).ok()?.file_name()?.to_owned();
    folders.join(&id).join("fs").is_dir().then_some(id)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(folder).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()
    });
    entries.map_err(Error::at(folder))
}

fn remove(path: &Path) -> Result<(), Error> {
    let folder = path.symlink_metadata().map_err(Error::at(path))?.is_dir();
    let removed = if folder { crate::remove_folder(path) } else { std::fs::remove_file(path) };
    removed.map_err(Error::at(path))
}
