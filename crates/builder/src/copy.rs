//! COPY, ADD and WORKDIR: the vertices that place files without running anything.

use std::path::Path;

use model::{Copy, CopyFrom, Digest, Failure, Fetch, MakeDirectory};
use snapshot::{LayerDir, View};

use crate::accounts::Accounts;
use crate::fetch::Fetcher;
use crate::layers::{Layers, Stack};
use crate::place::{self, Stamp};
use crate::rooted::{Root, clean};
use crate::select::{Excludes, Origin, Selected, content, select};
use crate::{Error, archive, fingerprint};

/// What a COPY takes. The fields go in this order: descriptors before the mount they are in.
pub(crate) struct Taken {
    pub(crate) selection: Vec<Selected>,
    pub(crate) digest: Digest,
    /// Still to be fetched, and its place in the selection. Its checksum is known, and in the digest.
    wanted: Option<(usize, Fetch)>,
    _view: Option<View>,
}

/// Selects from the context. Runs before anything else: it tells a missing file at once. What has a checksum is
/// fetched by [`Taken::complete`], if it is needed at all.
///
/// # Errors
/// As [`select`], and [`Fetcher::fetch`].
pub(crate) fn take_from_context(
    copy: &Copy,
    root: &Path,
    excludes: &Excludes<'_>,
    fetcher: &Fetcher<'_>,
) -> Result<Taken, Error> {
    let root = Root::open(root).map_err(Error::errno("Opening", root))?;
    let origin = Origin { root: &root, place: "the build context", excludes: Some(excludes) };
    let (mut selection, mut contents, mut wanted) = (Vec::new(), Vec::new(), None);
    for (index, source) in copy.sources.iter().enumerate() {
        match copy.fetches.iter().find(|fetch| fetch.source == index) {
            None => selection.extend(select(&origin, std::slice::from_ref(source))?),
            Some(fetch @ Fetch { checksum: Some(checksum), .. }) => {
                wanted = Some((selection.len(), fetch.clone()));
                contents.push((fetch, checksum.clone()));
            }
            Some(fetch) => {
                let (selected, content) = fetcher.fetch(copy, fetch)?;
                selection.push(selected);
                contents.push((fetch, content));
            }
        }
    }
    let local = selection.iter().filter(|selected| !selected.is_fetched);
    let mut digest = fingerprint::digest(local, false)?;
    if !contents.is_empty() {
        let contents = contents.iter().map(|(fetch, content)| (*fetch, content));
        digest = fingerprint::with_fetched(&digest, contents);
    }
    Ok(Taken { selection, digest, wanted, _view: None })
}

impl Taken {
    /// Fetches what is missing.
    ///
    /// # Errors
    /// As [`Fetcher::fetch`].
    pub(crate) fn complete(&mut self, copy: &Copy, fetcher: &Fetcher<'_>) -> Result<(), Error> {
        if let Some((at, fetch)) = self.wanted.take() {
            let (selected, _) = fetcher.fetch(copy, &fetch)?;
            self.selection.insert(at, selected);
        }
        Ok(())
    }
}

/// Selects from a stage's or an image's files.
///
/// # Errors
/// As [`select`]; or the layers can't be had.
pub(crate) fn take_from_stack(copy: &Copy, stack: &Stack, layers: &Layers<'_>) -> Result<Taken, Error> {
    let view = layers.snapshots.view(&layers.folders(stack)?).map_err(|error| error.failure())?;
    let root = Root::open(view.path()).map_err(Error::errno("Opening", view.path()))?;
    let origin = Origin { root: &root, place: "the files it is copied from", excludes: None };
    let selection = select(&origin, &copy.sources)?;
    let digest = fingerprint::digest(&selection, copy.chown.is_none())?;
    Ok(Taken { selection, digest, wanted: None, _view: Some(view) })
}

/// Makes the layer of a COPY. `mtime` is the commit's time where the context is a commit.
///
/// # Errors
/// An unknown owner, a conflict of files and folders, an unreadable archive.
pub(crate) fn copy(
    copy: &Copy,
    taken: &Taken,
    parent: &Stack,
    layers: &Layers<'_>,
    mtime: Option<i64>,
) -> Result<LayerDir, Error> {
    let active = prepare(parent, layers)?;
    let root = Root::open(active.root()).map_err(Error::errno("Opening", active.root()))?;
    let from_context = copy.from == CopyFrom::Context;
    let owner = match &copy.chown {
        Some(chown) => Some(Accounts::read(&root)?.owner(chown)?),
        None => from_context.then_some((0, 0)),
    };
    let stamp = Stamp { owner, mtime: mtime.filter(|_| from_context) };
    if copy.unpack {
        let chown = Stamp { owner: owner.filter(|_| copy.chown.is_some()), mtime: None };
        add(&root, &copy.dest, &taken.selection, stamp, chown)?;
    } else {
        place::copy(&root, &copy.dest, &taken.selection, stamp)?;
    }
    drop(root);
    Ok(active.commit().map_err(|error| error.failure())?)
}

/// Archives are unpacked below the destination, everything else is copied there.
fn add(root: &Root, dest: &str, selection: &[Selected], stamp: Stamp, unpacked: Stamp) -> Result<(), Error> {
    for selected in selection {
        let name = selected.name.to_string_lossy();
        let entry = selected.entries.first().filter(|_| !selected.is_folder && !selected.is_fetched);
        let tar = match entry {
            Some(entry) if entry.kind == rustix::fs::FileType::RegularFile => {
                let file =
                    content(selected, entry).map_err(Error::errno("Opening", Path::new(&selected.name)))?;
                archive::open(file, &name)?
            }
            _ => None,
        };
        match tar {
            Some(tar) => {
                let folder = place::make_folders(root, &clean(Path::new(dest)), stamp)?;
                archive::unpack(tar, &name, folder, unpacked)?;
            }
            None => {
                // One at a time, as a folder where there are several.
                let dest = if selection.len() > 1 && !dest.ends_with('/') {
                    return Err(Error::DestinationNotFolder(dest.to_owned()));
                } else {
                    dest
                };
                // Its time is the host's, not the commit's.
                let stamp = if selected.is_fetched { Stamp { mtime: None, ..stamp } } else { stamp };
                place::copy(root, dest, std::slice::from_ref(selected), stamp)?;
            }
        }
    }
    Ok(())
}

/// Makes the layer of a WORKDIR.
///
/// # Errors
/// An unknown owner, or a file in the way.
pub(crate) fn make_directory(
    make: &MakeDirectory,
    parent: &Stack,
    layers: &Layers<'_>,
) -> Result<LayerDir, Error> {
    let active = prepare(parent, layers)?;
    let root = Root::open(active.root()).map_err(Error::errno("Opening", active.root()))?;
    let account = Accounts::read(&root)?.process(&make.user)?;
    let stamp = Stamp { owner: Some((account.uid, account.gid)), mtime: None };
    place::make_folders(&root, &clean(Path::new(&make.path)), stamp)?;
    drop(root);
    Ok(active.commit().map_err(|error| error.failure())?)
}

fn prepare(parent: &Stack, layers: &Layers<'_>) -> Result<snapshot::Active, Failure> {
    let lowers = layers.folders(parent)?;
    layers.snapshots.prepare(&lowers, false).map_err(|error| error.failure())
}
