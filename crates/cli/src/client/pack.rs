//! A folder as a tar.gz stream, without what `.dockerignore` leaves out. Entries are sorted, and belong
//! to nobody here: owner and group are 0.

use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use model::Failure;
use source::Ignore;
use tokio::sync::mpsc;

/// Bytes that are sent at once.
const PIECE: usize = 64 << 10;
/// Pieces that wait for the network.
const AHEAD: usize = 8;

/// What was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Packed {
    pub(crate) files: u64,
    /// Of the files, before compression.
    pub(crate) bytes: u64,
}

/// The pieces of the archive, and how it ended.
pub(crate) struct Packing {
    pub(crate) pieces: mpsc::Receiver<io::Result<Bytes>>,
    pub(crate) result: tokio::task::JoinHandle<Result<Packed, Failure>>,
}

/// Starts packing `context`; `dockerfile` goes along whatever is ignored.
pub(crate) fn pack(context: PathBuf, dockerfile: String) -> Packing {
    let (sender, pieces) = mpsc::channel(AHEAD);
    let result = tokio::task::spawn_blocking(move || {
        let end = sender.clone();
        let packed = pack_into(&context, &dockerfile, Pipe { sender, pending: Vec::with_capacity(PIECE) });
        if packed.is_err() {
            // The request must break off: a shorter archive would be taken for the whole.
            let _ = end.blocking_send(Err(io::Error::other("packing failed")));
        }
        packed
    });
    Packing { pieces, result }
}

fn pack_into(context: &Path, dockerfile: &str, out: impl Write) -> Result<Packed, Failure> {
    let ignore = Ignore::read(context, dockerfile)?;
    let mut packer = Packer {
        context,
        always: [dockerfile.to_owned(), ".dockerignore".to_owned(), format!("{dockerfile}.dockerignore")],
        ignore,
        tar: tar::Builder::new(GzEncoder::new(out, Compression::fast())),
        packed: Packed::default(),
    };
    packer.folder(Path::new(""))?;
    let packed = packer.packed;
    let finish = || packer.tar.into_inner()?.finish()?.flush();
    finish().map_err(|error| unreadable(context, &error))?;
    Ok(packed)
}

struct Packer<'a, W: Write> {
    context: &'a Path,
    always: [String; 3],
    ignore: Ignore,
    tar: tar::Builder<GzEncoder<W>>,
    packed: Packed,
}

impl<W: Write> Packer<'_, W> {
    fn folder(&mut self, relative: &Path) -> Result<(), Failure> {
        let path = self.context.join(relative);
        let say = |error: io::Error| unreadable(&path, &error);
        let entries = fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut names: Vec<_> = entries.map_err(say)?.into_iter().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names {
            let relative = relative.join(&name);
            let meta = fs::symlink_metadata(self.context.join(&relative)).map_err(say)?;
            self.entry(&relative, &meta)?;
        }
        Ok(())
    }

    fn entry(&mut self, relative: &Path, meta: &Metadata) -> Result<(), Failure> {
        let always = self.always.iter().any(|name| Path::new(name) == relative);
        let excluded = !always && self.ignore.excludes(relative, meta.is_dir());
        if meta.is_dir() {
            // Below an ignored folder something may be wanted all the same.
            let needed = self.always.iter().any(|name| Path::new(name).starts_with(relative));
            if excluded && !needed && self.ignore.excludes_all_below(relative) {
                return Ok(());
            }
            if !excluded {
                self.append(relative, meta)?;
            }
            return self.folder(relative);
        }
        if excluded || meta.file_type().is_socket() {
            return Ok(());
        }
        self.append(relative, meta)
    }

    fn append(&mut self, relative: &Path, meta: &Metadata) -> Result<(), Failure> {
        let path = self.context.join(relative);
        let kind = meta.file_type();
        let mut header = tar::Header::new_gnu();
        header.set_mode(meta.permissions().mode() & 0o7777);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(u64::try_from(meta.mtime()).unwrap_or(0));
        header.set_size(0);
        let appended = if kind.is_dir() {
            header.set_entry_type(tar::EntryType::Directory);
            self.tar.append_data(&mut header, relative, io::empty())
        } else if kind.is_symlink() {
            header.set_entry_type(tar::EntryType::Symlink);
            fs::read_link(&path).and_then(|target| self.link(&mut header, relative, &target))
        } else if kind.is_file() {
            header.set_size(meta.len());
            self.packed.files += 1;
            self.packed.bytes += meta.len();
            // A file that grows meanwhile is cut, one that shrinks is an error: the size is written.
            fs::File::open(&path).and_then(|file| {
                let mut content = io::Read::take(file, meta.len());
                self.tar.append_data(&mut header, relative, &mut content)
            })
        } else {
            return Err(Failure::user(
                "context_unreadable",
                format!("{} is a device or a pipe, which a build context can't hold.", path.display()),
                "Leave it out with a line in .dockerignore.",
            ));
        };
        appended.map_err(|error| unreadable(&path, &error))
    }

    /// The target exactly as it is: `append_link` alone makes `//` of `/`.
    fn link(&mut self, header: &mut tar::Header, path: &Path, target: &Path) -> io::Result<()> {
        if target != Path::new("/") {
            return self.tar.append_link(header, path, target);
        }
        header.set_link_name_literal("/")?;
        self.tar.append_data(header, path, io::empty())
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::user(
        "context_unreadable",
        format!("{} can't be read: {error}.", path.display()),
        "Leave it out with a line in .dockerignore, or make it readable.",
    )
}

/// Hands on what is written, in pieces.
struct Pipe {
    sender: mpsc::Sender<io::Result<Bytes>>,
    pending: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::replace(&mut self.pending, Vec::with_capacity(PIECE)));
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the upload broke off");
        self.sender.blocking_send(Ok(piece)).map_err(gone)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn names(context: &Path, dockerfile: &str) -> Vec<String> {
        let mut bytes = Vec::new();
        pack_into(context, dockerfile, &mut bytes).expect("it is packed");
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut tar).expect("it is gzip");
        let mut archive = tar::Archive::new(&tar[..]);
        let entries = archive.entries().expect("it is a tar");
        entries.map(|entry| entry.expect("an entry").path().expect("a path").display().to_string()).collect()
    }

    #[test]
    fn what_is_ignored_stays_here_but_the_dockerfile_goes_along() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [
            (".dockerignore", "*\n!src\nsrc/secret\n!src/secret/public\n"),
            ("Dockerfile", "FROM scratch\n"),
            ("notes", ""),
            ("target/big", ""),
            ("src/main.rs", ""),
            ("src/secret/key", ""),
            ("src/secret/public", ""),
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        let packed = names(folder.path(), "Dockerfile");
        let expected = [".dockerignore", "Dockerfile", "src/", "src/main.rs", "src/secret/public"];
        let packed: Vec<_> = packed.iter().map(|name| name.as_str()).collect();
        assert_eq!(
            packed.iter().map(|n| n.trim_end_matches('/')).collect::<Vec<_>>(),
            expected.map(|n| n.trim_end_matches('/'))
        );
    }

    #[test]
    fn a_link_is_packed_as_a_link_and_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).expect("a link");
        let mut bytes = Vec::new();
        let packed = pack_into(folder.path(), "Dockerfile", &mut bytes).expect("it is packed");
        assert_eq!(packed, Packed { files: 0, bytes: 0 });
        assert_eq!(names(folder.path(), "Dockerfile"), ["link"]);
    }
}
