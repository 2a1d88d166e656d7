//! Reading an archive once, front to back, hashing all of it.

use std::io::{self, Read};

use model::Digest;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::member::Member;
use super::pax::Pax;
use crate::error::Error;

const BLOCK: usize = 512;
/// No name is longer, and no entry's attributes together.
const MAX_EXTENSION: u64 = 1 << 20;

/// An archive being read.
pub(crate) struct Stream<R> {
    input: R,
    hash: Sha256,
    /// Bytes of the current entry's content that are still to come, and of what fills its last block.
    left: u64,
    padding: u64,
    ended: bool,
    /// Bytes of the archive that may still come.
    most: u64,
}

impl<R: Read> Stream<R> {
    /// At most `most` bytes of `input` are read.
    pub(crate) fn new(input: R, most: u64) -> Self {
        Self { input, hash: Sha256::new(), left: 0, padding: 0, ended: false, most }
    }

    /// The next entry; what is left of the last one's content is passed over.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, Error> {
        let mut pax = Pax::default();
        // Of all headers of this entry together: each may be small, and they may never end.
        let mut extended = 0_u64;
        while let Some(header) = self.header()? {
            let size = header.entry_size().map_err(|_| broken("has a header with an odd size"))?;
            let kind = header.entry_type();
            if matches!(kind, EntryType::XHeader | EntryType::GNULongName | EntryType::GNULongLink) {
                extended = extended.saturating_add(size);
                if extended > MAX_EXTENSION {
                    return Err(broken("has extended headers of more than a mebibyte"));
                }
            }
            match kind {
                EntryType::XHeader => pax.read(&self.extension(size)?)?,
                EntryType::GNULongName => pax.path = Some(text(self.extension(size)?)),
                EntryType::GNULongLink => pax.link = Some(text(self.extension(size)?)),
                EntryType::XGlobalHeader => self.expect(size),
                _ => {
                    let member = Member::new(&header, pax)?;
                    self.expect(member.size);
                    return Ok(Some(member));
                }
            }
        }
        Ok(None)
    }

    /// Some of the current entry's content; nothing at its end.
    pub(crate) fn content(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let size = self.read(&mut buffer[..most])?;
        if size == 0 && most > 0 {
            return Err(broken("ends within a file"));
        }
        self.left -= size as u64;
        Ok(size)
    }

    /// Reads what follows the archive's end, and answers the digest of everything.
    pub(crate) fn finish(mut self) -> Result<Digest, Error> {
        let mut buffer = vec![0; 1 << 16];
        while self.read(&mut buffer)? > 0 {}
        Ok(Digest::from_sha256(self.hash.finalize().into()))
    }

    fn header(&mut self) -> Result<Option<Header>, Error> {
        self.skip()?;
        if self.ended {
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        let size = self.fill(&mut block)?;
        if size == 0 || block.iter().all(|byte| *byte == 0) {
            self.ended = true;
            return Ok(None);
        }
        if size < BLOCK {
            return Err(broken("ends within a header"));
        }
        let header = Header::from_byte_slice(&block).clone();
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        let own: u32 = block[148..156].iter().map(|byte| u32::from(*byte)).sum();
        if header.cksum().ok() != Some(sum - own + 8 * u32::from(b' ')) {
            return Err(broken("has a header with a wrong sum"));
        }
        Ok(Some(header))
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        self.expect(size);
        let mut data = vec![0; usize::try_from(size).unwrap_or_default()];
        let mut done = 0;
        while done < data.len() {
            done += self.content(&mut data[done..])?;
        }
        Ok(data)
    }

    fn expect(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    fn skip(&mut self) -> Result<(), Error> {
        self.left = self.left.checked_add(self.padding).ok_or_else(|| broken("has an entry without end"))?;
        self.padding = 0;
        let mut buffer = [0; 1 << 13];
        while self.left > 0 {
            self.content(&mut buffer)?;
        }
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut done = 0;
        while done < buffer.len() {
            match self.read(&mut buffer[done..])? {
                0 => break,
                size => done += size,
            }
        }
        Ok(done)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.input.read(buffer) {
                Ok(size) => {
                    let left = self.most.checked_sub(size as u64);
                    self.most = left.ok_or(Error::TooLarge("bytes"))?;
                    self.hash.update(&buffer[..size]);
                    return Ok(size);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Read(error)),
            }
        }
    }
}

fn broken(what: &str) -> Error {
    Error::Invalid(format!("the layer's archive {what}"))
}

/// GNU's long names end with a zero.
fn text(mut data: Vec<u8>) -> Vec<u8> {
    data.truncate(data.iter().position(|byte| *byte == 0).unwrap_or(data.len()));
    data
}
