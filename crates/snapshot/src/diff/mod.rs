//! The archive of a layer: what its folder changes, in an order and form that depend on nothing else.

mod archive;
mod header;
mod walk;

use std::io::Write;

use crate::error::Error;
use crate::folder::LayerDir;

/// How a layer's archive is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Diff {
    /// The latest time that the archive may hold, in seconds since 1970.
    pub epoch: Option<i64>,
    /// All times become the epoch, as in a COPY; else only later ones do, as in a RUN.
    pub set_times: bool,
}

/// What a layer's archive holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffStats {
    /// Files, folders and whiteouts; none when nothing was changed.
    pub entries: u64,
    /// Bytes of the files' contents.
    pub bytes: u64,
}

impl Diff {
    /// The time an archive holds for a file.
    pub(crate) fn time(&self, seconds: i64) -> i64 {
        match self.epoch {
            Some(epoch) if self.set_times => epoch,
            Some(epoch) => seconds.min(epoch),
            None => seconds,
        }
    }

    /// Whether two times are the same as far as an archive shows. A layer made here has its files' own
    /// times, the same layer unpacked the lowered ones.
    pub(crate) fn same_time(&self, one: i64, other: i64) -> bool {
        let latest = self.epoch.unwrap_or(i64::MAX);
        one.min(latest) == other.min(latest)
    }
}

/// Writes the uncompressed archive of what `upper` changes on `lowers`, given lowest first.
///
/// # Errors
/// A folder can't be read, `out` can't be written, or a file has no place in an image.
pub fn write_diff(
    upper: &LayerDir,
    lowers: &[LayerDir],
    options: &Diff,
    out: &mut dyn Write,
) -> Result<DiffStats, Error> {
    walk::Walk::new(upper, lowers, options, out)?.run()
}
