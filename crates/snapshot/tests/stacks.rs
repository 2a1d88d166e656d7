//! Layers are stacked, written and swept.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;

use snapshot::{Diff, LayerDir, Snapshots};
use support::{Store, Tar, diff, digest, inside, names};

#[test]
fn a_hundred_and_twenty_layers_are_one_folder() {
    inside("a_hundred_and_twenty_layers_are_one_folder", || {
        let store = Store::new();
        let layers: Vec<LayerDir> = (0..120)
            .map(|n| {
                let tar = Tar::new().file(&format!("f{n}"), "").file("last", &n.to_string());
                store.unpack(&tar.bytes()).unwrap()
            })
            .collect();
        let folder = std::env::current_dir().unwrap();
        let active = store.snapshots.prepare(&layers, true).unwrap();
        assert_eq!(fs::read_to_string(active.root().join("last")).unwrap(), "119");
        assert_eq!(names(active.root()).len(), 120 + 1 + 5);
        let view = store.snapshots.view(&layers).unwrap();
        assert_eq!(names(view.path()).len(), 120 + 1);
        assert!(fs::write(view.path().join("x"), "").is_err());
        assert_eq!(std::env::current_dir().unwrap(), folder);
    });
}

#[test]
fn layers_that_others_unpacked_are_found_and_stacked_with_ones_own() {
    inside("layers_that_others_unpacked_are_found_and_stacked_with_ones_own", || {
        let shared = Store::new();
        let own = Snapshots::open_above(&shared.folder.path().join("own"), &shared.root()).unwrap();
        let tars: Vec<Vec<u8>> =
            (0..60).map(|n| Tar::new().file("last", &format!("shared {n}")).bytes()).collect();
        let mut layers: Vec<LayerDir> = tars.iter().map(|tar| shared.unpack(tar).unwrap()).collect();
        assert!(tars.iter().zip(&layers).all(|(tar, layer)| own.get(&digest(tar)).as_ref() == Some(layer)));
        let before = shared.folders();
        for n in 0..60 {
            let tar = Tar::new().file("last", &format!("own {n}")).bytes();
            layers.push(own.unpack(&digest(&tar), &*tar).unwrap());
        }
        let active = own.prepare(&layers, true).unwrap();
        assert_eq!(fs::read_to_string(active.root().join("last")).unwrap(), "own 59");
        fs::write(active.root().join("last"), "changed").unwrap();
        let changed = active.commit().unwrap();
        assert_eq!(diff(&changed, &layers, &Diff::default()).0.entries, 1);
        assert_eq!(shared.folders(), before, "nothing of it is where others unpack");
        let missing = shared.folder.path().join("missing");
        assert!(Snapshots::open_above(&shared.folder.path().join("own"), &missing).is_err());
    });
}

#[test]
fn places_to_mount_at_are_there_and_never_part_of_a_layer() {
    inside("places_to_mount_at_are_there_and_never_part_of_a_layer", || {
        let store = Store::new();
        let active = store.snapshots.prepare(&[], true).unwrap();
        for path in ["proc", "sys", "dev/pts", "dev/shm", "etc/resolv.conf", "etc/hosts", "etc/hostname"] {
            assert!(active.root().join(path).exists(), "{path}");
        }
        fs::write(active.root().join("etc/passing"), "").unwrap();
        fs::remove_file(active.root().join("etc/passing")).unwrap();
        fs::remove_file(active.root().join("etc/hosts")).unwrap();
        let layer = active.commit().unwrap();
        assert_eq!(diff(&layer, &[], &Diff::default()).0.entries, 0);
    });
}

#[test]
fn a_stack_that_is_dropped_leaves_nothing() {
    inside("a_stack_that_is_dropped_leaves_nothing", || {
        let store = Store::new();
        let active = store.snapshots.prepare(&[], false).unwrap();
        fs::write(active.root().join("a"), "a").unwrap();
        let root = active.root().to_owned();
        drop(active);
        assert!(!root.exists());
        assert_eq!(store.folders(), [""; 0]);
        let view = store.snapshots.view(&[]).unwrap();
        assert_eq!(names(view.path()), [""; 0]);
    });
}

#[test]
fn the_root_of_a_stack_is_the_bases() {
    inside("the_root_of_a_stack_is_the_bases", || {
        let store = Store::new();
        let tar = Tar::new().entry("./", tar::EntryType::Directory, 0o1777, "", b"").bytes();
        let base = store.unpack(&tar).unwrap();
        let active = store.snapshots.prepare(&[base], true).unwrap();
        let stat = fs::metadata(active.root()).unwrap();
        assert_eq!((stat.mode() & 0o7777, stat.uid(), stat.gid()), (0o1777, 1, 2));
    });
}

#[test]
fn a_committed_layer_is_found_by_its_name() {
    inside("a_committed_layer_is_found_by_its_name", || {
        let store = Store::new();
        let one = store.change(&[], |root| fs::write(root.join("a"), "1").unwrap());
        let other = store.change(&[], |root| fs::write(root.join("a"), "2").unwrap());
        let name = digest(b"name");
        store.snapshots.name(&one, &name).unwrap();
        store.snapshots.name(&other, &name).unwrap();
        assert_eq!(store.snapshots.get(&name).as_ref(), Some(&one));
        assert_eq!(names(one.path().parent().unwrap()), ["fs"]);
        // A name that leads nowhere is given anew.
        fs::remove_dir_all(one.path().parent().unwrap()).unwrap();
        assert_eq!(store.snapshots.get(&name), None);
        store.snapshots.name(&other, &name).unwrap();
        assert_eq!(store.snapshots.get(&name), Some(other));
    });
}

#[test]
fn sweeping_keeps_what_has_a_name_and_nothing_else() {
    inside("sweeping_keeps_what_has_a_name_and_nothing_else", || {
        let store = Store::new();
        let kept = store.unpack(&Tar::new().file("a", "a").bytes()).unwrap();
        let lost = store.unpack(&Tar::new().file("b", "b").bytes()).unwrap();
        store.change(std::slice::from_ref(&kept), |root| fs::write(root.join("c"), "").unwrap());
        // As if the worker had been killed.
        let active = store.snapshots.prepare(std::slice::from_ref(&kept), true).unwrap();
        fs::write(active.root().join("d"), "").unwrap();
        std::mem::forget(active);
        fs::create_dir(kept.path().with_file_name("work")).unwrap();
        fs::remove_dir_all(lost.path().parent().unwrap()).unwrap();
        let snapshots = Snapshots::open(&store.root()).unwrap();
        snapshots.sweep().unwrap();
        let id = kept.path().parent().unwrap();
        assert_eq!(store.folders(), [id.file_name().unwrap().to_str().unwrap()]);
        assert_eq!(names(id), ["fs"]);
        assert_eq!(names(kept.path()), ["a"]);
        assert_eq!(names(&store.root().join("m")), [""; 0]);
        assert_eq!(names(&store.root().join("layers")).len(), 1);
        snapshots.prepare(&[kept], true).unwrap().commit().unwrap();
    });
}
