//! Archives that strangers forge, as one corpus for everything that unpacks: contexts, layers, `ADD`. And the folder
//! that all of them are after. Sources: the refusals of containerd's, Docker's and Go's archive tests, CVE-2018-15664,
//! CVE-2019-14271, CVE-2024-21626 and the like.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

/// A name that says what it tries, and a tar.
#[derive(Debug)]
pub struct HostileArchive {
    pub name: &'static str,
    pub bytes: Vec<u8>,
}

/// A folder beside the one that is unpacked into. Nothing may change it.
#[derive(Debug)]
pub struct Canary {
    folder: tempfile::TempDir,
}

/// What no archive needs, and what is far more than any has.
const LARGE: u64 = 1 << 40;
const SECRET: &str = "untouched";

impl Canary {
    /// Makes it, and beside it a folder for whoever unpacks.
    ///
    /// # Panics
    /// The disk refuses.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it writes files")]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let canary = Self { folder };
        for path in [canary.path(), canary.inside()] {
            fs::create_dir(path).expect("a folder");
        }
        fs::set_permissions(canary.path(), fs::Permissions::from_mode(0o711)).expect("a mode");
        fs::write(canary.path().join("passwd"), SECRET).expect("a file");
        canary
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("outside")
    }

    /// Where to unpack, or below it.
    #[must_use]
    pub fn inside(&self) -> PathBuf {
        self.folder.path().join("inside")
    }

    /// Nothing outside has changed, and nothing inside is a device.
    ///
    /// # Panics
    /// Something has.
    pub fn check(&self, what: &str) {
        let names = |folder: &Path| {
            let names = fs::read_dir(folder).expect("a folder").flatten();
            let mut names: Vec<_> = names.map(|entry| entry.file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(self.folder.path()), ["inside", "outside"], "{what}");
        assert_eq!(names(&self.path()), ["passwd"], "{what}");
        assert_eq!(fs::metadata(self.path()).expect("a folder").mode() & 0o7777, 0o711, "{what}");
        let passwd = self.path().join("passwd");
        assert_eq!(fs::read_to_string(&passwd).expect("a file"), SECRET, "{what}");
        let meta = fs::symlink_metadata(&passwd).expect("a file");
        assert!(meta.is_file() && meta.nlink() == 1 && meta.mode() & 0o7777 == 0o644, "{what}: {meta:?}");
        let mut folders = vec![self.inside()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                let meta = entry.metadata().expect("a file");
                let kind = meta.file_type();
                assert!(!kind.is_block_device() && !kind.is_char_device(), "{what}: {entry:?}");
                assert!(meta.blocks() < 1 << 16, "{what}: {entry:?} has {} blocks", meta.blocks());
                if kind.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
    }

    /// Every archive, aimed at this folder.
    #[must_use]
    pub fn archives(&self) -> Vec<HostileArchive> {
        let outside = self.path();
        let out = outside.to_str().expect("a plain name");
        let up = format!("{}{out}", "../".repeat(40).trim_end_matches('/'));
        let (passwd, up_passwd) = (format!("{out}/passwd"), format!("{up}/passwd"));
        let deep = "d/".repeat(3000);
        let long = "n".repeat(100_000);
        let all = [
            ("a name that climbs", Forged::new().file("../x", "x")),
            ("a name that climbs from below", Forged::new().file("a/../../x", "x")),
            ("a name that climbs to the file", Forged::new().file(&up_passwd, "x")),
            ("an absolute name", Forged::new().file(&passwd, "x")),
            ("a file through a link", Forged::new().symlink("a", out).file("a/passwd", "x")),
            ("a file through a relative link", Forged::new().symlink("a", &up).file("a/passwd", "x")),
            ("a new file through a link", Forged::new().symlink("a", out).file("a/new", "x")),
            ("a folder through a link", Forged::new().symlink("a", out).folder("a/new")),
            ("a link through a link", Forged::new().symlink("a", out).symlink("a/new", "/")),
            (
                "a folder in place of a link",
                Forged::new().symlink("a", out).folder("a").file("a/passwd", "x"),
            ),
            ("a link through two", Forged::new().symlink("a", "b").symlink("b", out).file("a/passwd", "x")),
            ("a file over a link of its name", Forged::new().symlink("a", &passwd).file("a", "x")),
            (
                "a link in place of a folder",
                Forged::new().folder("a").file("a/passwd", "x").symlink("a", out).file("a/passwd", "x"),
            ),
            (
                "a link in place of an empty folder",
                Forged::new().folder("a").symlink("a", out).file("a/passwd", "x"),
            ),
            ("a hard link out", Forged::new().hard_link("a", &passwd).file("a", "x")),
            ("a hard link that climbs", Forged::new().hard_link("a", &up_passwd).file("a", "x")),
            ("a hard link through a link", Forged::new().symlink("a", out).hard_link("b", "a/passwd")),
            ("a hard link to a link", Forged::new().symlink("a", &passwd).hard_link("b", "a").file("b", "x")),
            ("a hard link to a folder", Forged::new().folder("a").hard_link("b", "a")),
            ("a hard link to itself", Forged::new().hard_link("a", "a")),
            ("a hard link to nothing", Forged::new().hard_link("a", "b")),
            ("a whiteout through a link", Forged::new().symlink("a", out).file("a/.wh.passwd", "")),
            ("an opaque folder through a link", Forged::new().symlink("a", out).file("a/.wh..wh..opq", "")),
            ("a whiteout of what is above", Forged::new().file(".wh...", "")),
            ("a whiteout of nothing", Forged::new().file(".wh.", "")),
            ("a link to itself", Forged::new().symlink("a", "a").file("a/b", "")),
            ("a file below a file", Forged::new().file("f", "").file("f/b", "")),
            ("a name of nothing", Forged::new().file("", "x")),
            ("a file with the root's name", Forged::new().file("./", "x")),
            ("devices", Forged::new().entry("null", EntryType::Char, "").entry("sda", EntryType::Block, "")),
            (
                "a device, then a file through its name",
                Forged::new().entry("a", EntryType::Char, "").file("a", "x"),
            ),
            ("a fifo, then a file of its name", Forged::new().entry("a", EntryType::Fifo, "").file("a", "x")),
            ("a name in an extended header", Forged::new().pax("path", "../x").file("fine", "x")),
            (
                "a link in an extended header",
                Forged::new().pax("linkpath", out).symlink("a", "fine").file("a/passwd", "x"),
            ),
            (
                "a hard link in an extended header",
                Forged::new().pax("linkpath", &passwd).hard_link("a", "fine"),
            ),
            ("a zero byte in an extended header", Forged::new().pax("path", "a\0b").file("a", "")),
            ("a size in an extended header", Forged::new().pax("size", "1099511627776").file("a", "x")),
            ("an extended header that is none", Forged::new().raw_pax(b"999 path=").file("a", "x")),
            (
                "a sparse file, in an extended header",
                Forged::new().pax("GNU.sparse.major", "1").file("a", "x"),
            ),
            ("a sparse file of a tebibyte", Forged::new().sparse("a")),
            ("a size beyond the archive", Forged::new().truncated("a")),
            ("folders in folders", Forged::new().long(&deep)),
            ("a very long name", Forged::new().long(&long)),
        ];
        all.into_iter().map(|(name, forged)| HostileArchive { name, bytes: forged.bytes() }).collect()
    }
}

/// A tar whose headers say whatever they like.
struct Forged(Builder<Vec<u8>>);

impl Forged {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn header(name: &str, kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        let room = header.as_old_mut().name.len();
        let name = &name.as_bytes()[..name.len().min(room)];
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o6777 } else { 0o6755 });
        header.set_mtime(1_600_000_000);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(size);
        header.set_cksum();
        header
    }

    fn entry(mut self, name: &str, kind: EntryType, text: &str) -> Self {
        // Longer ones go ahead of their entry.
        if name.len() > 100 {
            self = self.ahead(EntryType::GNULongName, name.as_bytes());
        }
        let header = Self::header(name, kind, text.len() as u64);
        self.0.append(&header, text.as_bytes()).expect("a vector takes it");
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        self.entry(name, EntryType::Regular, text)
    }

    fn folder(self, name: &str) -> Self {
        self.entry(name, EntryType::Directory, "")
    }

    fn symlink(self, name: &str, to: &str) -> Self {
        self.ahead(EntryType::GNULongLink, to.as_bytes()).entry(name, EntryType::Symlink, "")
    }

    fn hard_link(self, name: &str, to: &str) -> Self {
        self.ahead(EntryType::GNULongLink, to.as_bytes()).entry(name, EntryType::Link, "")
    }

    fn long(self, name: &str) -> Self {
        self.file(name, "x")
    }

    fn pax(self, key: &str, value: &str) -> Self {
        // Its own length is part of the length.
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length += 1;
        }
        self.raw_pax(format!("{length} {key}={value}\n").as_bytes())
    }

    fn raw_pax(mut self, records: &[u8]) -> Self {
        let header = Self::header("pax", EntryType::XHeader, records.len() as u64);
        self.0.append(&header, records).expect("a vector takes it");
        self
    }

    fn ahead(mut self, kind: EntryType, text: &[u8]) -> Self {
        let header = Self::header("././@LongLink", kind, text.len() as u64);
        self.0.append(&header, text).expect("a vector takes it");
        self
    }

    /// Nothing in the archive, and a tebibyte on the disk of whoever writes its zeros.
    fn sparse(mut self, name: &str) -> Self {
        let mut header = Self::header(name, EntryType::GNUSparse, 0);
        let gnu = header.as_gnu_mut().expect("a GNU header");
        octal(&mut gnu.sparse[0].offset, LARGE);
        octal(&mut gnu.sparse[0].numbytes, 0);
        octal(&mut gnu.realsize, LARGE);
        header.set_cksum();
        self.0.append(&header, &b""[..]).expect("a vector takes it");
        self
    }

    fn truncated(mut self, name: &str) -> Self {
        let header = Self::header(name, EntryType::Regular, LARGE);
        self.0.get_mut().write_all(header.as_bytes()).expect("a vector takes it");
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("a vector takes it")
    }
}

/// As GNU tar writes what eleven octal digits can't say.
fn octal(field: &mut [u8; 12], value: u64) {
    field.fill(0);
    field[0] = 0x80;
    field[4..].copy_from_slice(&value.to_be_bytes());
}
