//! Bad input and trouble: each ends the run with its own kind, a sentence, and the user's own line.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;

use serde_json::{Value, json};
use support::{Identity, World};
use test_support::{GIT_HOSTS, GitServer, Hold, HoldingProxy, LocalRegistry, TestRepository};

async fn failure_of(world: &World, spec: Value) -> Value {
    let run = world.build(spec).await;
    assert_eq!(run["status"], "failed", "{run}");
    assert!(!run["failure"]["message"].as_str().unwrap().is_empty());
    run["failure"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_has_its_own_kind_and_shows_the_users_line() {
    let world = World::start(Identity::Root).await;
    let base = world.base_image();
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);
    let private = GitServer::start_private(&repository, "Basic c29tZWJvZHk6ZWxzZQ==");
    let spec = |url: &str, reference: &str| {
        json!({
            "source": { "type": "git", "url": url, "ref": reference },
            "images": ["trouble:1"],
            "build_args": { "BASE": base },
        })
    };
    repository.commit_to("no-dockerfile", &[("readme", "nothing to build\n")]);
    repository.commit_to("syntax", &[("Dockerfile", "FROM scratch\nCOPPY a b\n")]);
    repository.commit_to("run-fails", &[("Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN echo before; exit 7\n")]);
    let nul = "FROM ${BASE}\nRUN printf 'a\\0b\\n'; printf 'c\\0d' >&2; exit 7\n";
    repository.commit_to("nul", &[("Dockerfile", &format!("ARG BASE\n{nul}"))]);
    let unknown_base = format!("FROM {}/no/such:1\n", world.registry);
    repository.commit_to("unknown-base", &[("Dockerfile", &unknown_base)]);
    repository.commit_to(
        "unsupported",
        &[("Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN --mount=type=cache,target=/c true\n")],
    );

    for (url, reference, kind, line) in [
        (git.url(), "no-dockerfile", "dockerfile_not_found", None),
        (git.url(), "no-such-branch", "ref_not_found", None),
        (private.url(), "syntax", "repository_not_found_or_private", None),
        (format!("http://{GIT_HOSTS}:9/nobody/listens.git"), "main", "repository_unreachable", None),
        ("http://127.0.0.1:9/nobody/listens.git".to_owned(), "main", "address_denied", None),
        (git.url(), "syntax", "dockerfile_syntax", Some((2, "COPPY a b"))),
        (git.url(), "run-fails", "run_failed", Some((3, "RUN echo before; exit 7"))),
        (git.url(), "nul", "run_failed", Some((3, r"RUN printf 'a\0b\n'; printf 'c\0d' >&2; exit 7"))),
        (git.url(), "unknown-base", "base_image_not_found", Some((1, unknown_base.trim()))),
        (
            git.url(),
            "unsupported",
            "dockerfile_unsupported",
            Some((3, "RUN --mount=type=cache,target=/c true")),
        ),
    ] {
        let failure = failure_of(&world, spec(&url, reference)).await;
        assert_eq!(failure["kind"], kind, "{reference}: {failure}");
        if let Some((line, text)) = line {
            assert_eq!(
                (failure["location"]["line"].as_u64(), failure["location"]["text"].as_str()),
                (Some(line), Some(text))
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_credential_of_the_registry_is_told_and_kept_to_the_publisher() {
    let private = LocalRegistry::start_with_password("ci", "right");
    let public = LocalRegistry::start();
    test_support::push_busybox(&public.address(), "base/busybox:1");
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), "hunter2\n").unwrap();
    std::fs::set_permissions(password.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let arguments =
        ["--registry", &private.address(), "--registry-username", "ci", "--registry-password-file"];
    let arguments = [&arguments[..], &[password.path().to_str().unwrap()]].concat();
    let world = World::start_with(Identity::Root, &arguments).await;
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);
    let dockerfile = format!("FROM {}/base/busybox:1\nRUN echo built > /built\n", public.address());
    repository.commit_to("main", &[("Dockerfile", &dockerfile)]);
    let spec =
        json!({ "source": { "type": "git", "url": git.url(), "ref": "main" }, "images": ["trouble:1"] });
    let run = world.submit(spec).await;
    let failure = world.ended(&run).await["failure"].clone();
    assert_eq!(failure["kind"], "registry_denied", "{failure}");
    assert_eq!(failure["blame"], "user");
    assert!(!world.run_log(&run).await.contains("RUN echo built"), "nothing is built in vain");
    assert!(!world.log().contains("hunter2"), "the password is in no log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_the_run_that_filled_it_and_the_next_one_succeeds() {
    let world = World::start_on_small_disk(64, 8192, &[]).await;
    let base = world.base_image();
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);
    let spec = |branch: &str| {
        json!({
            "source": { "type": "git", "url": git.url(), "ref": branch },
            "images": ["trouble:1"],
            "build_args": { "BASE": base },
        })
    };
    let fill = "RUN dd if=/dev/urandom of=/big bs=1M count=200";
    repository.commit_to("fills", &[("Dockerfile", &format!("ARG BASE\nFROM ${{BASE}}\n{fill}\n"))]);
    repository.commit_to("fits", &[("Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN echo small > /small\n")]);

    let failure = failure_of(&world, spec("fills")).await;
    assert_eq!((&failure["kind"], &failure["blame"]), (&json!("disk_limit"), &json!("limits")), "{failure}");
    assert_eq!(failure["location"]["text"], fill, "{failure}");
    let fits = world.build(spec("fits")).await;
    assert_eq!(fits["status"], "succeeded", "what filled the disk is gone: {fits}");
}

/// A host of files: `/endless` never ends, and `/later` waits for a word. Tells of each path as it is asked for.
struct Dripping {
    address: String,
    asked: mpsc::Receiver<String>,
    later: mpsc::Sender<()>,
}

impl Dripping {
    fn start() -> Self {
        let listener = TcpListener::bind((GIT_HOSTS, 0)).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let ((tell, asked), (later, word)) = (mpsc::channel(), mpsc::channel());
        let word = std::sync::Arc::new(std::sync::Mutex::new(word));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (tell, word) = (tell.clone(), std::sync::Arc::clone(&word));
                std::thread::spawn(move || drop(answer(connection, &tell, &word)));
            }
        });
        Self { address, asked, later }
    }
}

