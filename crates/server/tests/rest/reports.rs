//! What others are told of a run: commit statuses at hosts that behave as documented, webhooks, and what happens
//! when they don't want to hear.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use model::RunStatus;
use serde_json::{Value, json};
use server::Config;
use sha2::Sha256;
use test_support::{FakeGitHost, GitState};

use crate::hooks::senders::{AFTER, SENDERS};
use crate::world::{World, client, json_of, loopback};

pub(crate) const TOKEN: &str = "t0ken-that-writes-statuses";
const KEY: &[u8; 24] = b"0123456789abcdef01234567";
const LIMIT: Duration = Duration::from_secs(30);
pub(crate) const TASKS: &str = "/v1/registries/local/tasks";

/// A service that tells `host` of its runs, and the listeners of `notify`.
pub(crate) struct Story {
    pub(crate) world: World,
    hook: Value,
    sender: &'static str,
    /// Where the fixture's repository is in this story.
    origin: (String, String),
}

impl Story {
    pub(crate) async fn begin(sender: &'static str, host: &FakeGitHost, notify: Value) -> Self {
        let config = Config {
            policy: loopback(),
            work_every: Duration::from_millis(50),
            poll: Duration::from_millis(50),
            ..Config::default()
        };
        let world = World::with(config).await;
        for (name, credential) in [
            ("git", json!({ "kind": "git", "secret": TOKEN })),
            ("ours", json!({ "kind": "webhook", "secret": format!("whsec_{}", STANDARD.encode(KEY)) })),
        ] {
            let path = world.url(&format!("/v1/registries/local/credentials/{name}"));
            assert!(world.http.put(path).json(&credential).send().await.unwrap().status().is_success());
        }
        let known = SENDERS.iter().find(|known| known.name == sender).unwrap();
        let source = host.url("team/app.git");
        let task = json!({
            "name": "app", "notify": notify, "triggers": [{ "type": "commit", "branches": ["main"] }],
            "build": { "source": source, "source_credential": "git", "images": [] },
        });
        let made = world.post(TASKS).json(&task).send().await.unwrap();
        assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
        let hook = json!({ "name": "hook", "host": known.host });
        let hook = json_of(world.post("/v1/registries/local/hooks").json(&hook)).await;
        Self { world, hook, sender, origin: (known.repository.to_owned(), source) }
    }

    /// A push to the task's branch; answers the run's path.
    pub(crate) async fn push(&self, id: u32, commit: &str) -> String {
        self.send("push-to-branch", id, commit, |body| body).await
    }

    pub(crate) async fn send(
        &self,
        fixture: &str,
        id: u32,
        commit: &str,
        change: fn(String) -> String,
    ) -> String {
        let sender = SENDERS.iter().find(|known| known.name == self.sender).unwrap();
        let (theirs, here) = &self.origin;
        let mut sent = sender.sent(fixture, id);
        let body = String::from_utf8(sent.body).unwrap();
        assert!(body.contains(theirs), "{body}");
        sent.body = change(body.replace(theirs, here).replace(AFTER, commit)).into_bytes();
        if fixture.starts_with("pull") {
            sent = sent.with("x-github-event", "pull_request");
        }
        let sent = sent.signed(self.hook["secret"].as_str().unwrap());
        let request = client(None).post(self.hook["address"].as_str().unwrap()).body(sent.body);
        let request = sent.headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let path = format!("/v1/registries/local/deliveries/{}", answer["delivery"].as_str().unwrap());
        let delivery =
            until(async || Some(json_of(self.world.get(&path)).await).filter(|d| d["status"] != "received"))
                .await;
        let run = delivery["decisions"][0]["run"].as_str().unwrap_or_else(|| panic!("{delivery}"));
        format!("/v1/registries/local/runs/{run}")
    }

