//! Logs by offset.

use database::Outcome;

use crate::world::{World, service_failure, user_failure};

#[tokio::test]
async fn a_log_has_no_gap_and_no_line_twice() {
    let world = World::new().await;
    let run = world.submit().await;
    let leased = world.lease().await;
    let append = async |offset: i64, bytes: &[u8]| {
        world.db.worker.append_log(run, leased.epoch, &leased.token, 1, offset, bytes).await
    };
    append(0, b"one\n").await.unwrap();
    append(4, b"two\n").await.unwrap();
    // A write whose answer was lost is repeated.
    append(4, b"two\n").await.unwrap();
    append(4, b"other\n").await.unwrap_err();
    append(9, b"gap\n").await.unwrap_err();

    let read = async |offset, limit| world.db.server.read_log(run, None, offset, limit).await.unwrap();
    let all = read(0, 1000).await;
    assert_eq!((all.bytes.as_slice(), all.next_offset, all.complete), (&b"one\ntwo\n"[..], 8, false));
    let middle = read(2, 4).await;
    assert_eq!((middle.bytes.as_slice(), middle.next_offset, middle.complete), (&b"e\ntw"[..], 6, false));
    let beyond = read(100, 4).await;
    assert_eq!((beyond.bytes.len(), beyond.next_offset), (0, 8));

    let outcome = Outcome::Failed { failure: user_failure(), revision: None };
    world.finish(&leased, outcome).await.unwrap();
    assert!(read(0, 1000).await.complete);
    assert!(!read(0, 4).await.complete, "there is more to read");
    assert!(read(8, 4).await.complete);
}

#[tokio::test]
async fn each_attempt_has_a_log_of_its_own() {
    let world = World::new().await;
    let run = world.submit().await;
    for attempt in [1, 2] {
        let leased = world.lease().await;
        let line = format!("attempt {attempt}");
        let written =
            world.db.worker.append_log(run, leased.epoch, &leased.token, attempt, 0, line.as_bytes());
        written.await.unwrap();
        let outcome = Outcome::Failed { failure: service_failure(), revision: None };
        world.finish(&leased, outcome).await.unwrap();
        world.skip_pause().await;
    }
    let first = world.db.server.read_log(run, Some(1), 0, 100).await.unwrap();
    assert_eq!((first.bytes.as_slice(), first.complete), (&b"attempt 1"[..], true));
    let second = world.db.server.read_log(run, Some(2), 0, 100).await.unwrap();
    assert_eq!(second.bytes, b"attempt 2");
}
