//! A place where overlayfs can be mounted, archives to unpack, and archives read back.
#![expect(dead_code, reason = "each test program uses another part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use model::Digest;
use sha2::{Digest as _, Sha256};
use snapshot::{Diff, DiffStats, LayerDir, Snapshots};
use tar::{Builder, EntryType, Header};

const MARK: &str = "SNAPSHOT_TEST_INSIDE";

/// Runs the test `name` again as root of its own user and mount namespace, where it calls `body`; and
/// where tests run as root, once more as that root.
pub(crate) fn inside(name: &str, body: impl FnOnce()) {
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    if root {
        finish(start(&["--mount"], name), name);
        let mut child = start(&["--user", "--mount"], name);
        map(&child);
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        finish(child, name);
    } else {
        finish(start(&["--user", "--mount", "--map-root-user", "--map-auto"], name), name);
    }
}

fn start(unshare: &[&str], name: &str) -> Child {
    let wait = unshare == ["--user", "--mount"];
    let script = if wait { "echo ready; read go; exec \"$@\"" } else { "exec \"$@\"" };
    let mut child = Command::new("unshare")
        .args(unshare)
        .args(["--", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(MARK, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    if wait {
        let mut line = Vec::new();
        let mut byte = [0];
        let out = child.stdout.as_mut().unwrap();
        while out.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        assert_eq!(line, b"ready");
    }
    child
}

/// Root is root, and the others are far away.
fn map(child: &Child) {
    for file in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{}/{file}", child.id()), "0 0 1\n1 100000 65535\n").unwrap();
    }
}

fn finish(mut child: Child, name: &str) {
    let mut ran = false;
    let mut text = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        ran |= line.contains("1 passed");
        text += &line;
        text.push('\n');
    }
    assert!(child.wait().unwrap().success() && ran, "{name}: {text}");
}

/// A store of layers in a folder of its own.
pub(crate) struct Store {
    pub(crate) snapshots: Snapshots,
    pub(crate) folder: tempfile::TempDir,
}

impl Store {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { snapshots: Snapshots::open(&folder.path().join("s")).unwrap(), folder }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    pub(crate) fn unpack(&self, tar: &[u8]) -> Result<LayerDir, snapshot::Error> {
        self.snapshots.unpack(&digest(tar), tar)
    }

    /// A new layer on `lowers`.
    pub(crate) fn change(&self, lowers: &[LayerDir], change: impl FnOnce(&Path)) -> LayerDir {
        let active = self.snapshots.prepare(lowers, false).unwrap();
        change(active.root());
        active.commit().unwrap()
    }

    /// Names of all folders of layers but the two that are always there.
    pub(crate) fn folders(&self) -> Vec<String> {
        names(&self.root().join("d")).into_iter().filter(|name| name != "stubs" && name != "empty").collect()
    }
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

/// An archive being made.
pub(crate) struct Tar(Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub(crate) fn folder(self, path: &str) -> Self {
        self.entry(path, EntryType::Directory, 0o755, "", b"")
    }

    pub(crate) fn file(self, path: &str, content: &str) -> Self {
        self.entry(path, EntryType::Regular, 0o644, "", content.as_bytes())
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(path, EntryType::Symlink, 0o777, target, b"")
    }

    pub(crate) fn hardlink(self, path: &str, target: &str) -> Self {
        self.entry(path, EntryType::Link, 0o644, target, b"")
    }

    pub(crate) fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        self.0.append_pax_extensions(records.iter().copied()).unwrap();
        self
    }

    /// Names are written as they are, however bad.
    pub(crate) fn entry(
        mut self,
        path: &str,
        kind: EntryType,
        mode: u32,
        link: &str,
        content: &[u8],
    ) -> Self {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(1);
        header.set_gid(2);
        header.set_mtime(1000);
        header.set_size(content.len() as u64);
        let fields = header.as_ustar_mut().unwrap();
        fields.name[..path.len()].copy_from_slice(path.as_bytes());
        fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
        if matches!(kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(0).unwrap();
            header.set_device_minor(0).unwrap();
        }
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// The archive of a change.
pub(crate) fn diff(upper: &LayerDir, lowers: &[LayerDir], options: &Diff) -> (DiffStats, Vec<u8>) {
    let mut tar = Vec::new();
    let stats = snapshot::write_diff(upper, lowers, options, &mut tar).unwrap();
    (stats, tar)
}

/// An archive's entries, one a line: kind, path, mode, owner, time, and a link or the content.
pub(crate) fn entries(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let mut lines = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        let header = entry.header();
        let kind = match header.entry_type() {
            EntryType::Regular => "file",
            EntryType::Directory => "folder",
            EntryType::Symlink => "symlink",
            EntryType::Link => "hardlink",
            other => panic!("{other:?}"),
        };
        let link = entry.link_name().unwrap().map(|link| link.display().to_string()).unwrap_or_default();
        let line = format!(
            "{kind} {} {:o} {}:{} {} {link}{content}",
            entry.path().unwrap().display(),
            header.mode().unwrap(),
            header.uid().unwrap(),
            header.gid().unwrap(),
            header.mtime().unwrap(),
        );
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// The paths of an archive's entries.
pub(crate) fn paths(tar: &[u8]) -> Vec<String> {
    entries(tar).iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect()
}

/// Sets a file's time of last change, a link not followed.
pub(crate) fn touch(path: &Path, seconds: i64) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
    let time = Timespec { tv_sec: seconds, tv_nsec: 500 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
