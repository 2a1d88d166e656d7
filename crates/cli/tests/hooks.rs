//! From a git host's delivery to what its users see: hook → run → image → commit status and webhook.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use support::{Identity, World};
use test_support::{GitRequest, GitServer, TestRepository};

const TOKEN: &str = "gitea-t0ken-of-ci";
const BUILD_SECRET: &str = "npm-t0ken-of-the-team";
/// 24 bytes, as Standard Webhooks wants them at least.
const KEY: &[u8; 24] = b"0123456789abcdef01234567";

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

struct Story {
    world: World,
    git: GitServer,
    repository: TestRepository,
    hook: Value,
}

impl Story {
    /// A task of a repository on a Gitea, with a hook, a secret, and somebody who is told.
    async fn begin(listener: &GitServer) -> Self {
        let world = World::start(Identity::Root).await;
        let base = world.base_image();
        let repository = TestRepository::new();
        let git = GitServer::start(&repository);
        let story = Self { world, git, repository, hook: Value::Null };
        let whsec = format!("whsec_{}", STANDARD.encode(KEY));
        for (name, credential) in [
            ("gitea", json!({ "kind": "git", "secret": TOKEN })),
            ("npm", json!({ "kind": "build", "secret": BUILD_SECRET })),
            ("ours", json!({ "kind": "webhook", "secret": whsec })),
        ] {
            story.put(&format!("credentials/{name}"), credential).await;
        }
        let task = json!({
            "name": "app",
            "build": {
                "source": story.git.url() + "#main", "source_credential": "gitea", "secrets": { "npmrc": "npm" },
                "images": ["app:{{.Run.Branch}}", "app:{{.Run.Commit}}"], "build_args": { "BASE": base },
            },
            "triggers": [{ "type": "commit", "branches": ["main"] }, { "type": "pull_request" }],
            "notify": [{ "url": listener.url_of("api/told"), "credential": "ours", "events": ["run.finished"] }],
        });
        story.post("tasks", task).await;
        let hook = story.post("hooks", json!({ "name": "gitea", "host": "gitea" })).await;
        Self { hook, ..story }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/registries/local/{path}", self.world.server)
    }