fn answer(
    mut connection: TcpStream,
    tell: &mpsc::Sender<String>,
    word: &std::sync::Mutex<mpsc::Receiver<()>>,
) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new(&connection).read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    connection.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
    if path == "/later" {
        let _ = tell.send(path);
        let _ = word.lock().unwrap().recv();
        return connection.write_all(b"at last");
    }
    // Past what a pipe holds, so that the cell reads it.
    for _ in 0..32 {
        connection.write_all(&[b'x'; 8192])?;
    }
    let _ = tell.send(path);
    loop {
        connection.write_all(&[b'x'; 8192])?;
    }
}

/// Whoever writes a manifest names the digests in it, and may name others' layers.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_does_not_send_a_layer_keeps_no_other_from_it() {
    let good = LocalRegistry::start();
    test_support::push_busybox(&good.address(), "base/busybox:1");
    let manifest = format!("http://{}/v2/base/busybox/manifests/1", good.address());
    let manifest = reqwest::Client::builder().no_proxy().build().unwrap().get(manifest);
    let manifest = manifest.header("accept", "application/vnd.oci.image.manifest.v1+json").send().await;
    let manifest: Value = manifest.unwrap().json().await.unwrap();
    let silent = HoldingProxy::start(good.address());
    let mut held = silent.hold(Hold::first("GET", manifest["layers"][0]["digest"].as_str().unwrap()));
    let origins = [good.address(), silent.address()].map(|address| format!("--origin=http://{address}"));
    let world = World::start_with(Identity::Root, &origins.each_ref().map(String::as_str)).await;
    let repository = TestRepository::new();
    repository.commit_to("main", &[("Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN true\n")]);
    let git = GitServer::start(&repository);
    let spec = |registry: String| {
        let source = json!({ "type": "git", "url": git.url(), "ref": "main" });
        let base = format!("{registry}/base/busybox:1");
        json!({ "source": source, "build_args": { "BASE": base }, "timeout_seconds": 15 })
    };
    let waits = world.submit(spec(silent.address())).await;
    held.arrived().await;
    let beside = world.build(spec(good.address())).await;
    assert_eq!(beside["status"], "succeeded", "{beside}\n{}", world.log());
    assert!(world.http.post(format!("{waits}/cancel")).send().await.unwrap().status().is_success());
    assert_eq!(world.ended(&waits).await["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_amid_a_download_takes_no_other_with_it() {
    let world = World::start(Identity::Root).await;
    let base = world.base_image();
    let (repository, files) = (TestRepository::new(), Dripping::start());
    let git = GitServer::start(&repository);
    for file in ["endless", "later"] {
        let dockerfile = format!("ARG BASE\nFROM ${{BASE}}\nADD {}/{file} /file\n", files.address);
        repository.commit_to(file, &[("Dockerfile", &dockerfile)]);
    }
    let spec = |branch: &str, seconds: u32| {
        let source = json!({ "type": "git", "url": git.url(), "ref": branch });
        json!({ "source": source, "build_args": { "BASE": base }, "timeout_seconds": seconds })
    };
    let worker = world.role("worker");
    let beside = world.submit(spec("later", 300)).await;
    assert_eq!(files.asked.recv().unwrap(), "/later");

    let cancelled = world.submit(spec("endless", 300)).await;
    assert_eq!(files.asked.recv().unwrap(), "/endless");
    assert!(world.http.post(format!("{cancelled}/cancel")).send().await.unwrap().status().is_success());
    assert_eq!(world.ended(&cancelled).await["status"], "cancelled");
    let late = world.build(spec("endless", 3)).await;
    assert_eq!(late["status"], "timed_out", "{late}");

    files.later.send(()).unwrap();
    let beside = world.ended(&beside).await;
    assert_eq!((&beside["status"], &beside["attempt"]), (&json!("succeeded"), &json!(1)), "{}", world.log());
    assert_eq!(world.role("worker"), worker, "{}", world.log());
}
