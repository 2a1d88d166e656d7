//! A byte stream that knows whether it ended well.

use std::io::{self, Read};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use model::Failure;

/// How long the last word may be late after end of file.
const LAST_WORD: Duration = Duration::from_secs(30);

/// Bytes from outside. Reading to the end fails unless the sender said that it sent just as many.
pub struct ByteStream {
    inner: Box<dyn Read + Send>,
    read: u64,
    end: Option<Receiver<Result<u64, Failure>>>,
}

impl ByteStream {
    /// A stream whose end is announced by a message.
    pub fn announced(inner: impl Read + Send + 'static, end: Receiver<Result<u64, Failure>>) -> Self {
        Self { inner: Box::new(inner), read: 0, end: Some(end) }
    }

    /// A stream that is whole by itself: a file, bytes in memory.
    pub fn whole(inner: impl Read + Send + 'static) -> Self {
        Self { inner: Box::new(inner), read: 0, end: None }
    }

    fn check_end(&mut self) -> io::Result<()> {
        let Some(end) = self.end.take() else { return Ok(()) };
        match end.recv_timeout(LAST_WORD) {
            Ok(Ok(length)) if length == self.read => Ok(()),
            Ok(Ok(length)) => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the stream ended after {} of {length} bytes", self.read),
            )),
            Ok(Err(failure)) => Err(io::Error::other(failure)),
            Err(_) => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended without a last word"))
            }
        }
    }
}

impl Read for ByteStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
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