    /// Rows of the outbox: status, tries, and the seconds to the next try.
    async fn outbox(&self) -> String {
        let row = "status || ' ' || tries || ' ' || round(extract(epoch FROM next_try_at - now()))";
        let query =
            format!("SELECT coalesce(string_agg({row}, ', ' ORDER BY created_at), '') FROM slipway.outbox");
        self.world.db.text(&query).await.unwrap()
    }

    async fn becomes(&self, outbox: &str) {
        until(async || self.outbox().await.starts_with(outbox).then_some(())).await;
    }

    /// Time passes: what waits is due.
    async fn hurry(&self) {
        self.world.db.execute("UPDATE slipway.outbox SET next_try_at = now() WHERE status = 'waiting'").await;
    }

    async fn counted(&self, kind: &str, outcome: &str) -> String {
        let text = self.world.get("/metrics").send().await.unwrap().text().await.unwrap();
        let name = format!("slipway_reports_total{{kind=\"{kind}\",outcome=\"{outcome}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
    }
}

/// What `look` finds at last.
pub(crate) async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, looking).await.expect("it comes to that")
}

/// The states so far, once there are so many.
pub(crate) async fn states(host: &FakeGitHost, count: usize) -> Vec<GitState> {
    until(async || Some(host.states()).filter(|states| states.len() >= count)).await
}

#[tokio::test]
async fn each_host_is_told_where_a_run_stands_in_its_own_words() {
    for (sender, host, words) in [
        ("github", FakeGitHost::github(TOKEN).await, ["pending", "pending", "failure"]),
        ("gitlab", FakeGitHost::gitlab(TOKEN).await, ["pending", "running", "failed"]),
    ] {
        let story = Story::begin(sender, &host, json!([])).await;
        let run = story.push(1, AFTER).await;
        states(&host, 1).await;
        let leased = story.world.lease().await;
        states(&host, 2).await;
        assert_eq!(story.world.fail(&leased, false).await, RunStatus::Failed);
        let told = states(&host, 3).await;
        assert_eq!(told.iter().map(|state| &*state.state).collect::<Vec<_>>(), words, "{sender}");
        for state in &told {
            assert_eq!((&*state.commit, &*state.context), (AFTER, "slipway/app"));
            let page = run.replace("/v1/", "/");
            assert!(
                state.target_url.starts_with("http://127.0.0.1:") && state.target_url.ends_with(&page),
                "{state:?}"
            );
        }
        assert_eq!(told[2].description, "The command `make` ended with exit code 2.");
        story.becomes("sent 0 ").await;
        assert_eq!(story.counted("commit_status", "sent").await, "3");
    }
}

/// GitLab refuses a state that it has already, and one before it: then it has heard.
#[tokio::test]
async fn a_state_that_gitlab_has_is_not_told_for_days() {
    let host = FakeGitHost::gitlab(TOKEN).await;
    let story = Story::begin("gitlab", &host, json!([])).await;
    story.push(1, AFTER).await;
    let leased = story.world.lease().await;
    until(async || host.states().iter().any(|state| state.state == "running").then_some(())).await;
    // Queued once more, which GitLab has no word for after `running`.
    assert_eq!(story.world.fail(&leased, true).await, RunStatus::Queued);
    let refused = until(async || {
        let told = host.requests().last().map(|request| request.body.clone()).unwrap_or_default();
        String::from_utf8(told).unwrap().contains("\"pending\"").then_some(())
    });
    refused.await;
    story.becomes("sent 0 ").await;
    assert_eq!(story.counted("commit_status", "retried").await, "0");
}

