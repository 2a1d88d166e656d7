//! What a person manages, through the program itself: each noun is made, seen, changed and removed with the
//! command line; signed pushes become runs; refusals come with a hint and the exit code that the help names.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use support::{Identity, World};
use test_support::{GitServer, TestRepository};

const DOCKERFILE: &str = "ARG BASE\nFROM ${BASE}\nCOPY word /word\n";
const SECRET: &str = "npm-t0ken-of-the-team";

/// What a command said and how it ended.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    /// The objects of `--json`, one a line.
    fn objects(&self) -> Vec<Value> {
        assert_eq!(self.code, 0, "{self:?}");
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn object(&self) -> Value {
        let mut objects = self.objects();
        assert_eq!(objects.len(), 1, "{self:?}");
        objects.remove(0)
    }

    fn done(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        &self.out
    }
}

/// A person at a command line, with a token.
struct Person<'a> {
    world: &'a World,
    token: String,
}

impl Person<'_> {
    fn say(&self, line: &[&str]) -> Said {
        self.say_with(line, "")
    }

    fn say_with(&self, line: &[&str], input: &str) -> Said {
        let mut command = Command::new(support::slipway());
        command.args(line).env("SLIPWAY_SERVER", &self.world.server).env("SLIPWAY_TOKEN", &self.token);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        Said { code, out: text(output.stdout), err: text(output.stderr) }
    }
}

fn administrator(world: &World) -> Person<'_> {
    Person { world, token: world.token.clone() }
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// A push as its host describes and signs it; answers the delivery's id here.
async fn push(hook: &Value, repository: &str, commit: &str) -> String {
    let (address, secret) = (hook["address"].as_str().unwrap(), hook["secret"].as_str().unwrap());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(address).header("content-type", "application/json");
    let request = if hook["host"] == "github" {
        let body = json!({
            "ref": "refs/heads/main", "before": "0".repeat(40), "after": commit,
            "repository": { "full_name": "team/app", "clone_url": repository, "html_url": repository, "default_branch": "main" },
            "pusher": { "name": "ada" }, "commits": [],
        })
        .to_string();
        let signature = format!("sha256={}", hex::encode(hmac(secret.as_bytes(), body.as_bytes())));
        let request = request.header("x-github-event", "push").header("x-github-delivery", commit);
        request.header("x-hub-signature-256", signature).body(body)
    } else {
        let body =
            json!({ "repository": repository, "ref": "refs/heads/main", "commit": commit }).to_string();
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let signature = STANDARD.encode(hmac(&key, format!("{commit}.{now}.{body}").as_bytes()));
        let request = request.header("webhook-id", commit).header("webhook-timestamp", now);
        request.header("webhook-signature", format!("v1,{signature}")).body(body)
    };
    let answer = request.send().await.unwrap();
    let (status, answer) = (answer.status(), answer.json::<Value>().await.unwrap());
    assert_eq!(status, 202, "{answer}");
    answer["delivery"].as_str().unwrap().to_owned()
}

