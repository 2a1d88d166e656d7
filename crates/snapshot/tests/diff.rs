//! A change becomes an archive that says that change and nothing else.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};

use snapshot::{Diff, LayerDir};
use support::{Store, Tar, diff, entries, inside, names, paths, touch};

const RUN: Diff = Diff { epoch: Some(2000), set_times: false };
const COPY: Diff = Diff { epoch: Some(2000), set_times: true };

fn base(store: &Store) -> LayerDir {
    let tar = Tar::new()
        .folder("etc/")
        .file("etc/a", "a")
        .file("etc/b", "b")
        .folder("d/")
        .folder("d/sub/")
        .file("d/sub/x", "x")
        .file("d/y", "y")
        .symlink("l", "etc/a");
    store.unpack(&tar.bytes()).unwrap()
}

#[test]
fn a_change_is_written_entry_by_entry() {
    inside("a_change_is_written_entry_by_entry", || {
        let store = Store::new();
        let base = base(&store);
        let upper = store.change(std::slice::from_ref(&base), |root| {
            fs::write(root.join("etc/a"), "changed").unwrap();
            touch(&root.join("etc/a"), 1500);
            fs::remove_file(root.join("etc/b")).unwrap();
            fs::create_dir(root.join("new")).unwrap();
            fs::set_permissions(root.join("new"), Permissions::from_mode(0o2750)).unwrap();
            fs::write(root.join("new/one"), "1").unwrap();
            fs::set_permissions(root.join("new/one"), Permissions::from_mode(0o600)).unwrap();
            lchown(root.join("new/one"), Some(5), Some(6)).unwrap();
            fs::hard_link(root.join("new/one"), root.join("new/two")).unwrap();
            symlink("one", root.join("new/link")).unwrap();
            touch(&root.join("etc"), 1600);
        });
        let (stats, tar) = diff(&upper, std::slice::from_ref(&base), &RUN);
        assert_eq!(
            entries(&tar),
            [
                "folder etc/ 755 1:2 1600",
                "file etc/a 644 1:2 1500 changed",
                "file etc/.wh.b 0 0:0 2000",
                "folder new/ 2750 0:0 2000",
                "symlink new/link 777 0:0 2000 one",
                "file new/one 600 5:6 2000 1",
                "hardlink new/two 600 5:6 2000 new/one",
            ]
        );
        assert_eq!((stats.entries, stats.bytes), (7, 8));
        assert_eq!(diff(&upper, std::slice::from_ref(&base), &RUN).1, tar);
        // Unpacked again it is the same change.
        let again = store.unpack(&tar).unwrap();
        let view = store.snapshots.view(&[base.clone(), again.clone()]).unwrap();
        assert_eq!(names(&view.path().join("etc")), ["a"]);
        assert_eq!(diff(&again, &[base], &RUN).1, tar);
    });
}

#[test]
fn what_changes_nothing_is_no_entry() {
    inside("what_changes_nothing_is_no_entry", || {
        let store = Store::new();
        let base = base(&store);
        let upper = store.change(std::slice::from_ref(&base), |root| {
            fs::write(root.join("etc/passing"), "").unwrap();
            fs::remove_file(root.join("etc/passing")).unwrap();
            lchown(root.join("etc/a"), Some(1), Some(2)).unwrap();
            lchown(root.join("l"), Some(1), Some(2)).unwrap();
            fs::write(root.join("d/y"), "y").unwrap();
            touch(&root.join("d/y"), 1000);
            fs::set_permissions(root.join("d/sub"), Permissions::from_mode(0o755)).unwrap();
        });
        assert!(upper.path().join("d/y").exists(), "it was copied up");
        assert_eq!(diff(&upper, std::slice::from_ref(&base), &RUN).0.entries, 0);
        let upper = store.change(std::slice::from_ref(&base), |root| {
            fs::set_permissions(root.join("d/sub"), Permissions::from_mode(0o755)).unwrap();
            fs::write(root.join("d/y"), "z").unwrap();
            touch(&root.join("d/y"), 1000);
        });
        assert_eq!(paths(&diff(&upper, &[base], &RUN).1), ["d/", "d/y"]);
    });
}

#[test]
fn a_folder_that_looks_different_is_an_entry() {
    inside("a_folder_that_looks_different_is_an_entry", || {
        let store = Store::new();
        let base = base(&store);
        let upper = store.change(std::slice::from_ref(&base), |root| {
            fs::set_permissions(root.join("d/sub"), Permissions::from_mode(0o700)).unwrap();
            fs::create_dir(root.join("empty")).unwrap();
        });
        assert_eq!(paths(&diff(&upper, &[base], &RUN).1), ["d/", "d/sub/", "empty/"]);
    });
}

#[test]
fn a_replaced_folder_names_what_it_lost() {
    inside("a_replaced_folder_names_what_it_lost", || {
        let store = Store::new();
        let base = base(&store);
        let more = Tar::new().file("d/.wh.y", "").file("d/z", "z").file("d/sub/w", "w").bytes();
        let lowers = [base, store.unpack(&more).unwrap()];
        let upper = store.change(&lowers, |root| {
            fs::remove_dir_all(root.join("d")).unwrap();
            fs::create_dir_all(root.join("d/sub")).unwrap();
            fs::write(root.join("d/sub/w"), "new").unwrap();
        });
        let (_, tar) = diff(&upper, &lowers, &RUN);
        assert_eq!(paths(&tar), ["d/", "d/.wh.z", "d/sub/", "d/sub/.wh.x", "d/sub/w"]);
        let [first, second] = lowers;
        let view = store.snapshots.view(&[first, second, store.unpack(&tar).unwrap()]).unwrap();
        assert_eq!(names(&view.path().join("d")), ["sub"]);
        assert_eq!(names(&view.path().join("d/sub")), ["w"]);
    });
}

