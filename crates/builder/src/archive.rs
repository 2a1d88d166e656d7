//! ADD: unpacks a local archive, known by its content, below a folder of the root file system.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use content::Allowance;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::Error;
use crate::accounts::within_limits;
use crate::place::Stamp;
use crate::rooted::{Root, clean, reopen, stat};

/// One block of a tar.
const BLOCK: usize = 512;

/// Largest headers of one entry, in bytes: the library reads them into memory.
const MAX_HEADERS: u64 = 2 << 20;

/// How much one archive may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) entries: u64,
    /// Of the tar, and of a sparse file its holes too.
    pub(crate) bytes: u64,
}

/// As for a layer that is unpacked.
pub(crate) const LIMITS: Limits = Limits { entries: 4_000_000, bytes: 64 << 30 };

/// The tar in `file`, if it is an archive that ADD unpacks: plain, or compressed by gzip, zstd, and where
/// the host has the program, bzip2 or xz. None for everything else, which is copied as it is.
///
/// # Errors
/// An archive whose program is missing, or reading fails.
pub(crate) fn open(mut file: File, name: &str) -> Result<Option<Box<dyn Read + Send>>, Error> {
    let mut magic = [0; 6];
    let length = read_full(&mut file, &mut magic).map_err(Error::io(format!("Reading {name}")))?;
    file.seek(SeekFrom::Start(0)).map_err(Error::io(format!("Reading {name}")))?;
    let mut reader: Box<dyn Read + Send> = match &magic[..length] {
        [b'B', b'Z', b'h', ..] => piped("bzip2", file, name)?,
        [0xfd, b'7', b'z', b'X', b'Z', 0] => piped("xz", file, name)?,
        _ => content::decompress(BufReader::new(file)).map_err(Error::io(format!("Reading {name}")))?,
    };
    let mut block = vec![0; BLOCK];
    // A file that only begins like a compressed one is no archive.
    let Ok(length) = read_full(&mut reader, &mut block) else { return Ok(None) };
    block.truncate(length);
    Ok(is_header(&block).then(|| Box::new(Cursor::new(block).chain(reader)) as Box<dyn Read + Send>))
}

/// By its checksum (pax(1), "ustar Interchange Format"), as Go's reader decides.
fn is_header(block: &[u8]) -> bool {
    if block.len() < BLOCK {
        return false;
    }
    let field = String::from_utf8_lossy(&block[148..156]).into_owned();
    let Ok(expected) = u64::from_str_radix(field.trim_matches(['\0', ' ']), 8) else { return false };
    let sum = |i: usize, b: &u8| if (148..156).contains(&i) { 32 } else { u64::from(*b) };
    block.iter().enumerate().map(|(i, b)| sum(i, b)).sum::<u64>() == expected
}

fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..])? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}

/// A decompressing child; its failure is the reader's.
struct Piped {
    child: Child,
    program: &'static str,
}

fn piped(program: &'static str, file: File, name: &str) -> Result<Box<dyn Read + Send>, Error> {
    let child = Command::new(program)
        .arg("-dc")
        .stdin(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|_| Error::Archive {
            name: name.to_owned(),
            message: format!("it is compressed by {program}, which the worker does not have"),
        })?;
    Ok(Box::new(Piped { child, program }))
}

impl Read for Piped {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some(stdout) = &mut self.child.stdout else { return Ok(0) };
        let count = stdout.read(buffer)?;
        if count == 0 && !buffer.is_empty() && !self.child.wait()?.success() {
            return Err(std::io::Error::other(format!("{} reports damage", self.program)));
        }
        Ok(count)
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Unpacks `tar` below `folder`: nothing lands outside it, whatever names and links the archive holds.
///
/// # Errors
/// The archive is damaged or holds a hard link to nothing, or a file operation fails.
pub(crate) fn unpack(tar: impl Read, name: &str, folder: OwnedFd, stamp: Stamp) -> Result<(), Error> {
    unpack_within(LIMITS, tar, name, folder, stamp)
}

fn unpack_within(
    limits: Limits,
    tar: impl Read,
    name: &str,
    folder: OwnedFd,
    stamp: Stamp,
) -> Result<(), Error> {
    let root = Root::from_fd(folder);
    let (tar, allowance) = Allowance::over(tar);
    let mut archive = tar::Archive::new(tar);
    let too_large = |what| Error::ArchiveTooLarge { name: name.to_owned(), what };
    let damaged = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::FileTooLarge => too_large("bytes"),
        std::io::ErrorKind::StorageFull => Error::Io { action: format!("Unpacking {name}"), source: e },
        _ => Error::Archive { name: name.to_owned(), message: e.to_string() },
    };
    let mut folders = Vec::new();
    let mut left = limits;
    let mut entries = archive.entries().map_err(damaged)?;
    loop {
        allowance.set(MAX_HEADERS);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(damaged)?;
        left.entries = left.entries.checked_sub(1).ok_or_else(|| too_large("files"))?;
        allowance.set(left.bytes);
        // Holes of a sparse file are not in the archive.
        left.bytes = left.bytes.checked_sub(entry.size()).ok_or_else(|| too_large("bytes"))?;
        let path = clean(&entry.path().map_err(damaged)?);
        let times = times(&entry, stamp);
        let owner = owner(entry.header(), stamp);
        within_limits(owner.into())?;
        if put(&root, &mut entry, &path, owner, &times).map_err(damaged)? {
            folders.push((path, times));
        }
        std::io::copy(&mut entry, &mut std::io::sink()).map_err(damaged)?;
        left.bytes = left.bytes.min(allowance.left());
    }
    for (path, times) in folders.iter().rev() {
        let set = || -> Result<(), Errno> {
            rustix::fs::futimens(root.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)?, times)
        };
        set().map_err(|e| damaged(e.into()))?;
    }
    Ok(())
}

