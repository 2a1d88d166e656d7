//! Keeping unpacked layers within bounds, while cells use them: those that were used last stay. And looking after
//! them: what a layer's files were when it was first measured they have to be later, too.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::hold::Hold;
use crate::measure::{Measured, measure};
use crate::stubs;

/// Folders that are compared in one call: each is read as a whole.
const COMPARED_AT_ONCE: usize = 8;

/// A root of [`crate::Snapshots`], and a folder for what is known of its layers, which no build can write.
#[derive(Debug, Clone)]
pub struct Root {
    pub snapshots: PathBuf,
    pub records: PathBuf,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Bytes of the layers that are there now.
    pub bytes: u64,
    /// Layers that were removed to make room.
    pub removed: u64,
    /// Layers that were compared with what they had been.
    pub compared: u64,
    /// Layers whose files had changed: they are found no more.
    pub damaged: u64,
}

struct Layer {
    folder: PathBuf,
    names: Vec<PathBuf>,
    record: PathBuf,
    bytes: u64,
    used: SystemTime,
}

/// Removes layers of all `roots`, the longest unused first, until they have at most `limit` bytes; those in use stay.
/// Layers that were looked at longer ago than `compare_after` are compared, some at a time.
///
/// # Errors
/// A file can't be read or removed.
pub fn clean(roots: &[Root], limit: u64, compare_after: Option<Duration>) -> Result<Cleaned, Error> {
    let mut cleaned = Cleaned::default();
    let mut layers = Vec::new();
    for root in roots {
        std::fs::create_dir_all(&root.records).map_err(Error::at(&root.records))?;
        layers.extend(survey(root)?);
    }
    if let Some(age) = compare_after {
        compare(&mut layers, age, &mut cleaned)?;
    }
    cleaned.bytes = layers.iter().map(|layer| layer.bytes).sum();
    layers.sort_by_key(|layer| layer.used);
    for layer in layers {
        if cleaned.bytes <= limit {
            break;
        }
        match remove(&layer) {
            Ok(true) => {
                cleaned.bytes = cleaned.bytes.saturating_sub(layer.bytes);
                cleaned.removed += 1;
            }
            Ok(false) => {}
            // The others can go nevertheless.
            Err(error) => tracing::warn!(%error, "a layer can't be removed"),
        }
    }
    Ok(cleaned)
}

/// Every layer with a name; one without, which nobody uses, is what a killed cell left.
fn survey(root: &Root) -> Result<Vec<Layer>, Error> {
    let folders = root.snapshots.join("d");
    let mut names: HashMap<OsString, Vec<PathBuf>> = HashMap::new();
    for name in list(&root.snapshots.join("layers"))? {
        let target = std::fs::read_link(&name).ok();
        if let Some(id) = target.as_deref().and_then(Path::file_name) {
            names.entry(id.to_owned()).or_default().push(name);
        }
    }
    let mut layers = Vec::new();
    let mut known = HashSet::new();
    for folder in list(&folders)? {
        let Some(id) = folder.file_name().filter(|id| !is_ours(id)).map(OsStr::to_owned) else { continue };
        let record = root.records.join(&id);
        let named = names.remove(&id).unwrap_or_default();
        if named.is_empty() {
            if let Some(_alone) = Hold::alone(&folder) {
                remove_all(&folder)?;
            }
            continue;
        }
        // Held, so that it is whole and stays while it is measured.
        let Some(_hold) = Hold::shared(&folder) else { continue };
        let measured = match Measured::read(&record) {
            Some(measured) => measured,
            None => {
                // What can't be read is found damaged at the first comparison.
                let measured = measure(&folder.join("fs")).unwrap_or_else(|_| Measured::unreadable());
                measured.write(&record)?;
                measured
            }
        };
        let used = folder.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        known.insert(id);
        layers.push(Layer { folder, names: named, record, bytes: measured.bytes, used });
    }
    for record in list(&root.records)? {
        if record.file_name().is_some_and(|id| !known.contains(id)) {
            let _ = std::fs::remove_file(record);
        }
    }
    Ok(layers)
}

/// Those that were looked at longest ago come first.
fn compare(layers: &mut Vec<Layer>, age: Duration, cleaned: &mut Cleaned) -> Result<(), Error> {
    let now = SystemTime::now();
    let looked = |layer: &Layer| layer.record.metadata().and_then(|meta| meta.modified()).unwrap_or(now);
    layers.sort_by_key(looked);
    let mut damaged = Vec::new();
    for (index, layer) in layers.iter().enumerate().take(COMPARED_AT_ONCE) {
        if now.duration_since(looked(layer)).is_ok_and(|since| since < age) {
            break;
        }
        let Some(_hold) = Hold::shared(&layer.folder) else { continue };
        cleaned.compared += 1;
        let before = Measured::read(&layer.record);
        // What can't be read is as good as gone.
        match measure(&layer.folder.join("fs")) {
            Ok(measured) if before.as_ref() == Some(&measured) => measured.write(&layer.record)?,
            _ => damaged.push(index),
        }
    }
    for index in damaged.into_iter().rev() {
        let layer = layers.swap_remove(index);
        cleaned.damaged += 1;
        if !remove(&layer)? {
            // Whoever uses it goes on, and nobody else begins to.
            forget(&layer)?;
        }
    }
    Ok(())
}

/// False where somebody uses it.
fn remove(layer: &Layer) -> Result<bool, Error> {
    let Some(_alone) = Hold::alone(&layer.folder) else { return Ok(false) };
    forget(layer)?;
    remove_all(&layer.folder)?;
    Ok(true)
}

fn forget(layer: &Layer) -> Result<(), Error> {
    let id = layer.folder.file_name();
    for name in &layer.names {
        // Somebody may have given the name to another folder meanwhile.
        if std::fs::read_link(name).is_ok_and(|target| target.file_name() == id) {
            gone(std::fs::remove_file(name)).map_err(Error::at(name))?;
        }
    }
    gone(std::fs::remove_file(&layer.record)).map_err(Error::at(&layer.record))
}

fn is_ours(id: &OsStr) -> bool {
    id == stubs::EMPTY || id == stubs::STUBS
}

fn remove_all(folder: &Path) -> Result<(), Error> {
    crate::remove_folder(folder).map_err(Error::at(folder))
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::at(folder)(error)),
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
    }
}
