//! What deliveries that a stranger has a part in lead to: other repositories, and pull requests of forks.

use std::time::Duration;

use model::Trust;
use serde_json::{Value, json};

use crate::world::{World, json_of};

const COMMIT: &str = "bffeb74224043ba2feb48d137756c8a9331c449a";

/// A task of a repository on GitLab, and a hook.
pub(crate) struct Story {
    pub(crate) world: World,
    hook: Value,
}

impl Story {
    pub(crate) async fn begin(repositories: &[&str]) -> Self {
        let world = World::new().await;
        let task = json!({
            "name": "app",
            "build": {
                "source": "https://gitlab.example.com/team/app.git",
                "images": ["app:latest", "app:{{.Run.Branch}}"],
            },
            "triggers": [{ "type": "commit" }, { "type": "pull_request" }],
        });
        assert_eq!(world.post("/v1/registries/local/tasks").json(&task).send().await.unwrap().status(), 201);
        let hook = json!({ "name": "gitlab", "host": "gitlab", "repositories": repositories });
        let hook = json_of(world.post("/v1/registries/local/hooks").json(&hook)).await;
        Self { world, hook }
    }

    /// Delivers as GitLab does; answers what became of it.
    pub(crate) async fn deliver(&self, id: &str, event: &str, body: &Value) -> Value {
        let address = self.hook["address"].as_str().unwrap().rsplit_once("/hooks/").unwrap().1;
        let request = self.world.post(&format!("/hooks/{address}"));
        let request = request
            .header("x-gitlab-token", self.hook["secret"].as_str().unwrap())
            .header("x-gitlab-event", event)
            .header("idempotency-key", id);
        assert_eq!(request.json(body).send().await.unwrap().status(), 202);
        self.worked(id).await
    }

    /// What became of the delivery that its sender calls so.
    pub(crate) async fn worked(&self, id: &str) -> Value {
        let look = async {
            loop {
                let list = json_of(self.world.get("/v1/registries/local/deliveries")).await;
                let all = list["deliveries"].as_array().unwrap().clone();
                let found = all.into_iter().find(|delivery| delivery["sender_id"] == id).unwrap();
                if found["status"] != "received" {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), look).await.expect("it is worked off")
    }

    pub(crate) async fn run_of(&self, delivery: &Value) -> Value {
        let run = delivery["decisions"][0]["run"].as_str().unwrap_or_else(|| panic!("{delivery}"));
        json_of(self.world.get(&format!("/v1/registries/local/runs/{run}"))).await
    }
}

fn project(name: &str) -> Value {
    json!({
        "id": 15, "path_with_namespace": name, "default_branch": "main",
        "git_http_url": format!("https://gitlab.example.com/{name}.git"),
        "git_ssh_url": format!("git@gitlab.example.com:{name}.git"),
    })
}

pub(crate) fn push(name: &str) -> Value {
    let before = "28e1879d029cb852e4844d9c718537df08844e03";
    json!({ "ref": "refs/heads/main", "before": before, "after": COMMIT, "checkout_sha": COMMIT, "project": project(name),
        "commits": [], "total_commits_count": 0 })
}

/// A merge request to `main`, out of a branch of that project.
pub(crate) fn merge_request(source_project: u32, branch: &str) -> Value {
    json!({ "project": project("team/app"), "user": { "id": 51, "username": "stranger" }, "object_attributes": {
        "iid": 7, "action": "open", "author_id": 51, "source_branch": branch, "target_branch": "main",
        "source_project_id": source_project, "target_project_id": 15, "last_commit": { "id": COMMIT } } })
}

fn references(run: &Value) -> Vec<&str> {
    run["images"].as_array().unwrap().iter().map(|image| image["reference"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_forks_pull_request_is_built_and_pushed_under_no_name_whatever_its_branch_is_called() {
    let story = Story::begin(&[]).await;
    let delivery = story.deliver("1", "Merge Request Hook", &merge_request(16, "main")).await;
    let words = "pull request 7 to main, untrusted: built, not pushed";
    assert_eq!(delivery["decisions"][0]["reason"], words, "{delivery}");
    assert!(
        delivery["summary"].as_str().unwrap().ends_with(&format!("matched task app: {words}")),
        "{delivery}"
    );
    let run = story.run_of(&delivery).await;
    assert_eq!((run["trust"].as_str(), references(&run)), (Some("untrusted"), vec![]), "{run}");
    assert_eq!((&run["cause"]["reason"], &run["spec"]["images"]), (&json!(words), &json!([])), "{run}");
    let leased = story.world.lease().await;
    assert!(leased.spec.images.is_empty(), "its worker hands nothing on");
    let trust = story.world.db.text("SELECT string_agg(trust, ' ') FROM slipway.runs").await;
    assert_eq!(trust.as_deref(), Some(Trust::Untrusted.as_str()));
}

#[tokio::test]
async fn a_pull_request_out_of_the_same_repository_is_pushed_by_its_branchs_name() {
    let story = Story::begin(&[]).await;
    let delivery = story.deliver("1", "Merge Request Hook", &merge_request(15, "mine")).await;
    let run = story.run_of(&delivery).await;
    assert_eq!(run["trust"], "trusted", "{run}");
    assert_eq!(references(&run), ["127.0.0.1:5000/app:latest", "127.0.0.1:5000/app:mine"]);
}

#[tokio::test]
async fn a_hook_brings_events_of_its_repositories_alone() {
    let story = Story::begin(&["https://gitlab.example.com/team/other"]).await;
    let kept_out = story.deliver("1", "Push Hook", &push("team/app")).await;
    assert_eq!(kept_out["status"], "ignored");
    let summary = kept_out["summary"].as_str().unwrap();
    assert!(summary.ends_with("the hook `gitlab` is not for this repository"), "{summary}");
    assert!(
        json_of(story.world.get("/v1/registries/local/runs")).await["runs"].as_array().unwrap().is_empty()
    );

    let widened = json!({ "repositories": ["https://gitlab.example.com/team/other", "https://gitlab.example.com/team/app"] });
    let hook = story.world.url("/v1/registries/local/hooks/gitlab");
    assert_eq!(story.world.http.patch(hook).json(&widened).send().await.unwrap().status(), 200);
    let let_in = story.deliver("2", "Push Hook", &push("team/app")).await;
    assert_eq!(references(&story.run_of(&let_in).await)[1], "127.0.0.1:5000/app:main");
}
