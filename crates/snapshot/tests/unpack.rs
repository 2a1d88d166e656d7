//! Archives become folders, and hostile ones nothing.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod support;

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use model::Blame;
use support::{Store, Tar, digest, inside, names};
use tar::EntryType;

#[test]
fn an_archive_is_unpacked_as_it_says() {
    inside("an_archive_is_unpacked_as_it_says", || {
        let store = Store::new();
        let long = "x".repeat(120);
        let capability: &[u8] = b"\x01\0\0\x02\x0a\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let tar = Tar::new()
            .entry("./", EntryType::Directory, 0o711, "", b"")
            .folder("bin/")
            .pax(&[
                ("SCHILY.xattr.security.capability", capability),
                ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ])
            .entry("bin/ping", EntryType::Regular, 0o4755, "", b"#!")
            .hardlink("bin/pong", "./bin/ping")
            .symlink("bin/link", "/anything")
            .entry("bin/pipe", EntryType::Fifo, 0o600, "", b"")
            .pax(&[("path", long.as_bytes()), ("mtime", b"77.25"), ("uid", b"60000")])
            .file("short", "long")
            .file("/absolute/name", "inside")
            .bytes();
        let layer = store.unpack(&tar).unwrap();
        let at = |path: &str| layer.path().join(path);
        let stat = |path: &str| fs::symlink_metadata(at(path)).unwrap();
        assert_eq!(stat("").permissions().mode() & 0o7777, 0o711);
        assert_eq!(stat("bin/ping").permissions().mode() & 0o7777, 0o4755);
        assert_eq!((stat("bin/ping").uid(), stat("bin/ping").gid()), (1, 2));
        assert_eq!(stat("bin/ping").ino(), stat("bin/pong").ino());
        assert_eq!(stat("bin").mtime(), 1000);
        assert_eq!(stat("bin/link").mtime(), 1000);
        assert!(stat("bin/pipe").file_type().is_fifo());
        assert_eq!(
            (stat(&long).mtime(), stat(&long).mtime_nsec(), stat(&long).uid()),
            (77, 250_000_000, 60_000)
        );
        assert_eq!(fs::read_to_string(at("absolute/name")).unwrap(), "inside");
        let mut value = [0_u8; 64];
        let size = rustix::fs::getxattr(at("bin/ping"), "security.capability", value.as_mut_slice()).unwrap();
        assert_eq!(&value[..size], capability);
        assert!(rustix::fs::getxattr(at("bin/ping"), "user.overlay.opaque", value.as_mut_slice()).is_err());
        assert_eq!(store.snapshots.get(&digest(&tar)), Some(layer));
    });
}

#[test]
fn an_archive_with_another_digest_leaves_nothing() {
    inside("an_archive_with_another_digest_leaves_nothing", || {
        let store = Store::new();
        let tar = Tar::new().file("a", "a").bytes();
        let mut longer = tar.clone();
        longer.extend([0; 512]);
        let error = store.snapshots.unpack(&digest(&tar), longer.as_slice()).unwrap_err();
        assert_eq!(error.failure().kind, "digest_mismatch");
        assert_eq!(store.folders(), [""; 0]);
        assert_eq!(names(&store.root().join("layers")), [""; 0]);
        assert_eq!(store.snapshots.get(&digest(&tar)), None);
        store.unpack(&longer).unwrap();
    });
}

#[test]
fn hostile_archives_are_refused_and_change_nothing() {
    inside("hostile_archives_are_refused_and_change_nothing", || {
        let store = Store::new();
        let outside = store.folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("passwd"), "untouched").unwrap();
        let out = outside.to_str().unwrap();
        let hostile = [
            Tar::new().file("../x", "x"),
            Tar::new().file("a/../../x", "x"),
            Tar::new().symlink("a", out).file("a/passwd", "x"),
            Tar::new().symlink("a", "../../../outside").file("a/passwd", "x"),
            Tar::new().symlink("a", out).file("a/.wh.passwd", ""),
            Tar::new().symlink("a", out).folder("a/new"),
            Tar::new().symlink("a", out).file("b", "").hardlink("c", "a/passwd"),
            Tar::new().hardlink("b", &format!("{out}/passwd")),
            Tar::new().hardlink("b", "../../../outside/passwd"),
            Tar::new().folder("b").hardlink("a", "b"),
            Tar::new().file(".wh...", ""),
            Tar::new().file(".wh.", ""),
            Tar::new().symlink("a", "a").file("a/b", ""),
            Tar::new().file("f", "").file("f/b", ""),
            Tar::new().pax(&[("path", b"a\0b")]).file("a", ""),
            Tar::new().file("", "the root is a folder"),
            Tar::new().entry("sparse", EntryType::GNUSparse, 0o644, "", b""),
        ];
        for (number, tar) in hostile.into_iter().enumerate() {
            let error = store.unpack(&tar.bytes()).expect_err(&number.to_string());
            assert_eq!(error.failure().kind, "layer_invalid", "{number}: {error}");
        }
        assert_eq!(names(&outside), ["passwd"]);
        assert_eq!(fs::read_to_string(outside.join("passwd")).unwrap(), "untouched");
        assert_eq!(names(store.folder.path()), ["outside", "s"]);
        assert_eq!(store.folders(), [""; 0]);
    });
}

