//! `slipway backup` of a service with running builds, and `slipway restore`: what was over is there again, its secrets
//! can be opened, and nothing that had not ended is built or pushed a second time.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use support::{Identity, World};
use test_support::{GitServer, TestRepository};

fn slipway(world: &World, words: &[&str]) -> Output {
    let mut command = world.identity.command(&support::slipway());
    command.args(words).arg("--data").arg(&world.data);
    command.output().unwrap()
}

fn done(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// As root reads it.
fn unpacked(file: &Path) -> Vec<u8> {
    let bytes = Identity::Root.command(Path::new("cat")).arg(file).output().unwrap().stdout;
    let mut text = Vec::new();
    flate2::bufread::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text).unwrap();
    text
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

async fn a_service_is_what_it_was_and_nothing_begins_again(identity: Identity) {
    let mut world = World::start_with(identity, &["--slots=1"]).await;
    let base = world.base_image();
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);
    // Its length tells that it is the right one; what a Dockerfile says itself is no secret.
    let reads = format!(
        "FROM {base}\nRUN --mount=type=secret,id=word [ $(wc -c < /run/secrets/word) = 9 ] && date > /made\n"
    );
    repository.commit_to("main", &[("Dockerfile", &reads)]);
    repository
        .commit_to("slow", &[("Dockerfile", &format!("FROM {base}\nRUN echo in the middle; sleep 600\n"))]);
    let spec = |branch: &str, image: &str| {
        let source = json!({ "type": "git", "url": git.url(), "ref": branch });
        json!({ "source": source, "images": [image], "secrets": { "word": "word" } })
    };
    let credential = format!("{}/v1/registries/local/credentials/word", world.server);
    let put = world
        .http
        .put(credential)
        .json(&json!({ "kind": "build", "secret": "swordfish" }))
        .send()
        .await
        .unwrap();
    assert!(put.status().is_success(), "{}", put.text().await.unwrap());
    let kept = world.submit(spec("main", "kept:1")).await;
    let ended = world.ended(&kept).await;
    assert_eq!(ended["status"], "succeeded", "{ended}\n{}", world.log());
    let running = world.submit(spec("slow", "running:1")).await;
    world.wait_for_log(&running, "in the middle").await;
    let queued = world.submit(spec("main", "queued:1")).await;

    let folder = world.data.parent().unwrap().to_owned();
    let (file, with_key) = (folder.join("backup"), folder.join("backup-with-key"));
    let (file, with_key) = (file.to_str().unwrap(), with_key.to_str().unwrap());
    let key_file = world.data.join("secrets/encryption.key");
    let said = done(&slipway(&world, &["backup", file]));
    assert!(said.contains("without the key"), "{said}");
    done(&slipway(&world, &["backup", with_key, "--with-key", key_file.to_str().unwrap()]));
    let key = Identity::Root.command(Path::new("cat")).arg(&key_file).output().unwrap();
    let key = String::from_utf8(key.stdout).unwrap();
    assert!(
        !holds(&unpacked(Path::new(file)), key.trim()) && holds(&unpacked(Path::new(with_key)), key.trim())
    );
    assert!(!holds(&unpacked(Path::new(with_key)), "swordfish"), "secrets stay sealed");
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);

    // The builds went on all the while; after the backup one ends, and the other is pushed.
    let cancelled = world.http.post(format!("{running}/cancel")).send().await.unwrap();
    assert!(cancelled.status().is_success());
    assert_eq!(world.ended(&running).await["status"], "cancelled");
    assert_eq!(world.ended(&queued).await["status"], "succeeded", "{}", world.log());
    let pushed = world.pull("queued", "1").await;

    let busy = refused(&slipway(&world, &["restore", file, "--replace"]));
    assert!(busy.contains("another `slipway up`"), "{busy}");
    world.stop();
    let there = refused(&slipway(&world, &["restore", file]));
    assert!(there.contains("--replace"), "{there}");
    let said = done(&slipway(
        &world,
        &["restore", with_key, "--replace", "--key-to", folder.join("key").to_str().unwrap()],
    ));
    assert!(said.contains("2 runs"), "{said}");
    world.start_again().await;

    let moved = |run: &str| format!("{}/v1/{}", world.server, run.split_once("/v1/").unwrap().1);
    let (kept, running, queued) = (moved(&kept), moved(&running), moved(&queued));
    assert_eq!(world.ended(&kept).await, ended, "as it was");
    assert!(!world.run_log(&kept).await.is_empty());
    for run in [&running, &queued] {
        let run = world.ended(run).await;
        assert_eq!(
            (&run["status"], &run["failure"]["kind"]),
            (&json!("failed"), &json!("restored")),
            "{run}"
        );
    }
    // Its secrets can be opened, and whatever waited before this run would have been done by now.
    let next = world.build(spec("main", "next:1")).await;
    assert_eq!(next["status"], "succeeded", "{next}\n{}", world.log());
    assert_eq!(world.pull("queued", "1").await, pushed, "its tag was left alone");
    let statistics = world.http.get(format!("{}/v1/statistics", world.server)).send().await.unwrap();
    let statistics: Value = statistics.json().await.unwrap();
    let registry =
        Identity::Root.command(Path::new("cat")).arg(world.runtime.join("registry.log")).output().unwrap();
    let registry = String::from_utf8_lossy(&registry.stdout).into_owned();
    assert!(registry.contains("/v2/next/manifests/"), "it tells what was pushed: {registry}");
    assert!(
        !registry.contains("PUT /v2/queued/") && !registry.contains("POST /v2/queued/"),
        "{statistics}\n{registry}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_what_it_was_and_nothing_begins_again_as_root() {
    a_service_is_what_it_was_and_nothing_begins_again(Identity::Root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_what_it_was_and_nothing_begins_again_as_an_ordinary_user() {
    a_service_is_what_it_was_and_nothing_begins_again(Identity::OrdinaryUser).await;
}
