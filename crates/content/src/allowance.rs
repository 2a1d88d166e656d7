//! A reader that gives so many bytes and no more, told anew before each step: what a stranger compressed has no
//! size of its own. Libraries that read a name or a header into memory read it through this.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much may still be read. Clones share it.
#[derive(Debug, Clone)]
pub struct Allowance(Arc<AtomicU64>);

/// The reader that an [`Allowance`] bounds.
#[derive(Debug)]
pub struct Allowed<R> {
    reader: R,
    left: Allowance,
}

impl Allowance {
    /// Bounds `reader`; nothing may be read before [`Allowance::set`].
    pub fn over<R: Read>(reader: R) -> (Allowed<R>, Self) {
        let left = Self(Arc::default());
        (Allowed { reader, left: left.clone() }, left)
    }

    /// From here on, `bytes` may be read.
    pub fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// What of it is left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl<R: Read> Read for Allowed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.left();
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 && !buffer.is_empty() {
            // Its very end is no excess.
            return match self.reader.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than it may be")),
            };
        }
        let count = self.reader.read(&mut buffer[..most])?;
        self.left.set(left.saturating_sub(count as u64));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn so_many_bytes_are_read_and_the_next_one_is_an_error() {
        let (mut reader, left) = Allowance::over(&b"0123456789"[..]);
        left.set(4);
        let mut read = Vec::new();
        assert_eq!(reader.read_to_end(&mut read).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read, b"0123");
        let (mut reader, left) = Allowance::over(&b"0123456789"[..]);
        left.set(10);
        assert_eq!((reader.read_to_end(&mut Vec::new()).unwrap(), left.left()), (10, 0));
    }
}
