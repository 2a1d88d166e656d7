#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use test_support::Canary;

use super::*;

#[test]
fn what_strangers_forge_stays_inside_or_is_refused_as_theirs() {
    let canary = Canary::new();
    for forged in canary.archives() {
        let root = canary.inside().join("root");
        fs::create_dir(&root).unwrap();
        let folder = rustix::fs::open(&root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let unpacked = unpack(&forged.bytes[..], forged.name, folder, Stamp::default());
        if let Err(error) = unpacked {
            let failure = error.into_failure();
            let kinds = ["archive_unreadable", "archive_too_large"];
            assert!(kinds.contains(&failure.kind.as_str()), "{}: {failure:?}", forged.name);
        }
        canary.check(forged.name);
        fs::remove_dir_all(root).unwrap();
    }
}

#[test]
fn an_archive_ends_at_the_limits() {
    let mut builder = tar::Builder::new(Vec::new());
    for name in ["a", "b"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(1024);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &[7; 1024][..]).unwrap();
    }
    let archive = builder.into_inner().unwrap();
    let unpack = |limits: Limits| {
        let folder = tempfile::tempdir().unwrap();
        let root = rustix::fs::open(folder.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        unpack_within(limits, &archive[..], "archive", root, Stamp::default())
    };
    assert!(unpack(Limits { entries: 2, bytes: 2048 }).is_ok());
    for limits in [Limits { entries: 1, ..LIMITS }, Limits { bytes: 2047, ..LIMITS }] {
        assert!(matches!(unpack(limits), Err(Error::ArchiveTooLarge { .. })), "{limits:?}");
    }
}
