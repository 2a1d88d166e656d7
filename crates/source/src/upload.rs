//! An uploaded archive as a source tree: tar, plain or compressed with gzip or zstd.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use content::Allowance;
use model::{Failure, SourceTree};
use port::{ByteStream, Outside};
use tar::Archive;

use crate::LIMITS;
use crate::error::Error;
use crate::measure::Measure;
use crate::unpack::Unpacking;
use crate::watched::{FailureSlot, Watched};

/// Largest headers of one entry, in bytes: long names and extended headers together.
const MAX_HEADERS: u64 = 2 << 20;

/// Unpacks the run's uploaded archive into the folder `dest`, which is made where it is missing and
/// must be empty. Owners are dropped; modes, times and links are kept.
///
/// # Errors
/// `archive_unsafe`, `archive_invalid`, `source_too_large`, `disk_full`, `source_disk`, and whatever
/// the port answers.
pub fn unpack_upload(outside: &dyn Outside, dest: &Path) -> Result<SourceTree, Failure> {
    let slot = FailureSlot::default();
    let unpacked = unpack(outside.upload()?, &slot, &dest.join("tree"));
    let root = unpacked.map_err(|error| slot.take().unwrap_or_else(|| error.into_failure()))?;
    Ok(SourceTree { root, revision: None })
}

fn unpack(upload: ByteStream, slot: &FailureSlot, dest: &Path) -> Result<PathBuf, Error> {
    std::fs::create_dir_all(dest).map_err(Error::disk(dest))?;
    let stream = BufReader::with_capacity(128 << 10, Watched::new(upload, slot.clone()));
    let (tar, allowance) = Allowance::over(content::decompress(stream).map_err(invalid)?);
    let mut archive = Archive::new(tar);
    let mut unpacking = Unpacking::into(dest, Measure::of(LIMITS)).map_err(Error::disk(dest))?;
    let mut entries = archive.entries().map_err(invalid)?;
    loop {
        // The library reads an entry's extended headers into memory, however long they are.
        allowance.set(MAX_HEADERS);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(invalid)?;
        allowance.set(LIMITS.bytes);
        unpacking.entry(&mut entry)?;
        unpacking.pass_over(&mut entry)?;
    }
    allowance.set(LIMITS.bytes);
    if unpacking.is_empty() {
        return Err(Error::ArchiveInvalid { why: "it holds nothing".to_owned() });
    }
    // What follows the archive's end is read too: only the stream's own end says that it is whole.
    io::copy(&mut archive.into_inner().take(LIMITS.bytes), &mut io::sink()).map_err(invalid)?;
    unpacking.finish()?;
    dest.canonicalize().map_err(Error::disk(dest))
}

/// What a decoder says about bytes it does not understand.
pub(crate) fn invalid(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::FileTooLarge {
        return Error::TooLarge { what: "an entry of the archive has no end".to_owned() };
    }
    Error::ArchiveInvalid { why: error.to_string().trim_end_matches('.').to_owned() }
}
