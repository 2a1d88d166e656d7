//! The digest of a selection: path, kind, mode, owner, xattrs and content, never times.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use model::Digest;
use rustix::fs::FileType;
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::select::{Entry, Selected, content};

/// Name and value.
pub(crate) type Xattr = (Vec<u8>, Vec<u8>);

/// Extended attributes that a copy keeps, and that therefore belong to what it takes.
pub(crate) fn xattrs(fd: impl AsFd) -> Result<Vec<Xattr>, rustix::io::Errno> {
    let mut buffer = vec![0; 65536];
    let length = match rustix::fs::flistxattr(&fd, buffer.as_mut_slice()) {
        Ok(length) => length,
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(errno),
    };
    let mut names: Vec<Vec<u8>> =
        buffer[..length].split(|b| *b == 0).filter(|name| is_kept(name)).map(<[u8]>::to_vec).collect();
    names.sort();
    let mut all = Vec::new();
    for name in names {
        let mut value = vec![0; 65536];
        let length = rustix::fs::fgetxattr(&fd, OsStr::from_bytes(&name), value.as_mut_slice())?;
        value.truncate(length);
        all.push((name, value));
    }
    Ok(all)
}

fn is_kept(name: &[u8]) -> bool {
    let overlay = name.starts_with(b"user.overlay.");
    (name.starts_with(b"user.") && !overlay) || name == b"security.capability"
}

/// The digest of everything selected. `owners` says whether the files' own owners matter (they do not
/// where the copy sets them).
///
/// # Errors
/// Reading fails.
pub(crate) fn digest<'a>(
    selection: impl IntoIterator<Item = &'a Selected>,
    owners: bool,
) -> Result<Digest, Error> {
    let selection: Vec<&Selected> = selection.into_iter().collect();
    let mut hash = Sha256::new();
    hash.update((selection.len() as u64).to_le_bytes());
    for selected in selection {
        // A folder's own name does not matter: its content is taken.
        let name = if selected.is_folder { &[][..] } else { selected.name.as_bytes() };
        field(&mut hash, name);
        hash.update([u8::from(selected.is_folder)]);
        let mut links = HashMap::new();
        for entry in &selected.entries {
            one(&mut hash, selected, entry, owners, &mut links)
                .map_err(Error::io(format!("Reading {}", entry.path.display())))?;
        }
        hash.update([0xff]);
    }
    Ok(Digest::from_sha256(hash.finalize().into()))
}

/// The digest of files that are fetched beside a selection: place, name and content of each.
pub(crate) fn with_fetched<'a>(
    selection: &Digest,
    fetched: impl Iterator<Item = (&'a model::Fetch, &'a Digest)>,
) -> Digest {
    let mut hash = Sha256::new();
    field(&mut hash, selection.to_string().as_bytes());
    for (fetch, content) in fetched {
        hash.update((fetch.source as u64).to_le_bytes());
        field(&mut hash, fetch.name.as_bytes());
        field(&mut hash, content.to_string().as_bytes());
    }
    Digest::from_sha256(hash.finalize().into())
}

fn one(
    hash: &mut Sha256,
    selected: &Selected,
    entry: &Entry,
    owners: bool,
    links: &mut HashMap<(u64, u64), PathBuf>,
) -> std::io::Result<()> {
    let stat = &entry.stat;
    hash.update([1]);
    field(hash, entry.path.as_os_str().as_bytes());
    hash.update(stat.st_mode.to_le_bytes());
    if owners {
        hash.update(stat.st_uid.to_le_bytes());
        hash.update(stat.st_gid.to_le_bytes());
    }
    match entry.kind {
        FileType::RegularFile => {
            if let Some(first) = first_name(stat, entry, links) {
                hash.update([2]);
                field(hash, first.as_os_str().as_bytes());
                return Ok(());
            }
            let mut file = content(selected, entry)?;
            attributes(hash, &file)?;
            file_content(hash, &mut file)?;
        }
        FileType::Directory => attributes(hash, selected.open(entry)?)?,
        FileType::Symlink => field(hash, selected.link(entry)?.as_bytes()),
        _ => hash.update(stat.st_rdev.to_le_bytes()),
    }
    Ok(())
}

/// The path under which the same file was seen before.
fn first_name(
    stat: &rustix::fs::Stat,
    entry: &Entry,
    links: &mut HashMap<(u64, u64), PathBuf>,
) -> Option<PathBuf> {
    if stat.st_nlink < 2 {
        return None;
    }
    let first = links.entry((stat.st_dev, stat.st_ino)).or_insert_with(|| entry.path.clone());
    (*first != entry.path).then(|| first.clone())
}

fn attributes(hash: &mut Sha256, fd: impl AsFd) -> std::io::Result<()> {
    for (name, value) in xattrs(fd)? {
        hash.update([3]);
        field(hash, &name);
        field(hash, &value);
    }
    Ok(())
}

/// The content's own digest, so that its end is beyond doubt.
fn file_content(hash: &mut Sha256, file: &mut impl Read) -> std::io::Result<()> {
    let mut content = Sha256::new();
    let mut buffer = vec![0; 131_072];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        content.update(&buffer[..count]);
    }
    hash.update([4]);
    hash.update(content.finalize());
    Ok(())
}

/// Length first: no two lists of fields look alike.
fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}
