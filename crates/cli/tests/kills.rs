//! kill -9 of worker, publisher and Postgres in the middle of a run: it ends in the right state, and
//! nothing of it is left behind.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::residue::{self, Residue};
use support::{Identity, World};
use test_support::{GitServer, Hold, HoldingProxy, LocalRegistry, TestRepository};

/// Residue is counted by ids of the whole machine, so these stories take turns.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Double-forks, leaves its session, ignores TERM and holds the output open.
const STUBBORN: &str = "ARG BASE\nFROM ${BASE}\nRUN (setsid sh -c 'trap \"\" TERM; sleep 600' &) ; \
                        echo in the middle; [ -e /marker ] || sleep 600\n";

fn spec(git: &GitServer, base: &str) -> Value {
    json!({
        "source": { "type": "git", "url": git.url(), "ref": "main" },
        "images": ["killed:1"],
        "build_args": { "BASE": base },
    })
}

async fn a_killed_worker_leaves_nothing_and_loses_nothing(identity: Identity) {
    let _turn = TURN.lock().await;
    let world = World::start(identity).await;
    let base = world.base_image();
    let repository = TestRepository::new();
    repository.commit_to("main", &[("Dockerfile", STUBBORN)]);
    let git = GitServer::start(&repository);
    // What an earlier story killed may still be on its way out.
    let nothing = async {
        while !Residue::now(&world.data).is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), nothing).await.expect("earlier stories left something");
    let before = Residue::now(&world.data);

    let run = world.submit(spec(&git, &base)).await;
    world.wait_for_log(&run, "in the middle").await;
    assert_ne!(Residue::now(&world.data), before, "the run is at work");
    for pid in world.role("worker") {
        identity.kill(pid, "KILL");
    }
    // The lease runs out, the rescuer queues the run again, the new worker takes it.
    let attempt = || async {
        let answer = world.http.get(&run).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["attempt"].as_i64().unwrap()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while attempt().await < 2 {
        assert!(Instant::now() < deadline, "{}", world.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.wait_for_log(&run, "in the middle").await;
    let cancelled = world.http.post(format!("{run}/cancel")).send().await.unwrap();
    assert!(cancelled.status().is_success(), "{}", cancelled.status());
    let ended = world.ended(&run).await;
    assert_eq!(ended["status"], "cancelled", "{ended}");
    let gone = async || {
        while Residue::now(&world.data) != before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(60), gone()).await.is_err() {
        assert_eq!(Residue::now(&world.data), before, "both attempts have left something\n{}", world.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_leaves_nothing_as_root() {
    a_killed_worker_leaves_nothing_and_loses_nothing(Identity::Root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_leaves_nothing_as_an_ordinary_user() {
    a_killed_worker_leaves_nothing_and_loses_nothing(Identity::OrdinaryUser).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgres_delays_a_run_and_nothing_else() {
    let _turn = TURN.lock().await;
    let world = World::start(Identity::Root).await;
    let base = world.base_image();
    let repository = TestRepository::new();
    let slow = "ARG BASE\nFROM ${BASE}\nRUN echo in the middle; sleep 5; echo done > /result\n";
    repository.commit_to("main", &[("Dockerfile", slow)]);
    let git = GitServer::start(&repository);
    let run = world.submit(spec(&git, &base)).await;
    world.wait_for_log(&run, "in the middle").await;

    let is_postmaster = |pid: &i32| residue::argument_zero(*pid).ends_with("/postgres");
    let postmaster = residue::children_of(world.pid()).into_iter().find(is_postmaster).unwrap();
    world.identity.kill(postmaster, "KILL");

    let ended = world.ended(&run).await;
    assert_eq!(ended["status"], "succeeded", "{ended}\n{}", world.log());
    assert_eq!(ended["attempt"], 1, "a worker keeps building while the database is away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_killed_at_any_request_of_a_push_finishes_it_afterwards() {
    let _turn = TURN.lock().await;
    let registry = LocalRegistry::start();
    let proxy = HoldingProxy::start(registry.address());
    // The base image is another registry's than the run's.
    let origin = format!("--origin=http://{}", registry.address());
    let world = World::start_with(Identity::Root, &["--registry", &proxy.address(), &origin]).await;
    test_support::push_busybox(&registry.address(), "base/busybox:1");
    let base = format!("{}/base/busybox:1", registry.address());
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);
    let holds = [
        ("POST", "/blobs/uploads/"),
        ("PATCH", "/blobs/uploads/"),
        ("PUT", "/blobs/uploads/"),
        ("PUT", "/manifests/"),
    ];
    for (number, (method, path)) in holds.into_iter().enumerate() {
        let dockerfile = format!("ARG BASE\nFROM ${{BASE}}\nRUN echo {number} > /number\n");
        repository.commit_to("main", &[("Dockerfile", &dockerfile)]);
        let mut held = proxy.hold(Hold::first(method, path));
        let run = world.submit(spec(&git, &base)).await;
        // A publisher that never sends such a request pushes another way: then there is nothing to hold.
        let was_held = tokio::select! {
            () = held.arrived() => true,
            ended = world.ended(&run) => { assert_eq!(ended["status"], "succeeded", "{ended}"); false }
        };
        if was_held {
            for pid in world.role("publisher") {
                world.identity.kill(pid, "KILL");
            }
        }
        held.release();
        let ended = world.ended(&run).await;
        assert_eq!(ended["status"], "succeeded", "killed at {method} {path}: {ended}\n{}", world.log());
        let digest = ended["images"][0]["digest"].as_str().unwrap();
        assert_eq!(registry.manifest_digest("killed", "1"), digest, "the tag points at what the run says");
    }
}
