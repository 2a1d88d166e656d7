//! The worker's store: nothing that a run or its push needs is removed, however little may be kept; and what the disk
//! has changed is found, made again and counted.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Identity, World};
use test_support::{GitServer, TestRepository};

const RUNS: usize = 50;
/// Different builds among them; the others share every layer with one of these.
const KINDS: usize = 10;

const SHARING: &str = "ARG BASE\nFROM ${BASE} AS tools\nRUN echo tool > /tool\n\
                       FROM ${BASE}\nCOPY word /word\nRUN cat /word /word > /twice\nCOPY --from=tools /tool /tool\n\
                       ARG KIND\nRUN echo \"${KIND}\" > /kind\n";

fn spec(git: &GitServer, base: &str, image: String, kind: usize) -> Value {
    let source = json!({ "type": "git", "url": git.url(), "ref": "main" });
    json!({ "source": source, "images": [image], "build_args": { "BASE": base, "KIND": kind.to_string() } })
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_runs_share_layers_while_nothing_may_be_kept() {
    let arguments = ["--store-quota=0", "--clean-every=1ms", "--slots=4"];
    let world = World::start_with(Identity::Root, &arguments).await;
    let base = world.base_image();
    let repository = TestRepository::new();
    repository.commit_to("main", &[("Dockerfile", SHARING), ("word", "word\n")]);
    let git = GitServer::start(&repository);
    let mut runs = Vec::new();
    for number in 0..RUNS {
        runs.push(world.submit(spec(&git, &base, format!("shared-{number}:1"), number % KINDS)).await);
    }
    for (number, run) in runs.iter().enumerate() {
        let ended = world.ended(run).await;
        assert_eq!(
            (&ended["status"], &ended["attempt"]),
            (&json!("succeeded"), &json!(1)),
            "{ended}\n{}\n{}",
            world.run_log(run).await,
            world.log()
        );
        assert_eq!(world.pull(&format!("shared-{number}"), "1").await.len(), 5);
    }
    for what in ["blob", "snapshot"] {
        let series = format!("slipway_store_removed_total{{what=\"{what}\"}}");
        assert!(world.counted("worker", &series).await >= KINDS as f64, "the cleaner was at work: {what}");
        let series = format!("slipway_store_damaged_total{{what=\"{what}\"}}");
        assert_eq!(world.counted("worker", &series).await, 0.0);
    }
    // Nobody holds anything any more, so that nothing is left.
    let deadline = Instant::now() + Duration::from_secs(30);
    while !blobs(&world).is_empty() || !snapshots(&world).is_empty() {
        assert!(Instant::now() < deadline, "{:?} {:?}\n{}", blobs(&world), snapshots(&world), world.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn within_its_quota_a_store_keeps_what_was_made() {
    let world = World::start_with(Identity::Root, &["--store-quota=1G", "--clean-every=1ms"]).await;
    let base = world.base_image();
    let repository = TestRepository::new();
    repository.commit_to("main", &[("Dockerfile", SHARING), ("word", "word\n")]);
    let git = GitServer::start(&repository);
    for number in 0..2 {
        let ended = world.build(spec(&git, &base, format!("kept-{number}:1"), 1)).await;
        assert_eq!(ended["status"], "succeeded", "{ended}");
    }
    assert_eq!(world.pull("kept-0", "1").await, world.pull("kept-1", "1").await, "out of the cache");
    for what in ["blob", "snapshot"] {
        let series = format!("slipway_store_removed_total{{what=\"{what}\"}}");
        assert_eq!(world.counted("worker", &series).await, 0.0);
        let series = format!("slipway_store_used_bytes{{what=\"{what}\"}}");
        assert!(world.counted("worker", &series).await > 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_a_blob_is_found_where_it_is_used() {
    let world = World::start(Identity::Root).await;
    let base = world.base_image();
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);
    let first = format!("FROM {base}\nRUN echo made > /made; date +%N >> /made\n");
    repository.commit_to("main", &[("Dockerfile", &first)]);
    let ended = world.build(spec(&git, &base, "first:1".to_owned(), 1)).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let made = world.pull("first", "1").await.pop().unwrap();
    let blob = blobs(&world).into_iter().find(|path| made.ends_with(name(path))).unwrap();

    // The publisher uploads it to another repository.
    flip(&blob);
    let ended = world.build(spec(&git, &base, "second:1".to_owned(), 1)).await;
    assert_eq!(
        (&ended["status"], &ended["attempt"]),
        (&json!("succeeded"), &json!(2)),
        "{ended}\n{}",
        world.log()
    );
    let again = world.pull("second", "1").await.pop().unwrap();
    assert_ne!(again, made, "it was built again");
    assert_eq!(world.counted("publisher", "slipway_push_damaged_blobs_total").await, 1.0);

    // A step on top of it needs its files, which are not unpacked any more.
    let blob = blobs(&world).into_iter().find(|path| again.ends_with(name(path))).unwrap();
    flip(&blob);
    for snapshot in snapshots(&world) {
        assert!(Identity::Root.command(Path::new("rm")).arg(snapshot).status().unwrap().success());
    }
    repository.commit_to("main", &[("Dockerfile", &format!("{first}RUN cat /made\n"))]);
    let ended = world.build(spec(&git, &base, "third:1".to_owned(), 1)).await;
    assert_eq!(
        (&ended["status"], &ended["attempt"]),
        (&json!("succeeded"), &json!(2)),
        "{ended}\n{}",
        world.log()
    );
    world.pull("third", "1").await;
    assert_eq!(world.counted("worker", "slipway_store_damaged_total{what=\"blob\"}").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_an_unpacked_layer_is_found_and_the_layer_unpacked_again() {
    let world = World::start_with(Identity::Root, &["--clean-every=20ms", "--compare-after=0s"]).await;
    let base = world.base_image();
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);
    let first = format!("FROM {base}\nRUN echo what was made > /made\n");
    repository.commit_to("main", &[("Dockerfile", &first)]);
    let ended = world.build(spec(&git, &base, "first:1".to_owned(), 1)).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    // Every layer was measured before it is compared.
    let layers = snapshots(&world).len() as f64;
    let compared = "slipway_store_compared_total";
    reaches(&world, compared, world.counted("worker", compared).await + 2.0 * layers).await;
    let made = find(&world, "cells/snapshots", &["-path", "*/fs/made"]);
    assert_eq!(made.len(), 1, "{made:?}");
    flip(&made[0]);
    reaches(&world, "slipway_store_damaged_total{what=\"snapshot\"}", 1.0).await;

    repository.commit_to("main", &[("Dockerfile", &format!("{first}RUN cat /made\n"))]);
    let run = world.submit(spec(&git, &base, "second:1".to_owned(), 1)).await;
    assert_eq!(world.ended(&run).await["status"], "succeeded", "{}", world.log());
    let log = world.run_log(&run).await;
    assert!(log.contains("what was made"), "{log}");
    assert_eq!(world.counted("worker", "slipway_store_damaged_total{what=\"snapshot\"}").await, 1.0);
}

async fn reaches(world: &World, series: &str, number: f64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while world.counted("worker", series).await < number {
        assert!(Instant::now() < deadline, "{series} did not reach {number}\n{}", world.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// As the disk does it: nothing else of the file changes. What was changed may be found, and gone, at once.
fn flip(file: &Path) {
    let file = file.display();
    let script = format!(
        "set -e; size=$(stat -c %s {file}); touch -r {file} /tmp/slipway-flip-$$; \
         byte=$(od -An -tu1 -j $((size / 2)) -N 1 {file}); \
         printf \"\\\\$(printf %o $((byte ^ 1)))\" | dd of={file} bs=1 seek=$((size / 2)) conv=notrunc status=none; \
         touch -c -r /tmp/slipway-flip-$$ {file}; rm /tmp/slipway-flip-$$"
    );
    let flipped = Identity::Root.command(Path::new("sh")).args(["-c", &script]).status().unwrap();
    assert!(flipped.success(), "{script}");
}

fn blobs(world: &World) -> Vec<PathBuf> {
    find(world, "blobs", &["-type", "f"])
}

/// Names of unpacked layers.
fn snapshots(world: &World) -> Vec<PathBuf> {
    find(world, "cells/snapshots", &["-path", "*/layers/*"])
}

fn find(world: &World, below: &str, what: &[&str]) -> Vec<PathBuf> {
    let folder = world.data.join("store").join(below);
    let found = Identity::Root.command(Path::new("find")).arg(folder).args(what).output().unwrap();
    let found: BTreeSet<PathBuf> =
        String::from_utf8(found.stdout).unwrap().lines().map(PathBuf::from).collect();
    found.into_iter().collect()
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}
