//! What a layer's files are, in one number each: their bytes on disk, and a digest of their names, owners, modes, times
//! and contents. Extended attributes are not in it.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use sha2::{Digest as _, Sha256};

use crate::error::Error;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Measured {
    /// As the disk counts them.
    pub(crate) bytes: u64,
    sum: String,
}

impl Measured {
    pub(crate) fn unreadable() -> Self {
        Self { bytes: 0, sum: "unreadable".to_owned() }
    }

    /// As it was written down, if it was.
    pub(crate) fn read(record: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(record).ok()?;
        let (bytes, sum) = text.trim().split_once(' ')?;
        Some(Self { bytes: bytes.parse().ok()?, sum: sum.to_owned() })
    }

    /// Writes it down, with the time of now.
    pub(crate) fn write(&self, record: &Path) -> Result<(), Error> {
        let part = record.with_extension("part");
        let written = std::fs::write(&part, format!("{} {}\n", self.bytes, self.sum));
        written.and_then(|()| std::fs::rename(&part, record)).map_err(Error::at(record))
    }
}

/// Reads all of a layer.
pub(crate) fn measure(layer: &Path) -> Result<Measured, Error> {
    let mut measuring = Measuring { hash: Sha256::new(), bytes: 0 };
    let stat = layer.symlink_metadata().map_err(Error::at(layer))?;
    measuring.entry(layer, OsStr::new(""), &stat).map_err(Error::at(layer))?;
    Ok(Measured { bytes: measuring.bytes, sum: hex::encode(measuring.hash.finalize()) })
}

struct Measuring {
    hash: Sha256,
    bytes: u64,
}

impl Measuring {
    fn entry(&mut self, path: &Path, name: &OsStr, stat: &Metadata) -> io::Result<()> {
        self.bytes += stat.blocks() * 512;
        self.field(name.as_bytes());
        let kind = stat.file_type();
        // A folder's size is the file system's own business.
        let size = if kind.is_dir() { 0 } else { stat.size() };
        for number in [u64::from(stat.mode()), stat.uid().into(), stat.gid().into(), stat.rdev(), size] {
            self.hash.update(number.to_le_bytes());
        }
        self.hash.update(stat.mtime().to_le_bytes());
        self.hash.update(stat.mtime_nsec().to_le_bytes());
        if kind.is_dir() {
            let mut names: Vec<_> =
                std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
            names.sort();
            for name in names {
                let path = path.join(&name);
                let stat = path.symlink_metadata()?;
                self.entry(&path, &name, &stat)?;
            }
            self.field(b"/");
        } else if kind.is_symlink() {
            self.field(std::fs::read_link(path)?.as_os_str().as_bytes());
        } else if kind.is_file() {
            let flags = OFlag::O_NOFOLLOW.bits() | OFlag::O_NONBLOCK.bits();
            let mut file = std::fs::File::options().read(true).custom_flags(flags).open(path)?;
            io::copy(&mut file, &mut HashOf(&mut self.hash))?;
        }
        Ok(())
    }

    fn field(&mut self, bytes: &[u8]) {
        self.hash.update((bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }
}

struct HashOf<'a>(&'a mut Sha256);

impl io::Write for HashOf<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
