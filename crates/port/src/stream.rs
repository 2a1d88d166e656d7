//! A byte stream that knows whether it ended well.

use std::io::{self, Read};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use model::{Digest, Failure};
use sha2::{Digest as _, Sha256};

use crate::Sent;

/// How long the last word may be late after end of file.
const LAST_WORD: Duration = Duration::from_secs(30);

/// Bytes from outside. Reading to the end fails unless the sender said that it sent just as many.
pub struct ByteStream {
    inner: Box<dyn Read + Send>,
    read: u64,
    hash: Option<Sha256>,
    end: Option<Receiver<Result<Sent, Failure>>>,
}

impl ByteStream {
    /// A stream whose end is announced by a message.
    pub fn announced(inner: impl Read + Send + 'static, end: Receiver<Result<Sent, Failure>>) -> Self {
        Self { inner: Box::new(inner), read: 0, hash: None, end: Some(end) }
    }

    /// The same, whose digest has to be announced too.
    #[must_use]
    pub(crate) fn with_digest(self) -> Self {
        Self { hash: Some(Sha256::new()), ..self }
    }

    /// A stream that is whole by itself: a file, bytes in memory.
    pub fn whole(inner: impl Read + Send + 'static) -> Self {
        Self { inner: Box::new(inner), read: 0, hash: None, end: None }
    }

    fn check_end(&mut self) -> io::Result<()> {
        let Some(end) = self.end.take() else { return Ok(()) };
        match end.recv_timeout(LAST_WORD) {
            Ok(Ok(sent)) if sent.length != self.read => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the stream ended after {} of {} bytes", self.read, sent.length),
            )),
            Ok(Ok(sent)) => self.check_digest(sent.digest),
            Ok(Err(failure)) => Err(io::Error::other(failure)),
            Err(_) => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended without a last word"))
            }
        }
    }
}

impl ByteStream {
    fn check_digest(&mut self, sent: Option<Digest>) -> io::Result<()> {
        let Some(hash) = self.hash.take() else { return Ok(()) };
        match sent == Some(Digest::from_sha256(hash.finalize().into())) {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the stream's bytes are not those that were sent",
            )),
        }
    }
}

impl Read for ByteStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..count]);
        }
        if count == 0 && !buffer.is_empty() {
            self.check_end()?;
        }
        Ok(count)
    }
}

impl std::fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByteStream").field("read", &self.read).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test may panic")]
    use std::io::Cursor;
    use std::sync::mpsc::channel;

    use super::*;

    /// What reading `bytes` to their end comes to, when this was said of them.
    fn read(bytes: &'static [u8], sent: Result<Sent, Failure>) -> Result<usize, String> {
        let (say, end) = channel();
        say.send(sent).unwrap();
        let mut stream = ByteStream::announced(Cursor::new(bytes), end).with_digest();
        stream.read_to_end(&mut Vec::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_end_is_believed_where_length_and_digest_are_what_was_sent() {
        let digest = |bytes: &[u8]| Some(Digest::from_sha256(Sha256::digest(bytes).into()));
        assert_eq!(read(b"hello", Ok(Sent { length: 5, digest: digest(b"hello") })), Ok(5));
        for (length, digest) in [(6, digest(b"hello")), (5, digest(b"hallo")), (5, None)] {
            assert!(read(b"hello", Ok(Sent { length, digest })).is_err(), "{length}");
        }
        let failure = Failure::service("url_unreachable", "It broke off.", "");
        assert!(read(b"hello", Err(failure)).is_err_and(|said| said.starts_with("It broke off.")));
    }
}
