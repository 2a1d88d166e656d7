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
