//! What is said of a run: which of its tags were pushed, whose state it is at the host, and who did not hear.

use serde_json::{Value, json};
use test_support::FakeGitHost;

use crate::hooks::senders::AFTER;
use crate::reports::{Story, TASKS, TOKEN, notify, states, until};
use crate::world::json_of;

/// A run whose tags a newer one has did not deploy, and whoever waits for it is told so.
#[tokio::test]
async fn whose_tags_a_newer_run_has_is_said_to_the_host_and_to_receivers() {
    let (host, listener) = (FakeGitHost::github(TOKEN).await, FakeGitHost::receiver().await);
    let notify = json!([{ "url": listener.url("told"), "credential": "ours", "events": ["run.finished"] }]);
    let story = Story::begin("github", &host, notify).await;
    let images = json!({ "build": { "images": ["app:1", "app:latest"] } });
    let task = story.world.http.patch(story.world.url(&format!("{TASKS}/app"))).json(&images).send();
    assert_eq!(task.await.unwrap().status(), 200);
    let newer = uuid::Uuid::now_v7();
    for (id, which, words) in [
        (1, "tag = 'latest'", "The image is built and pushed; a newer run has 1 of its 2 tags."),
        (2, "true", "The image is built; a newer run has the tags."),
        (3, "false", "The image is built and pushed."),
    ] {
        let path = story.push(id, &format!("{id}").repeat(40)).await;
        let run = path.rsplit('/').next().unwrap();
        story.world.build(&story.world.lease().await).await;
        let skip = format!(
            "UPDATE slipway.publication_images i SET superseded_by = '{newer}' FROM slipway.publications p
             WHERE p.id = i.publication_id AND p.run_id = '{run}' AND {which};
             UPDATE slipway.runs SET status = 'succeeded', finished_at = now(), digest = '{}' WHERE id = '{run}';
             DELETE FROM slipway.run_queue WHERE run_id = '{run}'",
            crate::world::digest('1')
        );
        story.world.db.execute(&skip).await;
        let told = until(async || Some(listener.requests()).filter(|told| told.len() == id as usize)).await;
        let event: Value = serde_json::from_slice(&told.last().unwrap().body).unwrap();
        let shown = json_of(story.world.get(&path)).await;
        assert_eq!(event["data"]["images"], shown["images"], "as REST shows them: {event}");
        let skipped = shown["images"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|image| image["tag_skipped"]["superseded_by"] == newer.to_string())
            .count();
        assert_eq!(skipped, [1, 2, 0][id as usize - 1], "{shown}");
        until(async || host.states().last().filter(|state| state.description == words).map(drop)).await;
    }
}

/// A host keeps one state of a context and commit. Who proposes a commit that is pushed already takes no state from it.
#[tokio::test]
async fn a_pull_request_has_a_context_of_its_own_and_a_strangers_one_for_itself() {
    let host = FakeGitHost::github(TOKEN).await;
    let story = Story::begin("github", &host, json!([])).await;
    let triggers = json!({ "triggers": [{ "type": "commit" }, { "type": "pull_request" }] });
    let task = story.world.http.patch(story.world.url(&format!("{TASKS}/app"))).json(&triggers).send();
    assert_eq!(task.await.unwrap().status(), 200);
    story.push(1, AFTER).await;
    story.send("pull-request-from-fork", 2, AFTER, |body| body).await;
    // The same, out of the repository itself.
    let own = |body: String| {
        let mut body: Value = serde_json::from_str(&body).unwrap();
        body["pull_request"]["head"]["repo"]["id"] = body["pull_request"]["base"]["repo"]["id"].clone();
        let ours = json!(8);
        (body["number"], body["pull_request"]["number"]) = (ours.clone(), ours);
        body.to_string()
    };
    story.send("pull-request-from-fork", 3, AFTER, own).await;
    let told = states(&host, 3).await;
    let mut contexts: Vec<_> = told.iter().map(|state| (&*state.commit, &*state.context)).collect();
    contexts.sort_unstable();
    assert_eq!(
        contexts,
        [
            (AFTER, "slipway/app"),
            (AFTER, "slipway/app (pull request 7)"),
            (AFTER, "slipway/app (pull request)")
        ]
    );
}

/// What was not heard stands with the run, and not in the service's log alone.
#[tokio::test]
async fn who_did_not_hear_is_shown_with_the_run_and_no_address_of_a_receiver() {
    let (host, listener) = (FakeGitHost::github("another").await, FakeGitHost::receiver().await);
    let story = Story::begin("github", &host, json!([notify(&listener, "told?key=hushhush")])).await;
    listener.prepare([(500, vec![])]);
    let path = story.push(1, AFTER).await;
    let run = until(async || {
        let run = json_of(story.world.get(&path)).await;
        let tried = |report: &Value| report["state"] == "given_up" || report["attempts"] == 1;
        let reports = run["reports"].as_array().filter(|reports| reports.iter().all(tried));
        reports.is_some().then_some(run.clone())
    })
    .await;
    let of = |kind: &str| {
        let reports = run["reports"].as_array().unwrap();
        reports.iter().find(|report| report["kind"] == kind).unwrap_or_else(|| panic!("{run}")).clone()
    };
    let (status, webhook) = (of("commit_status"), of("webhook"));
    assert_eq!((&status["state"], &webhook["state"]), (&json!("given_up"), &json!("waiting")));
    assert!(status["last_error"].as_str().unwrap().contains("401"), "{status}");
    assert!(webhook["last_error"].as_str().unwrap().contains("500") && webhook["next_try_at"].is_string());
    assert_eq!(webhook["host"], listener.url("").trim_start_matches("http://").trim_end_matches('/'));
    assert!(!run["reports"].to_string().contains("hushhush") && !run.to_string().contains(TOKEN), "{run}");
    let page = story.world.get(&path.replace("/v1/", "/")).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("given up after 1 try") && page.contains("not heard in 1 try"), "{page}");
    assert!(!page.contains("hushhush"));
}
