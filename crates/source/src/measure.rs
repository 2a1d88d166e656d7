//! What a source has used of its [`Limits`], counted before it is written.

use crate::Limits;
use crate::error::Error;

/// Entries and bytes so far.
#[derive(Debug)]
pub(crate) struct Measure {
    limits: Limits,
    entries: u64,
    bytes: u64,
}

impl Measure {
    pub(crate) fn of(limits: Limits) -> Self {
        Self { limits, entries: 0, bytes: 0 }
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.entries == 0
    }

    /// One more file, folder or link.
    pub(crate) fn entry(&mut self) -> Result<(), Error> {
        self.entries += 1;
        let most = self.limits.entries;
        if self.entries > most {
            too_large(format!("more than {most} files, folders and links"))
        } else {
            Ok(())
        }
    }

    /// So many bytes more.
    pub(crate) fn bytes(&mut self, count: u64) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(count);
        let most = self.limits.bytes;
        if self.bytes > most { too_large(format!("more than {} MiB", most >> 20)) } else { Ok(()) }
    }

    /// Something that lies within so many folders.
    pub(crate) fn depth(&self, folders: usize) -> Result<(), Error> {
        let most = self.limits.depth;
        if folders > most { too_large(format!("more than {most} folders within each other")) } else { Ok(()) }
    }
}

fn too_large(what: String) -> Result<(), Error> {
    Err(Error::TooLarge { what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_allowed_and_nothing_above_it() {
        let mut measure = Measure::of(Limits { entries: 2, bytes: 10, depth: 3 });
        assert!(measure.entry().is_ok() && measure.entry().is_ok() && measure.entry().is_err());
        assert!(measure.bytes(9).is_ok() && measure.bytes(1).is_ok() && measure.bytes(1).is_err());
        assert!(measure.bytes(u64::MAX).is_err());
        assert!(measure.depth(3).is_ok() && measure.depth(4).is_err());
    }
}
