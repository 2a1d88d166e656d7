//! Removing blobs. Under the store's mutex a blob that nobody holds loses its name and lies in `trash/`; whoever looks
//! for it from then on finds none and makes it again. Its cache rows are dropped, and then it is unlinked.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::SystemTime;

use model::Digest;

use crate::hold::{Holder, Place};
use crate::{Error, Store, VerifyingReader};

/// A blob that has a name.
#[derive(Debug, Clone)]
pub struct StoredBlob {
    pub place: Place,
    /// In bytes.
    pub size: u64,
    /// When a run last opened or named it.
    pub used: SystemTime,
}

/// A blob in `trash/`.
#[derive(Debug, Clone)]
pub struct Discarded {
    pub place: Place,
    path: PathBuf,
}

impl Store {
    /// Keeps what a publication that was begun before this process still needs.
    pub fn expect(&self, holder: Holder, place: Place) {
        self.pins().pin(holder, place);
    }

    /// Attempts that are over on this worker and whose blobs are kept for the publisher.
    #[must_use]
    pub fn handed_on(&self) -> Vec<Holder> {
        self.pins().handed_on()
    }

    /// Keeps nothing for these attempts any more.
    pub fn release(&self, holders: &[Holder]) {
        self.pins().release(holders);
    }

    /// Every blob, the longest unused first.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn blobs(&self) -> Result<Vec<StoredBlob>, Error> {
        let mut blobs = Vec::new();
        let root = self.root().join("blobs");
        for scope in list(&root)? {
            let Some(name) = scope.file_name().and_then(|name| name.to_str()) else { continue };
            for path in list(&scope.join("sha256"))? {
                let Some(digest) = digest_in(&path) else { continue };
                let meta = match path.symlink_metadata() {
                    Ok(meta) => meta,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(Error::at(path)(error)),
                };
                let used = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                let place = Place { scope: name.to_owned(), digest };
                blobs.push(StoredBlob { place, size: meta.len(), used });
            }
        }
        blobs.sort_by(|a, b| (a.used, &a.place).cmp(&(b.used, &b.place)));
        Ok(blobs)
    }

    /// Moves a blob to the trash; false where it is held, or gone.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn discard(&self, place: &Place) -> Result<bool, Error> {
        let pins = self.pins();
        if pins.is_pinned(place) {
            return Ok(false);
        }
        self.to_trash(place)
    }

    /// Reads a blob to its end, and moves it to the trash if its bytes are not what its name says, whoever holds
    /// it: nobody can use them. True: it was damaged.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn discard_if_damaged(&self, place: &Place) -> Result<bool, Error> {
        let Some(file) = self.open_blob(&place.scope, &place.digest)? else { return Ok(false) };
        let inode = file.metadata()?.ino();
        let read = io::copy(&mut VerifyingReader::new(file, place.digest.clone(), None), &mut io::sink());
        // EIO too: what the disk can't read is as good as gone.
        if read.is_ok() {
            return Ok(false);
        }
        let _pins = self.pins();
        let path = self.path(place)?;
        // It may have been made again meanwhile.
        if path.symlink_metadata().is_ok_and(|meta| meta.ino() == inode) {
            self.to_trash(place)?;
        }
        Ok(true)
    }

    /// What lies in the trash, also from before this process.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn discarded(&self) -> Result<Vec<Discarded>, Error> {
        let mut found = Vec::new();
        for path in list(&self.trash())? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let place = name.rsplit_once('.').and_then(|(scope, hex)| {
                let digest = format!("sha256:{hex}").parse().ok()?;
                Some(Place { scope: scope.to_owned(), digest })
            });
            found.extend(place.map(|place| Discarded { place, path: path.clone() }));
        }
        Ok(found)
    }

    /// Unlinks what was discarded. Nothing may name it any more.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn unlink(&self, discarded: &[Discarded]) -> Result<(), Error> {
        for Discarded { path, .. } in discarded {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::at(path)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn to_trash(&self, place: &Place) -> Result<bool, Error> {
        let (from, to) =
            (self.path(place)?, self.trash().join(format!("{}.{}", place.scope, place.digest.hex())));
        match std::fs::rename(&from, to) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::at(from)(error)),
        }
    }
}

/// Marks a blob as used now. Its time of modification says nothing else.
pub(crate) fn touch(file: &File) {
    let _ = file.set_modified(SystemTime::now());
}

fn digest_in(path: &std::path::Path) -> Option<Digest> {
    format!("sha256:{}", path.file_name()?.to_str()?).parse().ok()
}

fn list(folder: &std::path::Path) -> Result<Vec<PathBuf>, Error> {
    match std::fs::read_dir(folder) {
        Ok(entries) => {
            Ok(entries.collect::<io::Result<Vec<_>>>()?.into_iter().map(|entry| entry.path()).collect())
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(Error::at(folder)(error)),
    }
}
