//! From a commit to a running image: git server → REST → log → registry → skopeo → the command's
//! output; and what a second run with one changed file sends to the registry.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::{Identity, World};
use test_support::{GitServer, TestRepository};

const DOCKERFILE: &str = "ARG BASE\nFROM ${BASE}\nWORKDIR /app\nCOPY settings settings\nRUN echo built > made\n\
                          COPY word word\nCMD [\"cat\", \"/app/word\"]\n";

async fn a_commit_becomes_an_image_that_says_what_the_source_says(identity: Identity) {
    let world = World::start(identity).await;
    let base = world.base_image();
    let repository = TestRepository::new();
    let files = [("Dockerfile", DOCKERFILE), ("word", "first light\n"), ("settings", "a=1\n")];
    let commit = repository.commit_to("main", &files);
    let git = GitServer::start(&repository);

    let run = world.submit(spec(&git, &base, "hello:1")).await;
    let ended = world.ended(&run).await;
    assert_eq!(ended["status"], "succeeded", "{ended}\n{}", world.run_log(&run).await);
    assert_eq!(ended["revision"]["commit"], commit.as_str());
    let log = world.run_log(&run).await;
    assert!(log.contains("COPY word word") && log.contains("DONE"), "{log}");
    let digest = ended["images"][0]["digest"].as_str().unwrap().to_owned();
    assert_eq!(output_of(&world, &format!("hello@{digest}")), "first light\n");

    let before = pushes(&world);
    repository.commit_to("main", &[("word", "second light\n")]);
    let second = world.build(spec(&git, &base, "hello:2")).await;
    assert_eq!(second["status"], "succeeded", "{second}");
    assert_eq!(output_of(&world, "hello:2"), "second light\n");
    let sent: Vec<_> = pushes(&world).split_off(before.len());
    let blobs = sent.iter().filter(|request| request.contains("/blobs/uploads/")).count();
    let manifests = sent.iter().filter(|request| request.contains("/manifests/")).count();
    assert_eq!(blobs, 2, "exactly the changed layer and one config are PUT: {sent:#?}");
    assert!(manifests >= 1, "{sent:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_becomes_an_image_as_root() {
    a_commit_becomes_an_image_that_says_what_the_source_says(Identity::Root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_becomes_an_image_as_an_ordinary_user() {
    a_commit_becomes_an_image_that_says_what_the_source_says(Identity::OrdinaryUser).await;
}

fn spec(git: &GitServer, base: &str, image: &str) -> Value {
    json!({
        "source": { "type": "git", "url": git.url(), "ref": "main" },
        "images": [image],
        "build_args": { "BASE": base },
    })
}

/// What the image's own command prints, run by skopeo, umoci and runc alone.
fn output_of(world: &World, image: &str) -> String {
    let prove = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/prove");
    let output = Command::new(prove).arg(format!("{}/{image}", world.registry)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// PUT requests in the registry's access log, oldest first.
fn pushes(world: &World) -> Vec<String> {
    let log = std::fs::read_to_string(world.runtime.join("registry.log")).unwrap();
    let request = |line: &str| line.split('"').find(|part| part.starts_with("PUT ")).map(str::to_owned);
    log.lines().filter_map(request).collect()
}