#[tokio::test]
async fn a_host_that_is_out_of_sorts_is_asked_again_when_it_says() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let reset = ("x-ratelimit-reset", (now + 1800).to_string());
    for (answer, at_least, at_most) in [
        ((502, vec![]), 1, 5),
        ((429, vec![("retry-after", "600".to_owned())]), 550, 600),
        // GitHub, "Rate limits for the REST API": exceeded, it answers 403 or 429.
        ((403, vec![("retry-after", "60".to_owned())]), 30, 60),
        ((403, vec![("x-ratelimit-remaining", "0".to_owned()), reset]), 1700, 1801),
    ] {
        let host = FakeGitHost::github(TOKEN).await;
        let story = Story::begin("github", &host, json!([])).await;
        host.prepare([answer.clone()]);
        story.push(1, AFTER).await;
        story.becomes("waiting 1 ").await;
        let outbox = story.outbox().await;
        let seconds: i64 = outbox.rsplit(' ').next().unwrap().parse().unwrap();
        assert!((at_least..=at_most).contains(&seconds), "{answer:?}: {outbox}");
        assert!(host.states().is_empty());
        story.hurry().await;
        states(&host, 1).await;
        story.becomes("sent 1 ").await;
        assert_eq!(story.counted("commit_status", "retried").await, "1");
    }
}

#[tokio::test]
async fn what_can_not_be_told_is_given_up_and_the_run_goes_on() {
    for (answer, tries) in
        [(Some((500, vec![])), 9), (Some((403, vec![])), 0), (Some((404, vec![])), 0), (None, 0)]
    {
        // Without a prepared answer: it is a token that the host does not know.
        let host = FakeGitHost::github(if answer.is_some() { TOKEN } else { "another" }).await;
        let story = Story::begin("github", &host, json!([])).await;
        host.prepare([(502, vec![])].into_iter().filter(|_| tries > 0));
        if tries > 0 {
            story.push(1, AFTER).await;
            story.becomes("waiting 1 ").await;
            story.world.db.execute(&format!("UPDATE slipway.outbox SET tries = {tries}")).await;
            host.prepare(answer.clone());
            story.hurry().await;
        } else {
            host.prepare(answer.clone());
            story.push(1, AFTER).await;
        }
        story.becomes("given_up ").await;
        assert_eq!(story.counted("commit_status", "given_up").await, "1", "{answer:?}");
        let why = story.world.db.text("SELECT last_error FROM slipway.outbox").await.unwrap();
        let status = answer.map_or(401, |(status, _)| status);
        assert!(why.contains(&status.to_string()) && !why.contains(TOKEN), "{why}");
        // A host that repeats what it was sent tells nobody.
        assert!(status == 401 || why.contains("you sent Bearer ***"), "{why}");
        assert_eq!(story.world.lease().await.attempt, 1);
    }
}

/// docs.github.com, "Best practices for using the REST API": a repository that was renamed is at another address.
#[tokio::test]
async fn a_repository_that_was_renamed_is_told_where_it_is_now_and_nobody_else_is() {
    let (host, other) = (FakeGitHost::github(TOKEN).await, FakeGitHost::receiver().await);
    let story = Story::begin("github", &host, json!([])).await;
    let renamed = format!("/api/v3/repos/team/renamed/statuses/{AFTER}");
    host.prepare([(307, vec![("location", host.url(&renamed[1..]))])]);
    story.push(1, AFTER).await;
    states(&host, 1).await;
    assert_eq!(host.requests().last().unwrap().target, renamed);
    host.prepare([(307, vec![("location", other.url("collect"))])]);
    let leased = story.world.lease().await;
    story.becomes("waiting 1 ").await;
    assert!(other.requests().is_empty(), "the credential goes nowhere else");
    story.world.fail(&leased, false).await;
}

pub(crate) fn notify(host: &FakeGitHost, path: &str) -> Value {
    json!({ "url": host.url(path), "credential": "ours", "events": ["run.queued"] })
}