#[test]
fn what_strangers_forge_stays_inside_or_is_refused_as_the_layers_fault() {
    inside("what_strangers_forge_stays_inside_or_is_refused_as_the_layers_fault", || {
        let canary = test_support::Canary::new();
        for forged in canary.archives() {
            let snapshots = snapshot::Snapshots::open(&canary.inside().join("s")).unwrap();
            let layer = snapshots.unpack(&support::digest(&forged.bytes), &forged.bytes[..]);
            if let Err(error) = &layer {
                assert_eq!(error.failure().kind, "layer_invalid", "{}: {error}", forged.name);
            }
            canary.check(forged.name);
            fs::remove_dir_all(canary.inside().join("s")).unwrap();
        }
    });
}

#[test]
fn links_to_folders_of_the_same_layer_are_followed() {
    inside("links_to_folders_of_the_same_layer_are_followed", || {
        let store = Store::new();
        let tar = Tar::new().folder("usr").folder("usr/lib").symlink("lib", "/../usr/lib").file("lib/x", "x");
        let layer = store.unpack(&tar.bytes()).unwrap();
        assert_eq!(fs::read_to_string(layer.path().join("usr/lib/x")).unwrap(), "x");
    });
}

#[test]
fn a_folder_replaced_by_a_link_leads_nowhere_else() {
    inside("a_folder_replaced_by_a_link_leads_nowhere_else", || {
        let store = Store::new();
        let tar = Tar::new().folder("a").file("a/x", "x").symlink("a", "/etc").file("a/y", "y");
        assert_eq!(store.unpack(&tar.bytes()).unwrap_err().failure().kind, "layer_invalid");
    });
}

#[test]
fn devices_are_left_out_and_hide_nothing() {
    inside("devices_are_left_out_and_hide_nothing", || {
        let store = Store::new();
        let base = store.unpack(&Tar::new().file("a", "a").bytes()).unwrap();
        let tar = Tar::new().entry("a", EntryType::Char, 0, "", b"").entry("b", EntryType::Block, 0, "", b"");
        let layer = store.unpack(&tar.bytes()).unwrap();
        assert_eq!(names(layer.path()), [""; 0]);
        let view = store.snapshots.view(&[base, layer]).unwrap();
        assert_eq!(names(view.path()), ["a"]);
    });
}

#[test]
fn whiteouts_hide_lower_files_but_never_the_layers_own() {
    inside("whiteouts_hide_lower_files_but_never_the_layers_own", || {
        let store = Store::new();
        let base = Tar::new().file("gone", "1").file("d/old", "1").file("e/old", "1").file("o/old", "1");
        let base = store.unpack(&base.file("g/old", "1").file("kept", "1").bytes()).unwrap();
        let tar = Tar::new()
            .file(".wh.gone", "")
            .file("kept", "2")
            .file(".wh.kept", "")
            .file("d/new", "2")
            .file(".wh.d", "")
            .file(".wh.e", "")
            .file("e/new", "2")
            .file(".wh.g", "")
            .folder("g/")
            .file("g/new", "2")
            .file("o/new", "2")
            .file("o/.wh..wh..opq", "")
            .file(".wh..wh.plnk", "")
            .file(".wh.never", "");
        let layer = store.unpack(&tar.bytes()).unwrap();
        let view = store.snapshots.view(&[base, layer]).unwrap();
        let shown = |path: &str| names(&view.path().join(path));
        assert_eq!(shown(""), ["d", "e", "g", "kept", "o"]);
        for folder in ["d", "e", "g", "o"] {
            assert_eq!(shown(folder), ["new"], "{folder}");
        }
        assert_eq!(fs::read_to_string(view.path().join("kept")).unwrap(), "2");
    });
}

#[test]
fn the_same_layer_is_unpacked_by_many_at_once() {
    inside("the_same_layer_is_unpacked_by_many_at_once", || {
        let store = Store::new();
        let tar = Tar::new().file("a", &"a".repeat(100_000)).bytes();
        let paths: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| store.unpack(&tar).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(paths.iter().all(|path| *path == paths[0]));
        assert_eq!(store.folders().len(), 1);
    });
}

#[test]
fn damaged_archives_are_refused() {
    inside("damaged_archives_are_refused", || {
        let store = Store::new();
        let tar = Tar::new().file("a", &"a".repeat(1000)).bytes();
        let mut wrong = tar.clone();
        wrong[0] = b'b';
        for damaged in [&tar[..700], &tar[..100], &wrong] {
            assert_eq!(store.unpack(damaged).unwrap_err().failure().kind, "layer_invalid");
        }
        // Bytes that got lost on the way are not the archive's fault, even where they show as such first.
        let lost = std::io::Error::new(std::io::ErrorKind::InvalidData, "lost");
        let error =
            store.snapshots.unpack(&digest(&tar), wrong.as_slice().chain(Failing(Some(lost)))).unwrap_err();
        assert_eq!(
            (error.failure().blame, error.failure().kind.as_str()),
            (Blame::Service, "store_unusable")
        );
        // Without the two empty blocks at its end it is whole.
        store.unpack(&tar[..1536]).unwrap();
        store.unpack(b"").unwrap();
    });
}

struct Failing(Option<std::io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}