#[test]
fn files_and_folders_may_take_each_others_place() {
    inside("files_and_folders_may_take_each_others_place", || {
        let store = Store::new();
        let base = base(&store);
        let upper = store.change(std::slice::from_ref(&base), |root| {
            fs::remove_dir_all(root.join("d")).unwrap();
            fs::write(root.join("d"), "").unwrap();
            fs::remove_file(root.join("etc/a")).unwrap();
            fs::create_dir(root.join("etc/a")).unwrap();
        });
        let (_, tar) = diff(&upper, std::slice::from_ref(&base), &RUN);
        assert_eq!(paths(&tar), ["d", "etc/", "etc/a/"]);
        let view = store.snapshots.view(&[base, store.unpack(&tar).unwrap()]).unwrap();
        assert!(view.path().join("d").is_file() && view.path().join("etc/a").is_dir());
    });
}

#[test]
fn removing_what_the_layers_below_already_hide_is_no_change() {
    inside("removing_what_the_layers_below_already_hide_is_no_change", || {
        let store = Store::new();
        let base = base(&store);
        let without = store.unpack(&Tar::new().file(".wh.d", "").bytes()).unwrap();
        let lowers = [base.clone(), without];
        let upper =
            store.change(std::slice::from_ref(&base), |root| fs::remove_dir_all(root.join("d")).unwrap());
        assert_eq!(paths(&diff(&upper, std::slice::from_ref(&base), &RUN).1), [".wh.d"]);
        assert_eq!(diff(&upper, &lowers, &RUN).0.entries, 0);
        let other = Tar::new().folder("d/").file("d/.wh..wh..opq", "").file("d/z", "").bytes();
        let lowers = [base.clone(), store.unpack(&other).unwrap()];
        let upper = store.change(&[base], |root| fs::remove_file(root.join("d/y")).unwrap());
        assert_eq!(diff(&upper, &lowers, &RUN).0.entries, 0);
    });
}

#[test]
fn a_copy_has_one_time_and_a_run_no_later_one() {
    inside("a_copy_has_one_time_and_a_run_no_later_one", || {
        let store = Store::new();
        let upper = store.change(&[], |root| {
            for (name, time) in [("early", 1500), ("late", 2500), ("ancient", -5)] {
                fs::write(root.join(name), "").unwrap();
                touch(&root.join(name), time);
            }
        });
        let times = |options: &Diff| -> Vec<String> {
            let (_, tar) = diff(&upper, &[], options);
            let entries = entries(&tar);
            entries.iter().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
        };
        assert_eq!(times(&COPY), ["2000", "2000", "2000"]);
        assert_eq!(times(&RUN)[1..], ["1500", "2000"]);
        assert_eq!(times(&Diff::default())[1..], ["1500", "2500"]);
        let tar = diff(&upper, &[], &RUN).1;
        assert!(tar.windows(9).any(|bytes| bytes == b"mtime=-5\n"));
    });
}

#[test]
fn attributes_travel_but_for_overlayfss_own() {
    inside("attributes_travel_but_for_overlayfss_own", || {
        let store = Store::new();
        let capability = b"\x01\0\0\x02\x0a\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let upper = store.change(&[], |root| {
            let file = root.join("f");
            fs::write(&file, "").unwrap();
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(&file, "security.capability", capability, flags).unwrap();
            rustix::fs::setxattr(&file, "user.colour", b"red", flags).unwrap();
        });
        let (_, tar) = diff(&upper, &[], &RUN);
        let holds = |text: &[u8]| tar.windows(text.len()).any(|bytes| bytes == text);
        assert!(holds(&[b"SCHILY.xattr.security.capability=".as_slice(), capability, b"\n"].concat()));
        assert!(holds(b"SCHILY.xattr.user.colour=red\n"));
        assert!(!holds(b"overlay"));
        let again = store.unpack(&tar).unwrap();
        assert_eq!(diff(&again, &[], &RUN).1, tar);
        assert_eq!(diff(&again, &[upper], &RUN).0.entries, 0);
    });
}

#[test]
fn long_names_survive() {
    inside("long_names_survive", || {
        let store = Store::new();
        let long = format!("{}/{}", "p".repeat(200), "n".repeat(200));
        let upper = store.change(&[], |root| {
            fs::create_dir(root.join("p".repeat(200))).unwrap();
            symlink("t".repeat(300), root.join(&long)).unwrap();
        });
        let (_, tar) = diff(&upper, &[], &RUN);
        let again = store.unpack(&tar).unwrap();
        assert_eq!(fs::read_link(again.path().join(&long)).unwrap().as_os_str().len(), 300);
        assert_eq!(diff(&again, &[], &RUN).1, tar);
    });
}

#[test]
fn a_name_that_means_a_removal_is_refused() {
    inside("a_name_that_means_a_removal_is_refused", || {
        let store = Store::new();
        let upper = store.change(&[], |root| fs::write(root.join(".wh.etc"), "").unwrap());
        let error = snapshot::write_diff(&upper, &[], &RUN, &mut Vec::new()).unwrap_err();
        assert_eq!(error.failure().kind, "name_reserved");
    });
}
