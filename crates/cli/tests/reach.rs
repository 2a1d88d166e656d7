//! What a stranger's step reaches of the machine it runs on: not the registry beside it, whatever the way.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Command;

use serde_json::json;
use support::residue::{argument_zero, capabilities, children_of};
use support::{Identity, World};
use test_support::{GitServer, TestRepository};

/// Prints `reached` where the registry answers, also when it says no.
const TRY: &str = "for host in 127.0.0.1 localhost 10.0.2.2 0.0.0.0 2130706433 ::1; do \
                   printf 'GET /v2/ HTTP/1.0\\r\\n\\r\\n' | nc -w 3 $host PORT | grep -q HTTP && echo reached $host; \
                   done; echo tried";

async fn a_step_does_not_reach_the_local_registry(identity: Identity) {
    let world = World::start(identity).await;
    let base = world.base_image();
    let port = world.registry.rsplit(':').next().unwrap();
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);
    let run = TRY.replace("PORT", port);
    let mut on_the_host = Command::new("busybox");
    on_the_host.args(["sh", "-c", &run]);
    let reached = String::from_utf8(on_the_host.output().unwrap().stdout).unwrap();
    assert!(
        reached.contains("reached 127.0.0.1") && reached.contains("reached 0.0.0.0"),
        "the tries work at all: {reached}"
    );
    repository.commit_to("run", &[("Dockerfile", &format!("FROM {base}\nRUN {run}\n"))]);
    let add = format!("ADD http://{}/v2/ /catalog", world.registry);
    repository.commit_to("add", &[("Dockerfile", &format!("FROM {base}\n{add}\n"))]);
    let spec =
        |branch: &str| json!({ "source": { "type": "git", "url": git.url(), "ref": branch }, "images": [] });

    let run = world.submit(spec("run")).await;
    assert_eq!(world.ended(&run).await["status"], "succeeded", "{}", world.run_log(&run).await);
    let log = world.run_log(&run).await;
    let printed: Vec<&str> = log.lines().filter(|line| !line.contains("RUN ")).collect();
    assert!(printed.iter().any(|line| line.ends_with("tried")), "{log}");
    assert!(!printed.iter().any(|line| line.contains("reached")), "{log}");

    let refused = world.build(spec("add")).await;
    assert_eq!(refused["status"], "failed", "{refused}");
    assert_eq!(refused["failure"]["kind"], "address_denied", "{refused}");
    assert_eq!(refused["failure"]["location"]["text"], add, "{refused}");

    // While the service itself pulls from there and pushes to it.
    repository.commit_to("push", &[("Dockerfile", &format!("FROM {base}\nRUN true >/made\n"))]);
    let source = json!({ "type": "git", "url": git.url(), "ref": "push" });
    let pushed = world.build(json!({ "source": source, "images": ["made:1"] })).await;
    assert_eq!(pushed["status"], "succeeded", "{pushed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_does_not_reach_the_local_registry_as_root() {
    a_step_does_not_reach_the_local_registry(Identity::Root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_does_not_reach_the_local_registry_as_an_ordinary_user() {
    a_step_does_not_reach_the_local_registry(Identity::OrdinaryUser).await;
}

/// CAP_NET_ADMIN and CAP_NET_RAW (capabilities(7)).
const OVER_THE_NETWORK: u64 = 1 << 12 | 1 << 13;

/// The cell's processes below `pid`, the first of them above the others.
fn cell_processes(pid: i32) -> Vec<i32> {
    let cells = children_of(pid).into_iter().filter(|child| argument_zero(*child) == "slipway-cell");
    cells.flat_map(|child| [vec![child], cell_processes(child)].concat()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_of_a_cell_may_change_its_network() {
    let world = World::start(Identity::Root).await;
    let base = world.base_image();
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);
    repository.commit(&[("Dockerfile", &format!("FROM {base}\nRUN echo runs now; sleep 100\n"))]);
    let source = json!({ "type": "git", "url": git.url(), "ref": "main" });
    let run = world.submit(json!({ "source": source, "images": [] })).await;
    world.wait_for_log(&run, " runs now").await;
    let cell = cell_processes(world.role("worker")[0]);
    assert!(cell.len() >= 3, "the outer one, the first of its namespace, the one that works: {cell:?}");
    for pid in cell {
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(capabilities(pid, set) & OVER_THE_NETWORK, 0, "{set} of {pid}");
        }
        // SYS_ADMIN: it is root there otherwise, and the fields are read at all.
        assert_ne!(capabilities(pid, "CapEff") & 1 << 21, 0, "{pid}");
    }
    assert_eq!(world.http.post(format!("{run}/cancel")).send().await.unwrap().status(), 202);
    assert_eq!(world.ended(&run).await["status"], "cancelled");
}
