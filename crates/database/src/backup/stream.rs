//! Lines and parts of a backup, with a digest over all of them.

use std::io::{self, BufRead, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::{About, BackupError, MAGIC, Table};

/// Longest line, and largest part.
const LINE: u64 = 1 << 20;
const PART: u32 = 1 << 30;

pub(super) struct Writer<W> {
    out: W,
    hash: Sha256,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(out: W, about: &About) -> Result<Self, BackupError> {
        let mut writer = Self { out, hash: Sha256::new() };
        writer.write(format!("{MAGIC}\n").as_bytes())?;
        writer.line(about)?;
        Ok(writer)
    }

    pub(super) fn line(&mut self, value: &impl Serialize) -> Result<(), BackupError> {
        let mut line = serde_json::to_vec(value).map_err(io::Error::from)?;
        line.push(b'\n');
        self.write(&line)
    }

    /// An empty part ends a table.
    pub(super) fn part(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.write(&length.to_be_bytes())?;
        self.write(bytes)
    }

    pub(super) fn end(mut self) -> Result<(), BackupError> {
        self.line(&Option::<Table>::None)?;
        let digest = hex::encode(self.hash.clone().finalize());
        self.write(digest.as_bytes())?;
        Ok(self.out.flush()?)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.hash.update(bytes);
        Ok(self.out.write_all(bytes)?)
    }
}

pub(super) struct Reader<R> {
    input: R,
    hash: Sha256,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn begin(input: R) -> Result<(Self, About), BackupError> {
        let mut reader = Self { input, hash: Sha256::new() };
        let mut line = Vec::new();
        (&mut reader.input).take(64).read_until(b'\n', &mut line)?;
        if line != format!("{MAGIC}\n").as_bytes() {
            return Err(BackupError::Damaged("it does not begin as a backup does"));
        }
        reader.hash.update(&line);
        let about = reader.line()?;
        Ok((reader, about))
    }

    /// The next table; none after the last.
    pub(super) fn table(&mut self) -> Result<Option<Table>, BackupError> {
        self.line()
    }

    /// The next rows of a table; none after the last.
    pub(super) fn part(&mut self) -> Result<Option<Vec<u8>>, BackupError> {
        let mut length = [0; 4];
        self.read(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > PART {
            return Err(BackupError::Damaged("it has a part that is too large"));
        }
        let mut part = vec![0; length as usize];
        self.read(&mut part)?;
        Ok((length > 0).then_some(part))
    }

    pub(super) fn end(mut self) -> Result<(), BackupError> {
        let expected = hex::encode(self.hash.clone().finalize());
        let mut found = String::new();
        (&mut self.input).take(65).read_to_string(&mut found)?;
        if found == expected { Ok(()) } else { Err(BackupError::Damaged("its digest is another one")) }
    }

    fn line<T: DeserializeOwned>(&mut self) -> Result<T, BackupError> {
        let mut line = Vec::new();
        (&mut self.input).take(LINE).read_until(b'\n', &mut line)?;
        self.hash.update(&line);
        serde_json::from_slice(&line).map_err(|_| BackupError::Damaged("a line of it can't be read"))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<(), BackupError> {
        self.input.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BackupError::Damaged("its end is missing"),
            _ => BackupError::Io(error),
        })?;
        self.hash.update(buffer);
        Ok(())
    }
}
