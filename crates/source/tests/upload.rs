//! Stories of uploads: what tar writes comes back, what a stranger forges stays outside.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use model::Failure;
use source::unpack_upload;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use support::TestOutside;

#[expect(dead_code, reason = "each test file uses a part of it")]
mod support;

/// Name, type, mode, link target or content.
type Forged<'a> = (&'a str, EntryType, u32, &'a str);

const TIME: u64 = 1_600_000_000;

fn archive(entries: &[Forged<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, mode, text) in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_mtime(TIME);
        header.set_uid(4242);
        let is_link = matches!(kind, EntryType::Link | EntryType::Symlink);
        if is_link {
            header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        let content = if is_link { "" } else { text };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn unpack(bytes: Vec<u8>) -> (TempDir, Result<std::path::PathBuf, Failure>) {
    let folder = tempfile::tempdir().unwrap();
    let tree = unpack_upload(&TestOutside::archive(bytes), &folder.path().join("context"));
    (folder, tree.map(|tree| tree.root))
}

const FILE: EntryType = EntryType::Regular;
const FOLDER: EntryType = EntryType::Directory;
const LINK: EntryType = EntryType::Symlink;
const HARD_LINK: EntryType = EntryType::Link;

#[test]
fn an_archive_comes_back_as_it_was_packed_whatever_the_compression() {
    let plain = archive(&[
        ("./", FOLDER, 0o750, ""),
        ("./Dockerfile", FILE, 0o644, "FROM scratch"),
        ("./locked/", FOLDER, 0o555, ""),
        ("./locked/tool", FILE, 0o6755, "#!/bin/sh"),
        ("./deep/er/file", FILE, 0o600, "no folder entries"),
        ("./away", LINK, 0o777, "/usr/bin/python3"),
        ("./again", HARD_LINK, 0o644, "./Dockerfile"),
        ("./Dockerfile", FILE, 0o644, "FROM later"),
    ]);
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    for bytes in [gzip(&plain), zstd, plain] {
        let (_folder, root) = unpack(bytes);
        let root = root.unwrap();
        let mode = |path: &str| fs::symlink_metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(fs::read_to_string(root.join("Dockerfile")).unwrap(), "FROM later");
        assert_eq!(fs::read_to_string(root.join("again")).unwrap(), "FROM scratch");
        assert_eq!(fs::read_to_string(root.join("deep/er/file")).unwrap(), "no folder entries");
        assert_eq!((mode(""), mode("locked"), mode("locked/tool")), (0o750, 0o555, 0o6755));
        assert_eq!(fs::read_link(root.join("away")).unwrap().to_str(), Some("/usr/bin/python3"));
        let tool = fs::metadata(root.join("locked/tool")).unwrap();
        assert_eq!(
            (tool.mtime(), tool.uid()),
            (i64::try_from(TIME).unwrap(), fs::metadata(&root).unwrap().uid())
        );
        assert_eq!(fs::metadata(root.join("locked")).unwrap().mtime(), i64::try_from(TIME).unwrap());
    }
}

#[test]
fn entries_that_would_leave_the_context_are_refused() {
    let victim = tempfile::tempdir().unwrap();
    let away = victim.path().to_str().unwrap();
    let cases: &[&[Forged<'_>]] = &[
        &[("/absolute", FILE, 0o644, "x")],
        &[("../climbing", FILE, 0o644, "x")],
        &[("a/../../climbing", FILE, 0o644, "x")],
        &[("link", LINK, 0o777, away), ("link/file", FILE, 0o644, "x")],
        &[("link", LINK, 0o777, away), ("link/sub/file", FILE, 0o644, "x")],
        &[("link", LINK, 0o777, ".."), ("link/file", FILE, 0o644, "x")],
        &[("link", LINK, 0o777, away), ("link/", FOLDER, 0o755, ""), ("link/file", FILE, 0o644, "x")],
        &[("passwd", HARD_LINK, 0o644, "/etc/passwd")],
        &[("passwd", HARD_LINK, 0o644, "../../../../../../etc/passwd")],
        &[("link", LINK, 0o777, "/etc"), ("passwd", HARD_LINK, 0o644, "link/passwd")],
        &[("device", EntryType::Char, 0o666, "")],
        &[("device", EntryType::Block, 0o666, "")],
        &[("pipe", EntryType::Fifo, 0o666, "")],
    ];
    for entries in cases {
        let (folder, root) = unpack(gzip(&archive(entries)));
        let failure = root.unwrap_err();
        assert_eq!(
            (failure.kind.as_str(), failure.blame),
            ("archive_unsafe", model::Blame::User),
            "{entries:?}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{entries:?}");
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 0, "{entries:?}");
    }
}

#[test]
fn what_strangers_forge_stays_inside_or_is_refused_as_theirs() {
    let canary = test_support::Canary::new();
    for forged in canary.archives() {
        let tree = unpack_upload(&TestOutside::archive(forged.bytes), &canary.inside());
        if let Err(failure) = &tree {
            let kinds = ["archive_unsafe", "archive_invalid", "source_too_large"];
            assert!(kinds.contains(&failure.kind.as_str()), "{}: {failure:?}", forged.name);
        }
        canary.check(forged.name);
        fs::remove_dir_all(canary.inside()).unwrap();
        fs::create_dir(canary.inside()).unwrap();
    }
}

#[test]
fn a_file_is_never_written_through_a_link_of_its_own_name() {
    let victim = tempfile::tempdir().unwrap();
    let target = victim.path().join("target");
    fs::write(&target, "untouched").unwrap();
    let (_folder, root) =
        unpack(archive(&[("x", LINK, 0o777, target.to_str().unwrap()), ("x", FILE, 0o644, "new")]));
    assert_eq!(fs::read_to_string(root.unwrap().join("x")).unwrap(), "new");
    assert_eq!(fs::read_to_string(target).unwrap(), "untouched");
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    let good = gzip(&archive(&[("file", FILE, 0o644, &"content".repeat(9_000))]));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("an empty archive", archive(&[])),
        ("text", b"hello".to_vec()),
        ("long text", b"hello ".repeat(1_000)),
        ("zip", b"PK\x03\x04".repeat(500)),
        ("cut", good[..good.len() / 2].to_vec()),
        ("cut in its checksum", good[..good.len() - 3].to_vec()),
        ("a folder replaced by a file", archive(&[("a", FOLDER, 0o755, ""), ("a", FILE, 0o644, "x")])),
        ("a hard link to nothing", archive(&[("a", HARD_LINK, 0o644, "nothing")])),
    ];
    for (name, bytes) in cases {
        let (_folder, root) = unpack(bytes);
        assert_eq!(root.unwrap_err().kind, "archive_invalid", "{name}");
    }
}

/// Zeros without end, after a beginning: what a bomb of a few kilobytes unpacks to.
fn bomb(beginning: &[u8], zeros: u64) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(beginning).unwrap();
    std::io::copy(&mut std::io::Read::take(std::io::repeat(b'x'), zeros), &mut encoder).unwrap();
    encoder.finish().unwrap()
}

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_name_without_end_is_refused_before_it_fills_the_memory() {
    let zeros = 256 << 20;
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(zeros);
        header.set_cksum();
        let bytes = bomb(header.as_bytes(), zeros);
        assert!(bytes.len() < 1 << 20);
        let before = peak_kib();
        let (_folder, root) = unpack(bytes);
        let failure = root.unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.blame), ("source_too_large", model::Blame::Limits));
        assert!(peak_kib() - before < 64 << 10, "{kind:?}: {} KiB more", peak_kib() - before);
    }
}
