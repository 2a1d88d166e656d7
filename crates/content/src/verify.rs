//! The digest that counts is the one computed over the bytes that are used.

use std::io::{self, Read};

use model::Digest;
use sha2::{Digest as _, Sha256};

/// The digest of bytes in memory.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

/// Reads through, and fails at end of file unless digest and size are as expected. Longer input fails
/// as soon as it is too long.
pub struct VerifyingReader<R> {
    inner: R,
    hash: Sha256,
    read: u64,
    expected: Digest,
    size: Option<u64>,
}

impl<R: Read> VerifyingReader<R> {
    /// `size` in bytes, where it is known.
    pub fn new(inner: R, expected: Digest, size: Option<u64>) -> Self {
        Self { inner, hash: Sha256::new(), read: 0, expected, size }
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.read += count as u64;
        let too_long = self.size.is_some_and(|size| self.read > size);
        let at_end = count == 0 && !buffer.is_empty();
        if too_long || (at_end && !self.is_as_expected()) {
            let text = format!("the bytes read are not those of {}", self.expected);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(count)
    }
}

impl<R> VerifyingReader<R> {
    fn is_as_expected(&self) -> bool {
        let digest = Digest::from_sha256(self.hash.clone().finalize().into());
        digest == self.expected && self.size.is_none_or(|size| size == self.read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_are_refused_at_their_end_and_longer_ones_before() {
        let read = |bytes: &'static [u8], size| {
            io::copy(&mut VerifyingReader::new(bytes, digest_of(b"right"), size), &mut io::sink())
        };
        assert!(read(b"right", Some(5)).is_ok());
        assert!(read(b"right", None).is_ok());
        assert!(read(b"wrong", Some(5)).is_err());
        assert!(read(b"righ", Some(5)).is_err());
        assert!(read(b"right and more", Some(5)).is_err());
    }
}
