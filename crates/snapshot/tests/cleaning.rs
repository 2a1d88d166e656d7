//! Unpacked layers are kept within bounds beside those who use them, and looked after.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use snapshot::{Cleaned, LayerDir, Root, clean};
use support::{Store, Tar, digest, inside};

const EVERYTHING: u64 = u64::MAX;

fn unpack(store: &Store, text: &str) -> (LayerDir, model::Digest) {
    let bytes = Tar::new().file("file", text).bytes();
    (store.unpack(&bytes).unwrap(), digest(&bytes))
}

fn cleaned(store: &Store, limit: u64, compare_after: Option<Duration>) -> Cleaned {
    let root = Root { snapshots: store.root().to_owned(), records: store.root().join("records") };
    clean(&[root], limit, compare_after).unwrap()
}

fn age(layer: &Path, days: u64) {
    let folder = fs::File::open(layer.parent().unwrap()).unwrap();
    folder.set_modified(std::time::SystemTime::now() - Duration::from_secs(days * 86400)).unwrap();
}

#[test]
fn what_was_used_last_stays_and_what_is_in_use_too() {
    inside("what_was_used_last_stays_and_what_is_in_use_too", || {
        let store = Store::new();
        let ((first, one), (second, two), (third, three)) =
            (unpack(&store, "1"), unpack(&store, "2"), unpack(&store, "3"));
        let all = cleaned(&store, EVERYTHING, None);
        assert_eq!(all.removed, 0);
        // The first is the oldest, and in use as a layer of a stack.
        let view = store.snapshots.view(&[first, second.clone()]).unwrap();
        let paths: Vec<PathBuf> = [&second, &third].map(|layer| layer.path().to_owned()).into();
        drop((second, third));
        age(&paths[0], 3);
        age(&paths[1], 2);
        let some = cleaned(&store, all.bytes / 3 * 2, None);
        assert_eq!((some.removed, some.bytes), (1, all.bytes / 3 * 2));
        assert!(store.snapshots.get(&three).is_none(), "the stack uses the others, however old");
        drop(view);
        age(&paths[0], 3);
        let used = store.snapshots.get(&one).unwrap();
        drop(used);
        cleaned(&store, all.bytes / 3, None);
        assert!(store.snapshots.get(&one).is_some() && store.snapshots.get(&two).is_none());
        assert_eq!(cleaned(&store, 0, None), Cleaned { removed: 1, ..Cleaned::default() });
        assert_eq!(fs::read_dir(store.root().join("records")).unwrap().count(), 0);
        // And is made again.
        let (again, _) = unpack(&store, "1");
        assert_eq!(fs::read_to_string(again.path().join("file")).unwrap(), "1");
    });
}

#[test]
fn a_folder_that_is_being_filled_stays_and_one_that_nobody_fills_any_more_goes() {
    inside("a_folder_that_is_being_filled_stays_and_one_that_nobody_fills_any_more_goes", || {
        let store = Store::new();
        let active = store.snapshots.prepare(&[], true).unwrap();
        fs::write(active.root().join("made"), "").unwrap();
        let killed = store.root().join("d/0123456789ab");
        fs::create_dir_all(killed.join("fs")).unwrap();
        cleaned(&store, 0, None);
        assert!(!killed.exists(), "a killed cell left it");
        let made = active.commit().unwrap();
        cleaned(&store, 0, None);
        assert!(made.path().join("made").exists());
        drop(made);
        cleaned(&store, 0, None);
        assert_eq!(store.folders(), [""; 0]);
        store.snapshots.prepare(&[], true).expect("the places to mount at are kept");
    });
}

#[test]
fn folders_are_made_and_filled_while_a_cleaner_takes_whatever_nobody_holds() {
    inside("folders_are_made_and_filled_while_a_cleaner_takes_whatever_nobody_holds", || {
        let store = Store::new();
        let made = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !made.load(std::sync::atomic::Ordering::Relaxed) {
                    cleaned(&store, 0, None);
                }
            });
            let filled = (0..1500).try_for_each(|number| {
                let bytes = Tar::new().file("file", &number.to_string()).bytes();
                let layer = store.unpack(&bytes).map_err(|error| error.to_string())?;
                fs::read_to_string(layer.path().join("file")).map(drop).map_err(|error| error.to_string())
            });
            made.store(true, std::sync::atomic::Ordering::Relaxed);
            filled.unwrap();
        });
    });
}

#[test]
fn a_layer_whose_files_have_changed_is_found_no_more_though_somebody_uses_it() {
    inside("a_layer_whose_files_have_changed_is_found_no_more_though_somebody_uses_it", || {
        let store = Store::new();
        let ((layer, name), (other, _)) = (unpack(&store, "bytes"), unpack(&store, "others"));
        cleaned(&store, EVERYTHING, Some(Duration::ZERO));
        assert_eq!(
            cleaned(&store, EVERYTHING, Some(Duration::ZERO)),
            Cleaned { compared: 2, ..cleaned(&store, EVERYTHING, None) }
        );
        let file = layer.path().join("file");
        let modified = file.metadata().unwrap().modified().unwrap();
        fs::write(&file, "bytez").unwrap();
        fs::File::open(&file).unwrap().set_modified(modified).unwrap();
        assert_eq!(
            cleaned(&store, EVERYTHING, Some(Duration::from_secs(3600))).compared,
            0,
            "they are believed that long"
        );
        let found = cleaned(&store, EVERYTHING, Some(Duration::ZERO));
        assert_eq!((found.compared, found.damaged), (2, 1));
        assert!(store.snapshots.get(&name).is_none() && file.exists());
        drop((layer, other));
        assert_eq!(cleaned(&store, EVERYTHING, Some(Duration::ZERO)).damaged, 0);
        assert!(!file.exists());
    });
}