/// Standard Webhooks: the id stays, the signature is of the time when it is sent.
#[tokio::test]
async fn a_webhook_is_signed_anew_at_every_try_and_known_by_its_id() {
    let (host, listener) = (FakeGitHost::github("another").await, FakeGitHost::receiver().await);
    let elsewhere = FakeGitHost::receiver().await;
    let story = Story::begin("standard", &host, json!([notify(&listener, "told")])).await;
    listener.prepare([
        (500, vec![]),
        (302, vec![("location", elsewhere.url("told"))]),
        (503, vec![("retry-after", "900".to_owned())]),
        (404, vec![]),
    ]);
    story.push(1, AFTER).await;
    for (tries, pause) in [(1, 5), (2, 30), (3, 900), (4, 1800)] {
        story.becomes(&format!("waiting {tries} ")).await;
        let outbox = story.outbox().await;
        let seconds: i64 = outbox.rsplit(' ').next().unwrap().parse().unwrap();
        assert!((pause / 2..=pause).contains(&seconds), "after {tries}: {outbox}");
        story.hurry().await;
    }
    story.becomes("sent 4 ").await;
    assert!(elsewhere.requests().is_empty(), "a redirect is a failure");
    let told = listener.requests();
    assert_eq!(told.len(), 5);
    for request in &told {
        let header = |name: &str| request.header(name).unwrap();
        assert_eq!(header("webhook-id"), told[0].header("webhook-id").unwrap());
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
        for part in [
            header("webhook-id").as_bytes(),
            b".",
            header("webhook-timestamp").as_bytes(),
            b".",
            &request.body,
        ] {
            mac.update(part);
        }
        let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(header("webhook-signature"), signature);
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!((body["type"].as_str(), body["data"]["task"].as_str()), (Some("run.queued"), Some("app")));
    }
}

/// Standard Webhooks: 410 disables the endpoint.
#[tokio::test]
async fn a_receiver_that_is_gone_hears_nothing_until_it_is_named_anew() {
    let (host, listener) = (FakeGitHost::github("another").await, FakeGitHost::receiver().await);
    let both = json!([notify(&listener, "gone"), notify(&listener, "there")]);
    let story = Story::begin("standard", &host, both.clone()).await;
    let to = |path: &str| listener.requests().iter().filter(|request| request.target == path).count();
    // Three that wait: the first one answered ends all of them.
    listener.prepare((0..6).map(|_| (500, vec![])));
    for id in 1..=3 {
        story.push(id, &format!("{id}").repeat(40)).await;
    }
    until(async || (to("/gone") == 3 && to("/there") == 3).then_some(())).await;
    story.world.db.execute("DELETE FROM slipway.outbox WHERE target ->> 'url' LIKE '%/there'").await;
    listener.prepare([(410, vec![])]);
    let first = "id = (SELECT min(id::text)::uuid FROM slipway.outbox)";
    let due = format!("CASE WHEN {first} THEN now() ELSE now() + interval '1 hour' END");
    story.world.db.execute(&format!("UPDATE slipway.outbox SET next_try_at = {due}")).await;
    until(async || (!story.outbox().await.contains("waiting")).then_some(())).await;
    assert_eq!(story.counted("webhook", "given_up").await, "3");
    assert_eq!(to("/gone"), 4);

    let registry = || json_of(story.world.get("/v1/registries/local"));
    assert_eq!(registry().await["gone_receivers"][0]["url"], listener.url("gone"));
    story.push(4, &"4".repeat(40)).await;
    until(async || (to("/there") == 4).then_some(())).await;
    // A change of something else is no wish to send there.
    let task = story.world.url(&format!("{TASKS}/app"));
    let patch = async |body: Value| {
        assert_eq!(story.world.http.patch(&task).json(&body).send().await.unwrap().status(), 200)
    };
    patch(json!({ "enabled": true })).await;
    story.push(5, &"5".repeat(40)).await;
    until(async || (to("/there") == 5).then_some(())).await;
    assert_eq!(to("/gone"), 4, "nothing is sent to who is gone");
    patch(json!({ "notify": both })).await;
    story.push(6, &"6".repeat(40)).await;
    until(async || (to("/gone") == 5).then_some(())).await;
    assert_eq!(registry().await.get("gone_receivers"), None);
}