fn times(entry: &tar::Entry<'_, impl Read>, stamp: Stamp) -> Timestamps {
    let own = entry.header().mtime().unwrap_or(0);
    let tv_sec = stamp.mtime.unwrap_or_else(|| i64::try_from(own).unwrap_or(0));
    let time = Timespec { tv_sec, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn owner(header: &tar::Header, stamp: Stamp) -> (u32, u32) {
    // Some writers leave the ids blank.
    let id = |number: std::io::Result<u64>| number.ok().and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
    stamp.owner.unwrap_or_else(|| (id(header.uid()), id(header.gid())))
}

/// True for a folder, whose time is set at the end.
fn put(
    root: &Root,
    entry: &mut tar::Entry<'_, impl Read>,
    path: &Path,
    (uid, gid): (u32, u32),
    times: &Timestamps,
) -> std::io::Result<bool> {
    if content::is_in_pieces(entry)? {
        let message = format!("`{}` is a sparse file in pieces: pack it without --sparse", path.display());
        return Err(std::io::Error::other(message));
    }
    let header = entry.header();
    let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    let mode = Mode::from_raw_mode(header.mode()? & 0o7777);
    let kind = header.entry_type();
    let is_sparse = kind == tar::EntryType::GNUSparse;
    // No system has contiguous files any more.
    let is_file = kind.is_file() || kind.is_contiguous() || is_sparse;
    if kind.is_dir() {
        let made = root.make_folders(path, &mut |_| Ok(()))?;
        let made = reopen(made, OFlags::RDONLY | OFlags::DIRECTORY)?;
        rustix::fs::fchown(&made, owner.0, owner.1)?;
        rustix::fs::fchmod(&made, mode)?;
        return Ok(true);
    }
    let Some(name) = path.file_name() else { return Ok(false) };
    let link = entry.link_name()?.map(std::borrow::Cow::into_owned);
    let folder = root.make_folders(path.parent().unwrap_or(Path::new("")), &mut |_| Ok(()))?;
    if is_file || kind.is_symlink() || kind.is_hard_link() || kind.is_fifo() {
        clear(&folder, Path::new(name))?;
    }
    match kind {
        k if k.is_hard_link() => {
            return hard_link(root, &link.unwrap_or_default(), &folder, name).map(|()| false);
        }
        k if k.is_symlink() => rustix::fs::symlinkat(link.unwrap_or_default(), &folder, name)?,
        k if k.is_fifo() => rustix::fs::mknodat(&folder, name, FileType::Fifo, mode, 0)?,
        _ if is_file => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(0o600))?;
            let mut file = File::from(file);
            match is_sparse {
                true => content::copy_with_holes(entry, &mut file)?,
                false => drop(std::io::copy(entry, &mut file)?),
            }
            rustix::fs::fchown(file.as_fd(), owner.0, owner.1)?;
            rustix::fs::fchmod(&file, mode)?;
        }
        _ => return Ok(false),
    }
    if !is_file {
        rustix::fs::chownat(&folder, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    rustix::fs::utimensat(&folder, name, times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(false)
}

fn hard_link(root: &Root, target: &Path, folder: &OwnedFd, name: &std::ffi::OsStr) -> std::io::Result<()> {
    let target: PathBuf = clean(target);
    let parent = root.folder(target.parent().unwrap_or(Path::new("")))?;
    let from = target.file_name().unwrap_or_default();
    Ok(rustix::fs::linkat(parent, from, folder, name, AtFlags::empty())?)
}

fn clear(folder: &OwnedFd, name: &Path) -> std::io::Result<()> {
    match stat(folder, name.as_os_str()) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
            Err(std::io::Error::other(format!("`{}` is a folder in the image", name.display())))
        }
        Ok(_) => Ok(rustix::fs::unlinkat(folder, name, AtFlags::empty())?),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
