//! Git hosts deliver to the real router: each story once, for every host in the table of senders.

mod bodies;
pub(crate) mod senders;
mod stories;

use std::time::Duration;

use model::Role;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use server::Config;

use crate::world::{World, client, json_of, token};
use senders::{SENDERS, Sender, Sent};

/// How long a delivery may take to be worked off before the story has failed.
const LIMIT: Duration = Duration::from_secs(30);

/// A service with a registry for each sender: a hook there, and a task of the repository that its fixtures tell of.
pub(crate) struct Desk {
    pub(crate) world: World,
    hooks: Vec<(Value, &'static Sender)>,
    /// A git host has no token.
    stranger: reqwest::Client,
}

/// A hook as its git host knows it.
#[derive(Clone, Copy)]
pub(crate) struct Hook<'a> {
    desk: &'a Desk,
    pub(crate) sender: &'static Sender,
    pub(crate) address: &'a str,
    pub(crate) secret: &'a str,
}

impl Desk {
    pub(crate) async fn open() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let world = World::with(Config { work_every: Duration::from_millis(100), ..config }).await;
        let mut hooks = Vec::new();
        for sender in &SENDERS {
            let registry = json!({ "name": sender.name, "address": format!("{}.example", sender.name) });
            made(world.post("/v1/registries").json(&registry)).await;
            let path = format!("/v1/registries/{}", sender.name);
            let task = json!({
                "name": "app",
                "build": { "source": sender.repository, "images": ["team/app:{{.Run.Branch}}"] },
                "triggers": [{ "type": "commit", "branches": ["main", "feature/**", "topic"] }],
            });
            made(world.post(&format!("{path}/tasks")).json(&task)).await;
            let hook = json!({ "name": "hook", "host": sender.host });
            hooks.push((made(world.post(&format!("{path}/hooks")).json(&hook)).await, sender));
        }
        Self { world, hooks, stranger: client(None) }
    }

    pub(crate) fn hooks(&self) -> impl Iterator<Item = Hook<'_>> {
        self.hooks.iter().map(|(hook, sender)| Hook {
            desk: self,
            sender,
            address: hook["address"].as_str().unwrap(),
            secret: hook["secret"].as_str().unwrap(),
        })
    }

    pub(crate) async fn count(&self, table: &str) -> String {
        self.world.db.text(&format!("SELECT count(*)::text FROM slipway.{table}")).await.unwrap()
    }
}

impl Hook<'_> {
    /// A fixture, under an id of the sender's, signed with the hook's secret.
    pub(crate) fn sent(&self, fixture: &str, id: u32) -> Sent {
        self.sender.sent(fixture, id).signed(self.secret)
    }

    pub(crate) fn request(&self, sent: &Sent) -> RequestBuilder {
        let request = self.desk.stranger.post(self.address).body(sent.body.clone());
        sent.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    pub(crate) async fn deliver(&self, sent: &Sent) -> Response {
        self.request(sent).send().await.unwrap()
    }

    /// What became of a delivery, by the answer that it got.
    pub(crate) async fn worked(&self, answer: Response) -> Value {
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{}: {status} {answer}", self.sender.name);
        let path = format!("deliveries/{}", answer["delivery"].as_str().unwrap());
        let look = async {
            loop {
                let delivery = self.get(&path).await;
                if delivery["status"] != "received" {
                    return delivery;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, look).await.expect("it is worked off")
    }

    /// Something of the hook's registry.
    pub(crate) async fn get(&self, path: &str) -> Value {
        json_of(self.desk.world.get(&format!("/v1/registries/{}/{path}", self.sender.name))).await
    }

    pub(crate) async fn runs(&self) -> Vec<Value> {
        self.get("runs").await["runs"].as_array().unwrap().clone()
    }
}

async fn made(request: RequestBuilder) -> Value {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(status, 201, "{body}");
    body
}

/// A reader sees deliveries, but no secret.
#[tokio::test]
async fn what_is_kept_of_a_delivery_holds_no_secret() {
    let desk = Desk::open().await;
    let reader = client(Some(&token(&desk.world.db, Role::Reader, None).await));
    for hook in desk.hooks() {
        let sent = hook.sent("push-to-branch", 1);
        let sent = sent.with("x-api-key", "key-of-a-gateway").with("x-custom-token", "key-of-a-gateway");
        let delivery = hook.worked(hook.deliver(&sent).await).await;
        let path =
            format!("/v1/registries/{}/deliveries/{}", hook.sender.name, delivery["id"].as_str().unwrap());
        let shown = reader.get(desk.world.url(&path)).send().await.unwrap().text().await.unwrap();
        assert!(shown.contains("refs/heads/main") && shown.contains("content-type"), "{shown}");
        assert!(!shown.contains("key-of-a-gateway") && !shown.contains("x-api-key"), "{shown}");
        let (encoded, plain) = (hook.sender.encoded(hook.secret), hook.secret);
        assert!(!shown.contains(plain) && !shown.contains(&encoded), "{}: {shown}", hook.sender.name);
    }
}
