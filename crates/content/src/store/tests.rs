//! Names of blobs: when they are there, who keeps them, and what replaces them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::io::{Read, Write};

use super::*;
use crate::digest_of;

#[test]
fn a_blob_has_a_name_only_after_it_was_linked() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let digest = digest_of(b"bytes");
    let mut file = store.new_blob().unwrap();
    file.write_all(b"bytes").unwrap();
    assert!(store.open_blob("trusted", &digest).unwrap().is_none());
    store.link(&file, "trusted", &digest).unwrap();
    store.link(&file, "trusted", &digest).unwrap();
    let mut text = String::new();
    let reader = StoreReader::open(folder.path()).unwrap();
    reader.open_blob("trusted", &digest).unwrap().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "bytes");
    assert!(reader.open_blob("other", &digest).unwrap().is_none());
    assert!(reader.open_blob("../trusted", &digest).is_err());
}

fn write(store: &Store, bytes: &[u8]) -> File {
    let mut file = store.new_blob().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn holder(attempt: i32) -> Holder {
    Holder { run: model::RunId(uuid::Uuid::nil()), attempt }
}

#[test]
fn a_blob_goes_only_when_nobody_holds_it_and_is_found_no_more_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path()).unwrap());
    let place = Place { scope: "trusted".to_owned(), digest: digest_of(b"bytes") };
    let (first, second) = (store.hold(holder(1)), store.hold(holder(2)));
    first.link(&write(&store, b"bytes"), &place.scope, &place.digest).unwrap();
    assert!(!store.discard(&place).unwrap(), "it was just made");
    assert!(second.open(&place.scope, &place.digest).unwrap().is_some());
    drop(first);
    assert_eq!(store.handed_on(), [holder(1)]);
    store.release(&store.handed_on());
    assert!(!store.discard(&place).unwrap(), "another run uses it");
    drop(second);
    assert!(!store.discard(&place).unwrap(), "its publisher may need it");
    store.release(&store.handed_on());
    assert!(store.discard(&place).unwrap());
    let third = store.hold(holder(3));
    assert!(third.open(&place.scope, &place.digest).unwrap().is_none(), "it is in the trash");
    third.link(&write(&store, b"bytes"), &place.scope, &place.digest).unwrap();
    let discarded = store.discarded().unwrap();
    assert_eq!(discarded.len(), 1);
    store.unlink(&discarded).unwrap();
    assert!(third.open(&place.scope, &place.digest).unwrap().is_some(), "it was made again");
    assert_eq!(store.blobs().unwrap().len(), 1);
}

#[test]
fn what_a_publication_of_before_needs_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let place = Place { scope: "trusted".to_owned(), digest: digest_of(b"bytes") };
    store.link(&write(&store, b"bytes"), &place.scope, &place.digest).unwrap();
    store.expect(holder(1), place.clone());
    assert!(!store.discard(&place).unwrap());
    store.release(&store.handed_on());
    assert!(store.discard(&place).unwrap());
}

#[test]
fn a_damaged_blob_is_found_though_it_is_held_and_what_is_made_again_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path()).unwrap());
    let place = Place { scope: "trusted".to_owned(), digest: digest_of(b"bytes") };
    let hold = store.hold(holder(1));
    hold.link(&write(&store, b"bytes"), &place.scope, &place.digest).unwrap();
    assert!(!store.discard_if_damaged(&place).unwrap());
    let path = store.path(&place).unwrap();
    std::fs::write(&path, b"bytez").unwrap();
    // Who makes it again without having looked replaces it.
    hold.link(&write(&store, b"bytes"), &place.scope, &place.digest).unwrap();
    assert!(!store.discard_if_damaged(&place).unwrap());
    std::fs::write(&path, b"bytez").unwrap();
    assert!(store.discard_if_damaged(&place).unwrap());
    assert!(hold.open(&place.scope, &place.digest).unwrap().is_none());
}

#[test]
fn a_second_worker_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert!(matches!(Store::open(folder.path()), Err(Error::InUse(_))));
    let id = store.id();
    drop(store);
    assert_eq!(Store::open(folder.path()).unwrap().id(), id);
}
