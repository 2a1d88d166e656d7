//! The layer codec: one pass makes diff id, compressed bytes and digest. The level is chosen by the
//! size budget (at most 10 % above gzip -6), then by speed: zlib-rs at 4.

use std::io::{self, BufRead, Read, Write};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use model::Digest;
use sha2::{Digest as _, Sha256};

/// Names the codec in cache keys: another one makes other bytes.
pub const LAYER_CODEC: &str = "gzip-zlib-rs-4";
const LEVEL: u32 = 4;

/// Takes an uncompressed tar and writes it compressed. The header carries no time and no host, so the
/// same bytes in are the same bytes out.
pub struct LayerWriter<W: Write> {
    gzip: GzEncoder<Hashing<W>>,
    diff: Sha256,
}

/// What one pass over a layer found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDigests {
    /// Of the uncompressed tar.
    pub diff_id: Digest,
    /// Of the blob.
    pub digest: Digest,
    /// Of the blob, in bytes.
    pub size: u64,
}

impl<W: Write> LayerWriter<W> {
    /// Writes the blob to `out`.
    pub fn new(out: W) -> Self {
        let hashing = Hashing { inner: out, hash: Sha256::new(), written: 0 };
        Self { gzip: GzEncoder::new(hashing, Compression::new(LEVEL)), diff: Sha256::new() }
    }

    /// Ends the blob.
    ///
    /// # Errors
    /// The last bytes could not be written.
    pub fn finish(self) -> io::Result<(LayerDigests, W)> {
        let mut hashing = self.gzip.finish()?;
        hashing.inner.flush()?;
        let digests = LayerDigests {
            diff_id: Digest::from_sha256(self.diff.finalize().into()),
            digest: Digest::from_sha256(hashing.hash.finalize().into()),
            size: hashing.written,
        };
        Ok((digests, hashing.inner))
    }
}

impl<W: Write> Write for LayerWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.gzip.write(bytes)?;
        self.diff.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.gzip.flush()
    }
}

struct Hashing<W> {
    inner: W,
    hash: Sha256,
    written: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Undoes gzip (of one member or many) or zstd, told by the first bytes; anything else passes as it is.
///
/// # Errors
/// The first bytes can't be read.
pub fn decompress(mut reader: impl BufRead + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    match reader.fill_buf()? {
        [0x1f, 0x8b, ..] => Ok(Box::new(MultiGzDecoder::new(reader))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Box::new(zstd::Decoder::with_buffer(reader)?)),
        _ => Ok(Box::new(reader)),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::digest_of;

    fn compress(bytes: &[u8]) -> (LayerDigests, Vec<u8>) {
        let mut writer = LayerWriter::new(Vec::new());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn one_pass_names_both_sides_and_is_the_same_each_time() {
        let bytes = b"a layer ".repeat(10_000);
        let (digests, blob) = compress(&bytes);
        assert_eq!(digests.diff_id, digest_of(&bytes));
        assert_eq!((digests.digest.clone(), digests.size), (digest_of(&blob), blob.len() as u64));
        assert_eq!(compress(&bytes), (digests, blob.clone()));
        let mut back = Vec::new();
        decompress(io::Cursor::new(blob)).unwrap().read_to_end(&mut back).unwrap();
        assert_eq!(back, bytes);
    }

    #[test]
    fn members_zstd_and_plain_bytes_are_read() {
        let two = [compress(b"one").1, compress(b"two").1].concat();
        for (blob, text) in [
            (two, "onetwo"),
            (zstd::encode_all(&b"packed"[..], 3).unwrap(), "packed"),
            (b"plain".to_vec(), "plain"),
            (Vec::new(), ""),
        ] {
            let mut back = String::new();
            decompress(io::Cursor::new(blob)).unwrap().read_to_string(&mut back).unwrap();
            assert_eq!(back, text);
        }
    }
}