/// The delivery once the inbox has worked it off.
async fn worked_off(person: &Person<'_>, delivery: &str) -> Value {
    let look = async {
        loop {
            let seen = person.say(&["delivery", "show", delivery, "--json"]).object();
            if seen["status"] != "received" {
                return seen;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), look).await.expect("it is worked off")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_push_becomes_a_run_with_nothing_but_the_command_line() {
    let world = World::start(Identity::Root).await;
    let person = administrator(&world);
    let base = world.base_image();
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);

    let kept = person.say_with(&["credential", "set", "npm", "--kind", "build"], &format!("{SECRET}\n"));
    assert!(kept.done().contains("npm") && !kept.out.contains(SECRET), "{kept:?}");
    let source = format!("{}#main", git.url());
    let base_arg = format!("BASE={base}");
    let task = person.say(&[
        "task",
        "create",
        "app",
        "--source",
        &source,
        "-t",
        "app:{{.Run.Commit}}",
        "--secret",
        "npmrc=npm",
        "--build-arg",
        &base_arg,
        "--on-push",
        "main",
        "--timeout",
        "5m",
    ]);
    assert!(task.done().contains("push to main"), "{task:?}");

    for host in ["github", "standard"] {
        let word = format!("a push of {host}\n");
        let commit = repository.commit_to("main", &[("Dockerfile", DOCKERFILE), ("word", &word)]);
        let hook =
            person.say(&["hook", "create", host, "--host", host, "--repository", &git.url(), "--json"]);
        let delivery = push(&hook.object(), &git.url(), &commit).await;
        let explained = worked_off(&person, &delivery).await;
        assert_eq!(explained["decisions"][0]["reason"], "branch main", "{explained}");
        let run = explained["decisions"][0]["run"].as_str().expect("it started a run").to_owned();

        let followed = person.say(&["run", "logs", "-f", &run]);
        assert!(followed.done().contains("COPY word"), "{followed:?}");
        let shown = person.say(&["run", "show", &run]);
        for expected in ["app", &commit, "push to refs/heads/main", &delivery, "succeeded"] {
            assert!(shown.done().contains(expected), "`{expected}` is not in {shown:?}");
        }
        let again = person.say(&["delivery", "replay", &delivery]);
        assert_eq!(again.code, 0, "{again:?}");
        assert_eq!(worked_off(&person, &delivery).await["decisions"][0]["run"], run.as_str());
        let none = person.say(&["delivery", "list", "--hook", "another"]);
        assert!(none.done().contains("no such deliveries"), "{none:?}");
        let listed = person.say(&["delivery", "list", "--status", "matched"]);
        assert!(listed.done().contains(&delivery), "{listed:?}");
    }
    assert_eq!(person.say(&["run", "list", "--task", "app", "--json"]).objects().len(), 2);
    assert_eq!(person.say(&["runs", "--task", "app", "--json"]).objects().len(), 2);
    let pushed = person.say(&["run", "list", "--cause", "commit", "--branch", "main", "--json"]).objects();
    let (last, commit) = (&pushed[0], pushed[0]["revision"]["commit"].as_str().expect("it was checked out"));
    assert_eq!(pushed.len(), 2);
    assert_eq!(person.say(&["run", "list", "--commit", &commit[..12], "--json"]).objects().len(), 1);
    assert_eq!(person.say(&["run", "list", "--branch", "other", "--json"]).objects().len(), 0);
    let refused = person.say(&["run", "list", "--cause", "weather"]);
    assert!(refused.code != 0 && refused.err.contains("manual, commit, pull_request"), "{refused:?}");

    let again = person.say(&["run", "rerun", last["id"].as_str().expect("an id"), "--follow"]);
    assert!(again.done().contains("COPY word"), "{again:?}");
    let both = person.say(&["run", "list", "--commit", commit, "--json"]).objects();
    assert_eq!((both.len(), &both[0]["cause"]["rerun"]["of"]), (2, &last["id"]), "{both:?}");
    let log = world.log();
    assert!(!log.contains(SECRET), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_saved_changed_copied_run_and_removed() {
    let world = World::start(Identity::Root).await;
    let person = administrator(&world);
    let base = world.base_image();
    let repository = TestRepository::new();
    let files = [("Dockerfile", "ARG BASE\nFROM ${BASE} AS first\nFROM first\nRUN exit 7\n"), ("word", "x")];
    repository.commit_to("main", &files);
    let git = GitServer::start(&repository);
    let (source, base) = (format!("{}#main", git.url()), format!("BASE={base}"));
    person
        .say(&[
            "task",
            "create",
            "app",
            "--source",
            &source,
            "-t",
            "app",
            "--build-arg",
            &base,
            "--target",
            "first",
        ])
        .done();
    let task = person
        .say(&["task", "update", "app", "--disable", "--timeout", "5m", "--on-tag", "v*", "--json"])
        .object();
    assert_eq!(task["build"]["target"], "first", "what was not named stayed: {task}");
    assert_eq!((&task["enabled"], &task["build"]["timeout_seconds"]), (&json!(false), &json!(300)));
    let copy = person.say_with(
        &["task", "create", "copy", "--from", "-", "--clear", "triggers", "--json"],
        &task.to_string(),
    );
    assert_eq!(copy.object()["triggers"], json!([]));
    assert_eq!(copy.object()["build"], task["build"]);
    assert_eq!(person.say(&["task", "list", "--json"]).objects().len(), 2);

    let ran = person.say(&["task", "run", "app", "--follow"]);
    assert!(ran.done().contains("pushed"), "{ran:?}");
    let failed = person.say(&["task", "run", "app", "--target", "1", "--follow"]);
    assert_eq!(failed.code, 1, "a run's end is the exit code: {failed:?}");
    assert!(failed.out.contains("RUN exit 7"), "{failed:?}");
    person.say(&["task", "delete", "copy"]).done();
    let gone = person.say(&["task", "show", "copy"]);
    assert_eq!(gone.code, 2, "{gone:?}");
    assert!(gone.err.contains("There is no task `copy`.") && gone.err.contains("hint:"), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn registries_credentials_hooks_and_workers_are_managed() {
    let world = World::start(Identity::Root).await;
    let person = administrator(&world);
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("password");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let secret = secret.to_str().unwrap();

    person.say(&["registry", "create", "prod", "--address", "registry.example.com"]).done();
    person
        .say(&[
            "credential",
            "set",
            "ci",
            "--registry",
            "prod",
            "--kind",
            "registry",
            "--username",
            "ci",
            "--secret-file",
            secret,
        ])
        .done();
    let signed =
        person.say(&["registry", "update", "prod", "--sign-in", "basic", "--credential", "ci", "--json"]);
    assert_eq!(signed.object()["sign_in"], json!({ "type": "basic", "credential": "ci" }));
    let by_identity = person.say(&["registry", "update", "prod", "--sign-in", "managed-identity", "--json"]);
    assert_eq!(by_identity.object()["sign_in"], json!({ "type": "managed_identity" }));
    let shown = person.say(&["credential", "show", "ci", "--registry", "prod"]);
    assert!(shown.done().contains("registry") && !shown.out.contains(SECRET), "{shown:?}");
    let refused = person.say(&["registry", "delete", "prod", "--yes"]);
    assert!(refused.code != 0 && refused.err.contains("has 1 credential."), "{refused:?}");
    person.say(&["credential", "delete", "ci", "--registry", "prod"]).done();
    assert!(person.say(&["registry", "list"]).done().contains("managed identity"));
    person.say(&["registry", "delete", "prod", "--yes"]).done();
    assert_eq!(person.say(&["registry", "show", "prod"]).code, 2);

    let made = person.say(&["hook", "create", "hub", "--host", "github"]);
    assert!(made.done().contains("/hooks/") && made.out.contains("Payload URL"), "{made:?}");
    let rotated = person.say(&["hook", "rotate", "hub", "--grace", "1h", "--json"]).object();
    assert!(rotated["secret"].is_string() && rotated["previous_secret_until"].is_string(), "{rotated}");
    assert_eq!(rotated.get("address"), None, "{rotated}");
    let given = person.say_with(&["hook", "rotate", "hub", "--secret-file", "-"], SECRET);
    assert!(!given.done().contains(SECRET) && !given.out.contains("/hooks/"), "{given:?}");
    let shown = person.say(&["hook", "show", "hub", "--json"]).object();
    assert!(shown["secret"].is_null() && shown["address"].is_null(), "shown once only: {shown}");
    person.say(&["hook", "update", "hub", "--repository", "https://example.com/team/app"]).done();
    person.say(&["hook", "delete", "hub"]).done();
    assert_eq!(person.say(&["hook", "list", "--json"]).objects().len(), 0);

    let workers = person.say(&["worker", "list", "--json"]).objects();
    assert!(workers.iter().any(|worker| worker["is_alive"] == true), "{workers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_may_do_what_its_role_says_until_it_is_deleted() {
    let world = World::start(Identity::Root).await;
    let person = administrator(&world);
    let made = person.say(&[
        "token",
        "create",
        "wall",
        "--role",
        "reader",
        "--registry",
        "local",
        "--expires-in",
        "30d",
        "--json",
    ]);
    let token = made.object()["token"].as_str().unwrap().to_owned();
    let reader = Person { world: &world, token: token.clone() };
    reader.say(&["task", "list"]).done();
    let refused = reader.say(&["hook", "create", "hub", "--host", "github"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("contributor") && refused.err.contains("hint:"), "{refused:?}");
    let listed = person.say(&["token", "list"]);
    assert!(listed.done().contains("wall") && !listed.out.contains(&token), "{listed:?}");
    let shown = person.say(&["token", "show", "wall"]);
    assert!(shown.done().contains("reader") && !shown.out.contains(&token), "{shown:?}");
    // Names are labels: a second one has the same while it takes the place of the first.
    let second =
        person.say(&["token", "create", "wall", "--role", "reader", "--json"]).object()["id"].clone();
    let which = person.say(&["token", "delete", "wall"]);
    assert_eq!(which.code, 2, "{which:?}");
    assert!(which.err.contains(second.as_str().unwrap()), "the hint names both: {which:?}");
    person.say(&["token", "delete", second.as_str().unwrap()]).done();
    person.say(&["token", "delete", "wall"]).done();
    let ended = reader.say(&["task", "list", "--json"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap()["problem"]["kind"], "unauthenticated");
}

/// The width that a terminal has; an id alone takes 36.
#[tokio::test(flavor = "multi_thread")]
async fn tables_fit_a_terminal_and_every_command_has_help() {
    let world = World::start(Identity::OrdinaryUser).await;
    let person = administrator(&world);
    person
        .say(&[
            "task",
            "create",
            "app",
            "--source",
            "https://example.com/team/app.git#main",
            "-t",
            "team/app:1",
        ])
        .done();
    person.say(&["hook", "create", "hub", "--host", "github"]).done();
    person
        .say(&["token", "create", "ci", "--role", "submitter", "--registry", "local", "--expires-in", "30d"])
        .done();
    for noun in ["registry", "credential", "task", "hook", "run", "delivery", "token", "worker"] {
        let table = person.say(&[noun, "list"]);
        let widest = table.done().lines().map(|line| line.chars().count()).max().unwrap_or_default();
        assert!(widest <= 100, "{noun} list is {widest} wide: {}", table.out);
        let help =
            Command::new(Path::new(env!("CARGO_BIN_EXE_slipway"))).args([noun, "list", "--help"]).output();
        let help = String::from_utf8(help.unwrap().stdout).unwrap();
        assert!(help.contains("Exit codes:") && help.contains("--json"), "{noun}: {help}");
    }
    let completions = person.say(&["completions", "bash"]);
    assert!(completions.done().contains("credential") && completions.out.contains("managed-identity"));
}
