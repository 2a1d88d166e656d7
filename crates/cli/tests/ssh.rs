//! Sources over ssh, from a real sshd: a private repository becomes an image; each way to fail has its kind; and
//! wherever it ends, the key is nowhere and no ssh is left.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Identity, World};
use test_support::{SshServer, TestRepository};

/// A repository that the server's user may read, at a path that every shell would take apart.
fn awkward(repository: &TestRepository) -> PathBuf {
    let root = repository.project_root();
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = root.join("it's `id` $HOME a.git");
    std::fs::rename(repository.path(), &path).unwrap();
    path
}

/// Runs the program as its users do; answers what it printed.
fn slipway(world: &World, line: &[&str]) -> String {
    let mut command = Command::new(support::slipway());
    command.args(line).env("SLIPWAY_SERVER", &world.server).env("SLIPWAY_TOKEN", &world.token);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn put_key(world: &World, name: &str, key: &str, known_hosts: &str) {
    let address = format!("{}/v1/registries/local/credentials/{name}", world.server);
    let credential = json!({ "kind": "git", "secret": key, "known_hosts": known_hosts });
    let put = world.http.put(address).json(&credential).send().await.unwrap();
    assert!(put.status().is_success(), "{}", put.text().await.unwrap());
}

fn spec(url: &str, credential: &str) -> Value {
    json!({ "source": url, "source_credential": credential, "images": ["ssh:1"] })
}

/// What runs on this machine and names the server's port, other than the server.
fn processes(server: &SshServer) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&words).replace('\0', " ");
        let ours = ["slipway-ssh ", "ssh ", "/bin/sh -c exec /proc/", "/proc/"];
        if line.contains(&server.port().to_string()) && ours.iter().any(|begin| line.starts_with(begin)) {
            found.push(line);
        }
    }
    found
}

async fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    wait_for(Duration::from_secs(60), what, holds).await;
}

