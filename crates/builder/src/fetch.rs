//! ADD of an address: the file comes into the build's own folder, nameless, and is copied from there like one of
//! the context. In: an address. Out: the file, 0600 and with its time, and the digest of its content.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{Copy, Digest, Failure, Fetch};
use port::Outside;
use rustix::fs::{OFlags, Timespec, Timestamps};
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::error::io_failure;
use crate::rooted::reopen;
use crate::select::Selected;

/// Fetches for one build.
pub(crate) struct Fetcher<'a> {
    outside: &'a dyn Outside,
    scratch: &'a Path,
    next: AtomicU64,
}

impl<'a> Fetcher<'a> {
    pub(crate) fn new(outside: &'a dyn Outside, scratch: &'a Path) -> Self {
        Self { outside, scratch, next: AtomicU64::new(0) }
    }

    /// The file, which is gone with the selection.
    ///
    /// # Errors
    /// It can't be had, is not what its checksum says, or can't be written.
    pub(crate) fn fetch(&self, copy: &Copy, fetch: &Fetch) -> Result<(Selected, Digest), Error> {
        let url = copy.sources.get(fetch.source).map_or("", String::as_str);
        let fetched = self.outside.fetch_url(url)?;
        let mut file = self.nameless().map_err(Error::io("Making a file"))?;
        let digest = receive(fetched.content, &mut file, url)?;
        if let Some(wanted) = fetch.checksum.as_ref().filter(|wanted| **wanted != digest) {
            return Err(mismatch(url, wanted, &digest).into());
        }
        let time = Timespec { tv_sec: fetched.last_modified.unwrap_or(0), tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::futimens(&file, &times).map_err(Error::errno("Setting the time of", Path::new(url)))?;
        let held = reopen(file.as_fd(), OFlags::PATH).map_err(Error::errno("Opening", Path::new(url)))?;
        let selected = Selected::of_file(&fetch.name, held);
        Ok((selected.map_err(Error::errno("Looking at", Path::new(url)))?, digest))
    }

    fn nameless(&self) -> std::io::Result<File> {
        let path = self.scratch.join(format!("fetched-{}", self.next.fetch_add(1, Ordering::Relaxed)));
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    }
}

/// The digest of what came.
fn receive(mut content: impl Read, file: &mut File, url: &str) -> Result<Digest, Error> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        let count = content.read(&mut buffer).map_err(|error| broke_off(error, url))?;
        if count == 0 {
            return Ok(Digest::from_sha256(hash.finalize().into()));
        }
        hash.update(&buffer[..count]);
        let written = std::io::Write::write_all(file, &buffer[..count]);
        written.map_err(|error| io_failure(&error, format!("Writing what was fetched: {error}")))?;
    }
}

/// The failure that the stream's last word carries, where it does.
fn broke_off(error: std::io::Error, url: &str) -> Failure {
    let said = error.to_string();
    match error.into_inner().and_then(|inner| inner.downcast::<Failure>().ok()) {
        Some(failure) => *failure,
        None => Failure::service("url_unreachable", format!("{url} broke off: {said}."), ""),
    }
}

fn mismatch(url: &str, wanted: &Digest, found: &Digest) -> Failure {
    Failure::user(
        "checksum_mismatch",
        format!("{url} is {found}, and its checksum says {wanted}."),
        "Is it the right file? Then write its checksum as it is now.",
    )
}