    async fn put(&self, path: &str, body: Value) {
        let answer = self.world.http.put(self.url(path)).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.world.http.post(self.url(path)).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 201, "{path}");
        answer.json().await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        self.world.http.get(self.url(path)).send().await.unwrap().json().await.unwrap()
    }

    /// Delivers as Gitea does; answers the status.
    async fn deliver(&self, event: &str, id: &str, payload: &Value) -> u16 {
        let body = payload.to_string();
        let signature = hex::encode(hmac(self.hook["secret"].as_str().unwrap().as_bytes(), body.as_bytes()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client
            .post(self.hook["address"].as_str().unwrap())
            .header("content-type", "application/json")
            .header("x-gitea-event", event)
            .header("x-gitea-delivery", id)
            .header("x-gitea-signature", signature)
            .body(body);
        request.send().await.unwrap().status().as_u16()
    }

    /// The one delivery with this sender's id, once it was worked off.
    async fn worked(&self, id: &str) -> Value {
        let look = async {
            loop {
                let deliveries = self.get("deliveries").await;
                let found = deliveries["deliveries"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|d| d["sender_id"] == id)
                    .cloned();
                match found {
                    Some(delivery) if delivery["status"] != "received" => return delivery,
                    _ => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
                }
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), look).await.expect("it is worked off")
    }

    /// The digest that a tag of the task's image names.
    async fn tag(&self, tag: &str) -> Option<String> {
        let address = format!("http://{}/v2/app/manifests/{tag}", self.world.registry);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.head(address).header("accept", "application/vnd.oci.image.manifest.v1+json");
        let answer = request.send().await.unwrap();
        let digest =
            answer.headers().get("docker-content-digest").map(|digest| digest.to_str().unwrap().to_owned());
        assert_eq!(digest.is_some(), answer.status() == 200, "{}", answer.status());
        digest
    }

    async fn runs(&self) -> Vec<Value> {
        self.get("runs").await["runs"].as_array().unwrap().clone()
    }

    fn repository_json(&self) -> Value {
        json!({ "id": 7, "full_name": "team/repository", "clone_url": self.git.url(), "default_branch": "main" })
    }

    fn push(&self, before: &str, after: &str) -> Value {
        json!({ "ref": "refs/heads/main", "before": before, "after": after, "commits": [], "total_commits": 0,
            "repository": self.repository_json(), "pusher": { "login": "ann" } })
    }

    fn fork(&self, commit: &str) -> Value {
        json!({ "action": "opened", "number": 3, "repository": self.repository_json(), "pull_request": {
            "number": 3, "title": "try", "user": { "login": "stranger" },
            "head": { "ref": "main", "sha": commit, "repo": { "id": 99 } },
            "base": { "ref": "main", "sha": "0".repeat(40), "repo": { "id": 7 } } } })
    }

    /// Requests to a git host's API, once there are so many.
    async fn told(&self, host: &GitServer, count: usize) -> Vec<GitRequest> {
        let look = async {
            loop {
                let told: Vec<_> =
                    host.requests().into_iter().filter(|r| r.target.starts_with("/api/")).collect();
                if told.len() >= count {
                    return told;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), look).await.expect("it is told")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_becomes_an_image_and_everybody_is_told() {
    let elsewhere = TestRepository::new();
    let listener = GitServer::start(&elsewhere);
    let story = Story::begin(&listener).await;
    let dockerfile = "ARG BASE\nFROM ${BASE}\nRUN echo made > /made\n";
    let commit = story.repository.commit_to("main", &[("Dockerfile", dockerfile)]);
    let push = story.push(&"1".repeat(40), &commit);
    assert_eq!(story.deliver("push", "d1", &push).await, 202);
    let delivery = story.worked("d1").await;
    assert!(delivery["summary"].as_str().unwrap().contains("matched task app: branch main"), "{delivery}");
    assert_eq!(story.runs().await.len(), 1);
    let id = story.runs().await[0]["id"].as_str().unwrap().to_owned();
    let run = story.world.ended(&story.url(&format!("runs/{id}"))).await;
    assert_eq!(
        (run["status"].as_str(), run["trust"].as_str()),
        (Some("succeeded"), Some("trusted")),
        "{run}"
    );
    let images: Vec<_> =
        run["images"].as_array().unwrap().iter().map(|i| i["reference"].as_str().unwrap()).collect();
    assert!(images[0].ends_with("/app:main") && images[1].ends_with(&format!("/app:{commit}")), "{images:?}");

    // The same again, under the same id and under another: no second run.
    assert!(story.deliver("push", "d1", &push).await < 300);
    assert_eq!(story.deliver("push", "d2", &push).await, 202);
    story.worked("d2").await;
    assert_eq!(story.runs().await.len(), 1, "one run for one push and task");

    let statuses = story.told(&story.git, 2).await;
    let path = format!("/api/v1/repos/repository/statuses/{commit}");
    assert!(statuses.iter().all(|status| status.target == path), "{statuses:?}");
    let last: Value = serde_json::from_slice(&statuses.last().unwrap().body).unwrap();
    assert_eq!(
        (last["state"].as_str(), last["context"].as_str()),
        (Some("success"), Some("slipway/app")),
        "{last}"
    );
    assert_eq!(statuses[0].header("authorization"), Some(&*format!("token {TOKEN}")));

    let told = story.told(&listener, 1).await;
    let header = |name: &str| told[0].header(name).unwrap().to_owned();
    let signed =
        [header("webhook-id").as_bytes(), b".", header("webhook-timestamp").as_bytes(), b".", &told[0].body]
            .concat();
    assert_eq!(header("webhook-signature"), format!("v1,{}", STANDARD.encode(hmac(KEY, &signed))));
    let event: Value = serde_json::from_slice(&told[0].body).unwrap();
    assert_eq!(
        (event["type"].as_str(), event["data"]["status"].as_str()),
        (Some("run.finished"), Some("succeeded"))
    );
    for secret in [TOKEN, BUILD_SECRET, story.hook["secret"].as_str().unwrap()] {
        assert!(
            !story.world.log().contains(secret) && !event.to_string().contains(secret),
            "a secret is shown"
        );
    }
}

/// Nobody signs what Azure DevOps sends: the branch is built as its repository has it, not as the delivery says.
#[tokio::test(flavor = "multi_thread")]
async fn what_azure_devops_hints_at_is_read_again_before_it_is_built() {
    let elsewhere = TestRepository::new();
    let listener = GitServer::start(&elsewhere);
    let story = Story::begin(&listener).await;
    let dockerfile = "ARG BASE\nFROM ${BASE}\nRUN echo made > /made\n";
    let before = story.repository.commit_to("main", &[("Dockerfile", dockerfile)]);
    let there = story.repository.commit_to("main", &[("Dockerfile", dockerfile), ("new", "file")]);
    let hook = story.post("hooks", json!({ "name": "azure", "host": "azure_devops" })).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    // One commit that never was, and one that is no longer the branch's.
    for (id, hinted) in [(1, &"1".repeat(40)), (2, &before)] {
        let hint = json!({ "subscriptionId": "s", "notificationId": id, "eventType": "git.push", "resource": {
            "refUpdates": [{ "name": "refs/heads/main", "oldObjectId": "0".repeat(40), "newObjectId": hinted }],
            "repository": { "name": "repository", "remoteUrl": story.git.url() } } });
        let request =
            client.post(hook["address"].as_str().unwrap()).basic_auth("any", hook["secret"].as_str());
        assert_eq!(request.json(&hint).send().await.unwrap().status(), 202);
        let delivery = story.worked(&format!("s:{id}")).await;
        let id = delivery["decisions"][0]["run"].as_str().unwrap_or_else(|| panic!("{delivery}")).to_owned();
        let run = story.world.ended(&story.url(&format!("runs/{id}"))).await;
        assert_eq!(
            (&run["status"], &run["revision"]["commit"]),
            (&"succeeded".into(), &json!(there)),
            "{run}"
        );
        assert_eq!(run["cause"].get("commit"), None, "nothing is claimed about it: {run}");
        let image = run["images"][1]["reference"].as_str().unwrap();
        assert!(image.ends_with(&format!("/app:{there}")), "{image}");
    }
}

/// GitHub sends 25 MB at most, and may send many at once: after a change to all repositories, for one.
#[tokio::test(flavor = "multi_thread")]
async fn many_of_the_largest_deliveries_at_once_take_bounded_memory() {
    const MANY: usize = 24;
    const MEBIBYTE: usize = 1 << 20;
    let world = World::start(Identity::Root).await;
    let hooks = format!("{}/v1/registries/local/hooks", world.server);
    let hook =
        world.http.post(hooks).json(&json!({ "name": "github", "host": "github" })).send().await.unwrap();
    let hook: Value = hook.json().await.unwrap();
    let mut body = json!({ "ref": "refs/heads/main", "after": "1".repeat(40) }).to_string().into_bytes();
    body.resize(25 * MEBIBYTE, b' ');
    let signature = hex::encode(hmac(hook["secret"].as_str().unwrap().as_bytes(), &body));
    let (body, server) = (bytes::Bytes::from(body), world.role("server")[0]);
    std::fs::write(format!("/proc/{server}/clear_refs"), "5").unwrap();
    let before = peak(server);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut deliveries = tokio::task::JoinSet::new();
    for id in 0..MANY {
        let request = client.post(hook["address"].as_str().unwrap()).body(body.clone());
        let request = request.header("x-github-event", "push").header("x-github-delivery", id.to_string());
        deliveries.spawn(delivered(request.header("x-hub-signature-256", format!("sha256={signature}"))));
    }
    deliveries.join_all().await;
    let grown = (peak(server) - before) / 1024;
    assert!(grown < 600, "{MANY} deliveries of 25 MiB took {grown} MiB");
}

/// Sends it until it is taken.
async fn delivered(request: reqwest::RequestBuilder) {
    loop {
        let answer = request.try_clone().unwrap().send().await.unwrap();
        match answer.status().as_u16() {
            202 => return,
            // There was no room for it in time.
            503 => assert!(answer.headers().contains_key("retry-after")),
            other => panic!("{other}: {}", answer.text().await.unwrap()),
        }
    }
}

/// Of a process, in KiB, since it was last forgotten.
fn peak(pid: i32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A step that shows what it is given, in a form that no mask knows.
const SHOWS: &str = "ARG BASE\nFROM ${BASE}\nRUN echo made > /made\n\
    RUN --mount=type=secret,id=npmrc,target=/given if [ -s /given ]; then busybox tr a-z b-za < /given; else echo given-nothing; fi\n";
/// [`BUILD_SECRET`] as that step shows it.
const SHOWN: &str = "oqn-u0lfo-pg-uif-ufbn";

/// A fork whose branch has the name of the one that is deployed from.
#[tokio::test(flavor = "multi_thread")]
async fn a_forks_pull_request_gets_no_secret_shares_no_cache_and_moves_no_tag() {
    let elsewhere = TestRepository::new();
    let listener = GitServer::start(&elsewhere);
    let story = Story::begin(&listener).await;
    let commit = story.repository.commit_to("main", &[("Dockerfile", SHOWS)]);
    story.deliver("push", "d1", &story.push(&"1".repeat(40), &commit)).await;
    let delivery = story.worked("d1").await;
    let trusted = delivery["decisions"][0]["run"].as_str().unwrap().to_owned();
    let trusted = story.url(&format!("runs/{trusted}"));
    let ended = story.world.ended(&trusted).await;
    let log = story.world.run_log(&trusted).await;
    assert_eq!(ended["status"], "succeeded", "{ended}\n{log}");
    assert!(log.contains(SHOWN), "a trusted run has it: {log}");
    let deployed = story.tag("main").await;

    let theirs = story.repository.commit_to("theirs", &[("Dockerfile", SHOWS)]);
    story.deliver("pull_request", "d2", &story.fork(&theirs)).await;
    let delivery = story.worked("d2").await;
    let id = delivery["decisions"][0]["run"].as_str().unwrap_or_else(|| panic!("{delivery}")).to_owned();
    assert!(delivery["summary"].as_str().unwrap().ends_with("untrusted: built, not pushed"), "{delivery}");
    let address = story.url(&format!("runs/{id}"));
    let run = story.world.ended(&address).await;
    assert_eq!(
        (run["status"].as_str(), run["trust"].as_str(), &run["images"]),
        (Some("succeeded"), Some("untrusted"), &json!([])),
        "{run}"
    );
    let log = story.world.run_log(&address).await;
    assert!(log.contains("given-nothing") && !log.contains(SHOWN), "{log}");
    assert!(log.contains("RUN echo made") && !log.contains("CACHED"), "its cache is its own: {log}");
    assert_eq!(story.tag("main").await, deployed, "what is deployed is what was");
    assert_eq!(story.tag(&theirs).await, None);
}
