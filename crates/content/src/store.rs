//! The folder. `store-id` names it, `lock` belongs to the one worker, and
//! `blobs/<scope>/sha256/<hex>` are whole blobs: a name appears only after the bytes are on disk. `trash/` is what
//! is being removed. One mutex is taken for every name that appears, is used, or goes.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{Digest, StoreId};
use nix::fcntl::{AT_FDCWD, AtFlags, Flock, FlockArg, OFlag};

use crate::Error;
use crate::hold::{Hold, Holder, Pins, Place};
use crate::trash::touch;

/// The worker's hold of a store; a second worker can't open it.
#[derive(Debug)]
pub struct Store {
    reader: StoreReader,
    pins: Mutex<Pins>,
    _lock: Flock<File>,
}

/// The publisher's view of a store: it reads and never writes.
#[derive(Debug, Clone)]
pub struct StoreReader {
    root: PathBuf,
    id: StoreId,
}

impl Store {
    /// Opens a store, making what is missing.
    ///
    /// # Errors
    /// Another worker has it, or the folder is not usable.
    pub fn open(root: &Path) -> Result<Self, Error> {
        make_folder(root)?;
        let path = root.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let lock = Flock::lock(file.map_err(Error::at(&path))?, FlockArg::LockExclusiveNonblock)
            .map_err(|_| Error::InUse(root.to_owned()))?;
        make_folder(&root.join("blobs"))?;
        make_folder(&root.join("trash"))?;
        if !root.join("store-id").exists() {
            write_whole(&root.join("store-id"), &uuid::Uuid::new_v4().to_string())?;
        }
        forget_half_named(&root.join("trash"));
        Ok(Self { reader: StoreReader::open(root)?, pins: Mutex::default(), _lock: lock })
    }

    /// Made when the store was first opened.
    #[must_use]
    pub fn id(&self) -> StoreId {
        self.reader.id
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.reader.root
    }

    /// An unnamed file on the store's disk, readable by the group once it is linked.
    ///
    /// # Errors
    /// The disk is full or refuses.
    pub fn new_blob(&self) -> Result<File, Error> {
        let folder = self.reader.root.join("blobs");
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o640).custom_flags(OFlag::O_TMPFILE.bits());
        options.open(&folder).map_err(Error::at(folder))
    }

    /// The way of one attempt to the store.
    #[must_use]
    pub fn hold(self: &Arc<Self>, holder: Holder) -> Hold {
        Hold::new(Arc::clone(self), holder)
    }

    /// Names a written file, after its bytes are on disk, and opens it again. What had the name before is replaced:
    /// it may have been damaged.
    ///
    /// # Errors
    /// The disk is full or refuses.
    pub fn link(&self, file: &File, scope: &str, digest: &Digest) -> Result<File, Error> {
        let place = Place { scope: scope.to_owned(), digest: digest.clone() };
        self.prepare(file, &place)?;
        let _pins = self.pins();
        self.name(file, &place)
    }

    pub(crate) fn link_for(
        &self,
        holder: Holder,
        file: &File,
        scope: &str,
        digest: &Digest,
    ) -> Result<File, Error> {
        let place = Place { scope: scope.to_owned(), digest: digest.clone() };
        self.prepare(file, &place)?;
        let mut pins = self.pins();
        let named = self.name(file, &place)?;
        pins.pin(holder, place);
        Ok(named)
    }

    pub(crate) fn open_for(
        &self,
        holder: Holder,
        scope: &str,
        digest: &Digest,
    ) -> Result<Option<File>, Error> {
        let mut pins = self.pins();
        let Some(file) = self.open_blob(scope, digest)? else { return Ok(None) };
        touch(&file);
        pins.pin(holder, Place { scope: scope.to_owned(), digest: digest.clone() });
        Ok(Some(file))
    }

    pub(crate) fn pins(&self) -> MutexGuard<'_, Pins> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn trash(&self) -> PathBuf {
        self.reader.root.join("trash")
    }

    pub(crate) fn path(&self, place: &Place) -> Result<PathBuf, Error> {
        self.reader.path(&place.scope, &place.digest)
    }

    /// What takes its time, and needs no mutex.
    fn prepare(&self, file: &File, place: &Place) -> Result<(), Error> {
        let path = self.path(place)?;
        let parent = path.parent().unwrap_or(&path);
        make_folder(parent.parent().unwrap_or(parent))?;
        make_folder(parent)?;
        touch(file);
        file.sync_data().map_err(Error::at(&path))
    }

    fn name(&self, file: &File, place: &Place) -> Result<File, Error> {
        let path = self.path(place)?;
        let from = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let link = |to: &Path| nix::unistd::linkat(AT_FDCWD, &from, AT_FDCWD, to, AtFlags::AT_SYMLINK_FOLLOW);
        match link(&path) {
            Ok(()) => {}
            Err(nix::Error::EEXIST) => {
                let aside = self.trash().join(format!("new-{}", uuid::Uuid::new_v4()));
                link(&aside).map_err(|error| Error::at(&aside)(error.into()))?;
                std::fs::rename(&aside, &path).map_err(Error::at(&path))?;
                // Two names of one file are left alone by a rename.
                let _ = std::fs::remove_file(&aside);
            }
            Err(error) => return Err(Error::at(path)(error.into())),
        }
        File::open(&path).map_err(Error::at(path))
    }

    /// A blob, read from its start; none where there is none.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn open_blob(&self, scope: &str, digest: &Digest) -> Result<Option<File>, Error> {
        self.reader.open_blob(scope, digest)
    }

    /// Forgets a blob; one that is missing is fine.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn remove_blob(&self, scope: &str, digest: &Digest) -> Result<(), Error> {
        let path = self.reader.path(scope, digest)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::at(path)(error)),
            _ => Ok(()),
        }
    }
}

