//! Folders: giving them to the cells' root, and removing what killed runs left. Runs inside a
//! namespace, because what is removed belongs to subordinate ids.

use std::io;
use std::path::Path;
use std::time::Duration;

use model::Failure;
use nix::unistd::{Uid, chown};
use snapshot::Snapshots;

use crate::Attempt;
use crate::job::{BASES, RUNS, SNAPSHOTS, UNPACKED, ledger};

/// Among the cells': what is known of unpacked layers, a folder a boot, in it one a scope.
const MEASURED: &str = "measured";
/// There: of what all scopes share. No scope has such a name.
const SHARED: &str = ".shared";

/// Gives a folder to the cells' root, which is id 1 in this namespace. Its group stays the worker's.
pub(crate) fn adopt(folder: &Path) -> Result<(), Failure> {
    chown(folder, Some(Uid::from_raw(1)), None)
        .map_err(|error| failed("give", folder, &io::Error::from(error)))
}

/// Removes an attempt's own folder and the layers' folders that nobody else has seen. No process of it may live.
pub(crate) fn clear(cells: &Path, attempt: &Attempt) -> Result<(), Failure> {
    let (scratch, unpacked) = (attempt.scratch_in(cells), attempt.unpacked_in(cells));
    forget(&ledger(&scratch), &attempt.snapshots_in(cells))?;
    remove(&scratch)?;
    forget(&unpacked, &attempt.bases_in(cells))?;
    remove(&unpacked)
}

/// The same by the attempt's own cell, when nothing is at work in it any more: at its folder something is mounted.
pub(crate) fn empty(scratch: &Path, snapshots: &Path) -> Result<(), Failure> {
    forget(&ledger(scratch), snapshots)?;
    for entry in entries(scratch)? {
        if std::fs::symlink_metadata(&entry).is_ok_and(|meta| meta.is_dir()) {
            remove(&entry)?;
        } else {
            std::fs::remove_file(&entry).map_err(|error| failed("remove", &entry, &error))?;
        }
    }
    Ok(())
}

fn forget(ledger: &Path, snapshots: &Path) -> Result<(), Failure> {
    if !ledger.exists() {
        return Ok(());
    }
    let snapshots = Snapshots::open(snapshots).map_err(|error| error.failure())?;
    snapshots.forget(ledger).map_err(|error| error.failure())
}

/// Removes every run's folder, every unpacked folder of another boot, and half-made snapshots.
pub(crate) fn sweep(cells: &Path, boot_id: &str) -> Result<(), Failure> {
    remove(&cells.join(RUNS))?;
    remove(&cells.join(UNPACKED))?;
    for boot in entries(&cells.join(MEASURED))? {
        if boot.file_name().is_none_or(|name| name != boot_id) {
            remove(&boot)?;
        }
    }
    for scope in entries(&cells.join(SNAPSHOTS))? {
        sweep_boots(&scope, boot_id)?;
    }
    sweep_boots(&cells.join(BASES), boot_id)
}

fn sweep_boots(folder: &Path, boot_id: &str) -> Result<(), Failure> {
    for boot in entries(folder)? {
        if boot.file_name().is_some_and(|name| name == boot_id) {
            sweep_snapshots(&boot)?;
        } else {
            remove(&boot)?;
        }
    }
    Ok(())
}

/// Removes unpacked layers that are not in use until all scopes together have at most `limit` bytes. What is known of
/// them lies beside the scopes' folders.
pub(crate) fn clean(
    cells: &Path,
    boot_id: &str,
    limit: u64,
    compare_after: Option<Duration>,
) -> Result<port::Cleaned, Failure> {
    let records = cells.join(MEASURED).join(boot_id);
    let mut roots =
        vec![snapshot::Root { snapshots: cells.join(BASES).join(boot_id), records: records.join(SHARED) }];
    for scope in entries(&cells.join(SNAPSHOTS))? {
        let Some(name) = scope.file_name() else { continue };
        roots.push(snapshot::Root { snapshots: scope.join(boot_id), records: records.join(name) });
    }
    roots.retain(|root| root.snapshots.is_dir());
    let cleaned = snapshot::clean(&roots, limit, compare_after).map_err(|error| error.failure())?;
    let snapshot::Cleaned { bytes, removed, compared, damaged } = cleaned;
    Ok(port::Cleaned { bytes, removed, compared, damaged })
}

fn sweep_snapshots(root: &Path) -> Result<(), Failure> {
    let snapshots = Snapshots::open(root).map_err(|error| error.failure())?;
    snapshots.sweep().map_err(|error| error.failure())
}

fn remove(folder: &Path) -> Result<(), Failure> {
    snapshot::remove_folder(folder).map_err(|error| failed("remove", folder, &error))
}

fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>, Failure> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed("read", folder, &error)),
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
    }
}

fn failed(deed: &str, folder: &Path, error: &io::Error) -> Failure {
    Failure::service(
        "store_unusable",
        format!("Can't {deed} {}: {error}.", folder.display()),
        "The store's folders must belong to the worker; see `slipway doctor`.",
    )
}