async fn wait_for(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every argument and every environment on this machine.
fn arguments_and_environments() -> String {
    let mut command = Identity::Root.command(Path::new("sh"));
    let output = command.args(["-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null"]).output();
    String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
}

/// Whether a text lies in a file below one of the folders.
fn is_on_disk(text: &str, folders: &[&Path]) -> bool {
    let found = Identity::Root.command(Path::new("grep")).args(["-rqsF", "--", text]).args(folders).status();
    found.unwrap().code() == Some(0)
}

/// A line that only this key has.
fn secret_line(key: &str) -> String {
    key.lines().rev().nth(1).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_repository_over_ssh_becomes_an_image() {
    let world = World::start(Identity::Root).await;
    let base = world.base_image();
    let server = SshServer::start();
    let repository = TestRepository::new();
    let dockerfile = format!("FROM {base}\nCOPY word /word\nRUN cat /word\n");
    let first = repository.commit(&[("Dockerfile", dockerfile.as_str()), ("word", "the first word")]);
    let middle = repository.commit(&[("word", "the middle word")]);
    repository.commit(&[("word", "the last word")]);
    let path = awkward(&repository);

    let folder = tempfile::tempdir().unwrap();
    let (key, hosts) = (folder.path().join("key"), folder.path().join("known_hosts"));
    std::fs::write(&key, server.key()).unwrap();
    std::fs::write(&hosts, server.known_hosts()).unwrap();
    let (key, hosts) = (key.to_str().unwrap(), hosts.to_str().unwrap());
    let kept = slipway(
        &world,
        &["credential", "set", "deploy", "--kind", "git", "--ssh-key-file", key, "--known-hosts-file", hosts],
    );
    assert!(kept.contains("host keys  1") && !kept.contains("PRIVATE KEY"), "{kept}");
    let source = format!("{}#main", server.url(&path));
    let task = [
        "task",
        "create",
        "app",
        "--source",
        &source,
        "--source-credential",
        "deploy",
        "-t",
        "ssh:{{.Run.Commit}}",
    ];
    slipway(&world, &task);
    let followed = slipway(&world, &["task", "run", "app", "--follow"]);
    assert!(followed.contains("the last word"), "{followed}");
    let quoted = path.display().to_string().replace('\'', r"'\''");
    assert_eq!(
        server.commands(),
        [format!("git-upload-pack '{quoted}'")],
        "one conversation, and nothing else"
    );

    // What no ref points to is refused over ssh, and found in the branch; the last is a second conversation.
    for (commit, word) in [(first, "the first word"), (middle, "the middle word")] {
        let url = format!("{}#{commit}", server.url(&path));
        let run = world.submit(spec(&url, "deploy")).await;
        let ended = world.ended(&run).await;
        let log = world.run_log(&run).await;
        assert_eq!(ended["status"], "succeeded", "{ended}\n{log}");
        assert_eq!(ended["revision"]["commit"], commit, "{ended}");
        assert!(log.contains(word), "{log}");
    }
    assert!(server.commands().iter().all(|command| *command == format!("git-upload-pack '{quoted}'")));
    wait_until("no ssh is left", || processes(&server).is_empty()).await;
    let line = secret_line(&server.key());
    let shown =
        [slipway(&world, &["credential", "show", "deploy", "--json"]), followed, world.log()].concat();
    assert!(!shown.contains(&line), "the key is shown nowhere");
    assert!(
        !is_on_disk(&line, &[&world.data, &world.runtime, Path::new("/dev/shm")]),
        "nor does it lie anywhere"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_fail_says_who_has_to_do_what() {
    let world = World::start(Identity::Root).await;
    let server = SshServer::start();
    let repository = TestRepository::new();
    repository.commit(&[("Dockerfile", "FROM scratch\n")]);
    let path = awkward(&repository);
    put_key(&world, "good", &server.key(), &server.known_hosts()).await;
    put_key(&world, "stranger", &server.strangers_key(), &server.known_hosts()).await;
    put_key(&world, "changed", &server.key(), &server.wrong_known_hosts()).await;
    // The service takes it for the host's own; ssh believes an authority, and the host has no certificate.
    let authority = format!("@cert-authority {}", server.known_hosts());
    put_key(&world, "unknown", &server.key(), &authority).await;
    let missing = path.with_file_name("missing.git");
    let fails = async |url: &str, credential: &str| {
        let run = world.submit(spec(url, credential)).await;
        let ended = world.ended(&run).await;
        let failure = ended["failure"].clone();
        assert!(!failure["message"].as_str().unwrap().contains("/proc/"), "{failure}");
        (failure["kind"].as_str().unwrap().to_owned(), failure["blame"].as_str().unwrap().to_owned())
    };
    let kind = |kind: &str| (kind.to_owned(), "user".to_owned());
    let url = server.url(&path);
    assert_eq!(fails(&url, "changed").await, kind("host_key_changed"));
    assert_eq!(fails(&url, "unknown").await, kind("host_key_unknown"));
    assert_eq!(fails(&url, "stranger").await, kind("git_credential_refused"));
    assert_eq!(fails(&server.url(&missing), "good").await, kind("repository_not_found_or_private"));

    let address = format!("{}/v1/registries/local/credentials/good", world.server);

    server.serve_instead("echo Welcome, friend.");
    assert_eq!(fails(&url, "good").await, kind("not_a_git_repository"));
    server.serve_instead("exit 127");
    assert_eq!(fails(&url, "good").await, kind("not_a_git_repository"));
    server.serve_instead("echo 'ERROR: no such project' >&2; exit 1");
    assert_eq!(fails(&url, "good").await, kind("repository_not_found_or_private"));
    server.serve_instead("printf '0017ERR no such project'; exit 0");
    assert_eq!(fails(&url, "good").await, kind("repository_not_found_or_private"));

    // What the service let through may be changed afterwards.
    let token = json!({ "kind": "git", "secret": "a-token" });
    let task = json!({ "name": "later", "build": { "source": url, "source_credential": "good" } });
    let tasks = format!("{}/v1/registries/local/tasks", world.server);
    assert_eq!(world.http.post(&tasks).json(&task).send().await.unwrap().status(), 201);
    assert_eq!(world.http.put(&address).json(&token).send().await.unwrap().status(), 200);
    let refused = world.http.post(format!("{tasks}/later/runs")).json(&json!({})).send().await.unwrap();
    assert_eq!(refused.status(), 422);
    let said: Value = refused.json().await.unwrap();
    assert_eq!(said["field"], "source_credential", "{said}");

    drop(server);
    let unreachable = world.submit(spec(&url, "changed")).await;
    let ended = world.ended(&unreachable).await;
    assert_eq!(ended["failure"]["kind"], "repository_unreachable", "{ended}");
    assert_eq!(ended["failure"]["blame"], "service", "it is tried again: {ended}");
    assert!(ended["failure"]["message"].as_str().unwrap().contains("refused"), "{ended}");
}

/// A host that answers nothing, so that there is time to look.
async fn a_key_is_nowhere_and_ssh_ends_with_its_run_and_its_worker(identity: Identity) {
    let world = World::start(identity).await;
    let server = SshServer::start();
    server.serve_instead("exec sleep 600");
    put_key(&world, "key", &server.key(), &server.known_hosts()).await;
    let url = server.url(Path::new("/srv/a.git"));
    let line = secret_line(&server.key());

    let run = world.submit(spec(&url, "key")).await;
    wait_until("the host was asked", || server.commands().len() == 1).await;
    let seen = processes(&server);
    assert!(
        seen.iter().any(|line| line.starts_with("ssh ") && line.contains(" -- 127.0.0.9 git-upload-pack"))
    );
    assert!(seen.iter().any(|line| line.contains("/exe connect 127.0.0.9 ")), "{seen:?}");
    let everything = arguments_and_environments();
    assert!(everything.contains("git-upload-pack '/srv/a.git'"), "the looking itself works");
    assert!(!everything.contains(&line), "a key in an argument or an environment");
    let folders = [&*world.data, &*world.runtime, Path::new("/dev/shm"), Path::new("/run")];
    assert!(!is_on_disk(&line, &folders), "a key in a file");
    let cancelled = world.http.post(format!("{run}/cancel")).send().await.unwrap();
    assert!(cancelled.status().is_success(), "{}", cancelled.status());
    assert_eq!(world.ended(&run).await["status"], "cancelled");
    // Sooner than a host that says nothing is given up.
    wait_for(Duration::from_secs(10), "a cancelled run leaves no ssh", || processes(&server).is_empty())
        .await;

    let run = world.submit(spec(&url, "key")).await;
    wait_until("the host was asked again", || server.commands().len() == 2).await;
    assert!(!processes(&server).is_empty());
    for pid in world.role("worker") {
        identity.kill(pid, "KILL");
    }
    wait_for(Duration::from_secs(10), "a killed worker leaves no ssh", || processes(&server).is_empty())
        .await;
    assert!(!is_on_disk(&line, &folders), "a key in a file");
    wait_until("the next attempt asks the host", || server.commands().len() == 3).await;
    let cancelled = world.http.post(format!("{run}/cancel")).send().await.unwrap();
    assert!(cancelled.status().is_success(), "{}", cancelled.status());
    assert_eq!(world.ended(&run).await["status"], "cancelled");
    assert!(!world.log().contains(&line) && !world.run_log(&run).await.contains(&line));
    wait_until("nothing is left", || processes(&server).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_nowhere_and_ssh_ends_with_its_run_as_root() {
    a_key_is_nowhere_and_ssh_ends_with_its_run_and_its_worker(Identity::Root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_nowhere_and_ssh_ends_with_its_run_as_an_ordinary_user() {
    a_key_is_nowhere_and_ssh_ends_with_its_run_and_its_worker(Identity::OrdinaryUser).await;
}