impl StoreReader {
    /// Opens a store that a worker has made.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let path = root.join("store-id");
        let text = std::fs::read_to_string(&path).map_err(Error::at(&path))?;
        let invalid = |_| Error::at(path)(io::Error::new(io::ErrorKind::InvalidData, "not a store's id"));
        Ok(Self { root: root.to_owned(), id: text.trim().parse().map_err(invalid)? })
    }

    /// As the worker knows it.
    #[must_use]
    pub fn id(&self) -> StoreId {
        self.id
    }

    /// As [`Store::open_blob`].
    ///
    /// # Errors
    /// The disk refuses.
    pub fn open_blob(&self, scope: &str, digest: &Digest) -> Result<Option<File>, Error> {
        let path = self.path(scope, digest)?;
        let opened = OpenOptions::new().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(&path);
        match opened {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::at(path)(error)),
        }
    }

    fn path(&self, scope: &str, digest: &Digest) -> Result<PathBuf, Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if scope.is_empty() || !scope.bytes().all(plain) {
            return Err(Error::Io(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a scope that is not a plain word",
            )));
        }
        Ok(self.root.join("blobs").join(scope).join("sha256").join(digest.hex()))
    }
}

/// Group readable; a parent's set-group-id bit is inherited.
fn make_folder(path: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o750).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::at(path)(error)),
        _ => Ok(()),
    }
}

/// What a process that was killed was about to name.
fn forget_half_named(trash: &Path) {
    let half =
        |entry: &std::fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.starts_with("new-"));
    for entry in std::fs::read_dir(trash).into_iter().flatten().flatten().filter(half) {
        let _ = std::fs::remove_file(entry.path());
    }
}

fn write_whole(path: &Path, text: &str) -> Result<(), Error> {
    let part = path.with_extension("part");
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).truncate(true).write(true).mode(0o640).open(&part)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    };
    write().map_err(Error::at(path))
}

#[cfg(test)]
mod tests;
