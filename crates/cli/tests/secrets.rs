//! What a run may use and nobody may read: a private source's credential, tokens of a private registry, and
//! what a log shows of them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::{Identity, World};
use test_support::{GitServer, TestRepository, TokenRegistry};

const TOKEN: &str = "gl-very+secret/t0ken";
/// `ci:` and the token.
const BASIC: &str = "Basic Y2k6Z2wtdmVyeStzZWNyZXQvdDBrZW4=";

async fn put_credential(world: &World, name: &str, credential: Value) {
    let address = format!("{}/v1/registries/local/credentials/{name}", world.server);
    let put = world.http.put(address).json(&credential).send().await.unwrap();
    assert!(put.status().is_success(), "{}", put.text().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_source_is_fetched_and_its_credential_is_shown_nowhere() {
    let world = World::start(Identity::Root).await;
    let base = world.base_image();
    put_credential(&world, "git", json!({ "kind": "git", "username": "ci", "secret": TOKEN })).await;
    let repository = TestRepository::new();
    let git = GitServer::start_private(&repository, BASIC);
    let shows = format!(
        "FROM {base}\nRUN echo {TOKEN}; printf 'gl-very+'; sleep 0.3; echo secret/t0ken; echo {BASIC}\n"
    );
    repository.commit_to("main", &[("Dockerfile", &shows)]);
    repository.commit_to("fails", &[("Dockerfile", &format!("FROM {base}\nRUN echo {TOKEN}; exit 3\n"))]);
    let spec = |branch: &str, credential: Option<&str>| {
        json!({
            "source": { "type": "git", "url": git.url(), "ref": branch },
            "source_credential": credential,
            "images": ["private:{{.Run.Commit}}"],
        })
    };
    let without = world.build(spec("main", None)).await;
    assert_eq!(without["failure"]["kind"], "repository_not_found_or_private", "{without}");

    let run = world.submit(spec("main", Some("git"))).await;
    let ended = world.ended(&run).await;
    let log = world.run_log(&run).await;
    assert_eq!(ended["status"], "succeeded", "{ended}\n{log}");
    let commit = ended["revision"]["commit"].as_str().unwrap();
    let reference = ended["images"][0]["reference"].as_str().unwrap();
    assert!(reference.ends_with(&format!("private:{commit}")), "{ended}");
    let lines: Vec<&str> =
        log.lines().map(|line| line.split_whitespace().last().unwrap_or_default()).collect();
    let masked = lines.iter().filter(|line| line.starts_with("***")).count();
    assert!(masked >= 3, "each of the three lines that the step printed: {log}");

    let failed = world.submit(spec("fails", Some("git"))).await;
    let failure = world.ended(&failed).await;
    assert_eq!(failure["failure"]["location"]["text"], "RUN echo ***; exit 3", "{failure}");
    let shown =
        [log, world.run_log(&failed).await, failure.to_string(), ended.to_string(), world.log()].concat();
    for secret in [TOKEN, &BASIC[6..]] {
        assert!(!shown.contains(secret), "{secret} is shown: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_base_of_the_runs_own_registry_is_pulled_by_a_token_that_only_pulls() {
    let registry = TokenRegistry::start(None).await;
    registry.user("ci", "hunter2");
    registry.allow("ci", "base/busybox", &["pull", "push"]);
    registry.allow("ci", "app", &["pull", "push"]);
    test_support::push_busybox_as("ci:hunter2", &registry.address(), "base/busybox:1");
    registry.allow("ci", "base/busybox", &["pull"]);
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), "hunter2\n").unwrap();
    let arguments = ["--registry", &registry.address(), "--registry-username", "ci"];
    let arguments =
        [&arguments[..], &["--registry-password-file", password.path().to_str().unwrap()]].concat();
    let world = World::start_with(Identity::Root, &arguments).await;
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);
    let dockerfile = format!("FROM {}/base/busybox:1\nRUN echo built > /built\n", registry.address());
    repository.commit_to("main", &[("Dockerfile", &dockerfile)]);
    let spec = |trust: &str, image: &str| {
        json!({
            "source": { "type": "git", "url": git.url(), "ref": "main" }, "images": [image], "trust": trust,
        })
    };
    let trusted = world.build(spec("trusted", "app:1")).await;
    assert_eq!(trusted["status"], "succeeded", "{trusted}");
    let asked = registry.asked();
    assert!(asked.iter().any(|scopes| scopes[..] == ["repository:base/busybox:pull"]), "{asked:?}");
    let untrusted = world.build(spec("untrusted", "app:2")).await;
    assert_eq!(untrusted["failure"]["kind"], "base_image_denied", "a stranger's run: {untrusted}");
    let forbidden = world.submit(spec("trusted", "other:1")).await;
    let failure = world.ended(&forbidden).await["failure"].clone();
    assert_eq!(failure["kind"], "registry_denied", "{failure}");
    assert!(!world.run_log(&forbidden).await.contains("RUN echo"), "nothing was built for it");
    assert!(!registry.issued().iter().any(|token| world.log().contains(token)), "no token is logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_builds_secret_is_given_to_the_step_that_names_it_and_to_no_strangers_run() {
    let world = World::start(Identity::Root).await;
    let base = world.base_image();
    put_credential(&world, "npm", json!({ "kind": "build", "secret": TOKEN })).await;
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);
    let dockerfile = format!(
        "FROM {base}\nRUN --mount=type=secret,id=npmrc,required=true cat /run/secrets/npmrc; echo; echo end\n"
    );
    repository.commit_to("main", &[("Dockerfile", &dockerfile)]);
    let spec = |trust: &str| {
        json!({
            "source": { "type": "git", "url": git.url(), "ref": "main" }, "trust": trust,
            "secrets": { "npmrc": "npm" }, "images": ["secret:1"],
        })
    };
    let run = world.submit(spec("trusted")).await;
    let ended = world.ended(&run).await;
    let log = world.run_log(&run).await;
    assert_eq!(ended["status"], "succeeded", "{ended}\n{log}");
    assert!(log.contains("***") && log.contains("end") && !log.contains(TOKEN), "{log}");
    let stranger = world.build(spec("untrusted")).await;
    assert_eq!(stranger["failure"]["kind"], "secret_missing", "{stranger}");
    assert_eq!(stranger["failure"]["location"]["line"], 2, "{stranger}");
    let disk =
        Identity::Root.command(std::path::Path::new("grep")).args(["-rqs", TOKEN]).arg(&world.data).status();
    assert_eq!(disk.unwrap().code(), Some(1), "its plain text is nowhere below the data folder");
}
