//! What the page asks the API for: lists by branch, commit and cause, across registries; numbers; who moves;
//! once more.

use model::{Cause, DeliveryId, GitHost, HookEvent, Role, SourceSpec, Trust};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{World, client, json_of, problem, token};

const COMMIT: &str = "3f786850e387550fdab836ed7e6dc881de23001b";

/// A run that a push or a fork's pull request started; its id.
async fn started(world: &World, registry: &str, cause: fn(HookEvent) -> Cause) -> String {
    started_with(world, registry, None, cause).await
}

/// The same, with a source credential.
async fn started_with(
    world: &World,
    registry: &str,
    credential: Option<&str>,
    cause: fn(HookEvent) -> Cause,
) -> String {
    let source = SourceSpec::parse_git("https://example.com/team/app.git").unwrap();
    let mut new = database::NewRun::quick(registry, model::BuildSpec::new(source));
    new.spec.source_credential = credential.map(str::to_owned);
    new.cause = cause(HookEvent {
        hook: "hook".to_owned(),
        host: GitHost::Github,
        delivery: DeliveryId(Uuid::now_v7()),
        commit: Some(COMMIT.to_owned()),
        reason: "branch main".to_owned(),
    });
    let id = new.id.to_string();
    world.db.server.create_run(new).await.unwrap();
    id
}

fn push(event: HookEvent) -> Cause {
    Cause::Commit {
        event,
        reference: "refs/heads/release/1".to_owned(),
        pusher: Some("ann".to_owned()),
        rerun: None,
    }
}

fn fork(event: HookEvent) -> Cause {
    let [source_branch, target_branch] = ["fix", "main"].map(str::to_owned);
    Cause::PullRequest {
        event,
        number: 7,
        source_branch,
        target_branch,
        is_fork: true,
        author: None,
        rerun: None,
    }
}

fn ids(page: &Value) -> Vec<&str> {
    page["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn runs_are_found_by_branch_commit_and_cause() {
    let world = World::new().await;
    let asked = world.submit().await.rsplit('/').next().unwrap().to_owned();
    let pushed = started(&world, "local", push).await;
    let proposed = started(&world, "local", fork).await;
    let runs = "/v1/registries/local/runs";
    for (query, found) in [
        ("branch=release%2F1", vec![&pushed]),
        ("branch=refs%2Fheads%2Frelease%2F1", vec![&pushed]),
        ("branch=main", vec![&asked]),
        ("branch=fix", vec![&proposed]),
        ("branch=rel", vec![]),
        ("commit=3F7868", vec![&proposed, &pushed]),
        ("commit=3f7869", vec![]),
        ("cause=manual", vec![&asked]),
        ("cause=pull_request&commit=3f78", vec![&proposed]),
    ] {
        let page = json_of(world.get(&format!("{runs}?{query}"))).await;
        assert_eq!(ids(&page), found, "{query}: {page}");
    }
    let first = world.get(&format!("{runs}?commit=3f78&limit=1")).send().await.unwrap();
    let link = first.headers()["link"].to_str().unwrap().to_owned();
    let next = link.strip_prefix('<').unwrap().split_once('>').unwrap().0;
    assert_eq!(ids(&json_of(world.get(next)).await), [&pushed], "the filter goes with the pages: {link}");
    for bad in ["cause=timer", "commit=3f7", "commit=xyzw"] {
        let (status, kind, said) = problem(world.get(&format!("{runs}?{bad}")).send().await.unwrap()).await;
        assert_eq!((status, kind.as_str()), (400, "parameter_invalid"), "{bad}: {said}");
    }
}

#[tokio::test]
async fn one_list_has_the_runs_of_every_registry_that_the_token_sees() {
    let world = World::new().await;
    world.db.server.upsert_registry("other", "127.0.0.1:5001", true).await.unwrap();
    let mut made = Vec::new();
    for registry in ["local", "other", "local", "other", "other"] {
        made.insert(0, started(&world, registry, push).await);
    }
    let (mut seen, mut next) = (Vec::new(), "/v1/runs?limit=2".to_owned());
    loop {
        let page = json_of(world.get(&next)).await;
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("/v1/runs?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, made);
    let other = client(Some(&token(&world.db, Role::Reader, Some("other")).await));
    let page: Value = other.get(world.url("/v1/runs")).send().await.unwrap().json().await.unwrap();
    assert!(page["runs"].as_array().unwrap().iter().all(|run| run["registry"] == "other"), "{page}");
    assert_eq!(ids(&page).len(), 3);
    let numbers: Value = other.get(world.url("/v1/statistics")).send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (&numbers["queue"]["queued"], &numbers["last_day"]["asked"]),
        (&3.into(), &3.into()),
        "{numbers}"
    );
}

#[tokio::test]
async fn the_numbers_are_those_of_the_queue_and_the_day() {
    let world = World::new().await;
    for _ in 0..3 {
        world.submit().await;
    }
    world.fail(&world.lease().await, false).await;
    let old = world.submit().await.rsplit('/').next().unwrap().to_owned();
    // Its id says when it was made.
    world.db.execute(&format!("UPDATE slipway.runs SET task = NULL WHERE id = '{old}'")).await;
    let _started = world.lease().await;
    world
        .db
        .execute(
            "UPDATE slipway.run_queue SET queued_at = now() - interval '90 seconds' WHERE status = 'queued'",
        )
        .await;
    let numbers = json_of(world.get("/v1/statistics")).await;
    let queue = &numbers["queue"];
    assert_eq!(
        (&queue["queued"], &queue["started"], &queue["publishing"]),
        (&2.into(), &1.into(), &0.into())
    );
    assert!((90..95).contains(&queue["oldest_seconds"].as_i64().unwrap()), "{numbers}");
    assert_eq!((&numbers["workers"]["alive"], &numbers["workers"]["slots"]), (&1.into(), &2.into()));
    assert_eq!((&numbers["last_day"]["asked"], &numbers["last_day"]["failed"]), (&4.into(), &1.into()));
    let front = world.get("/").send().await.unwrap().text().await.unwrap();
    assert!(front.contains("the oldest for 1 min 3"), "{front}");
}

#[tokio::test]
async fn whoever_shows_a_list_is_told_which_runs_move_and_no_others() {
    let world = World::new().await;
    world.db.server.upsert_registry("other", "127.0.0.1:5001", true).await.unwrap();
    let reader = client(Some(&token(&world.db, Role::Reader, Some("other")).await));
    let events = reader.get(world.url("/v1/runs")).header("accept", "text/event-stream");
    let mut events = events.send().await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let elsewhere = started(&world, "local", push).await;
    let here = started(&world, "other", push).await;
    let mut heard = String::new();
    while !heard.contains(&here) {
        heard.push_str(str::from_utf8(&events.chunk().await.unwrap().unwrap()).unwrap());
    }
    assert!(
        heard.contains(&format!(r#"{{"registry":"other","run":"{here}","status":"queued"}}"#)),
        "{heard}"
    );
    assert!(!heard.contains(&elsewhere), "{heard}");
}

#[tokio::test]
async fn who_is_told_of_runs_is_told_no_more_when_the_token_ends() {
    let config = server::Config { ping: std::time::Duration::from_millis(50), ..server::Config::default() };
    let world = World::with(config).await;
    let reader = client(Some(&token(&world.db, Role::Reader, None).await));
    let events = reader.get(world.url("/v1/runs")).header("accept", "text/event-stream");
    let mut events = events.send().await.unwrap();
    world.db.execute("DELETE FROM slipway.tokens WHERE name = 'reader-all'").await;
    let end = async { while events.chunk().await.unwrap().is_some() {} };
    tokio::time::timeout(std::time::Duration::from_secs(30), end).await.expect("the stream ends");
}

#[tokio::test]
async fn a_run_done_once_more_is_the_same_build_for_the_same_reason() {
    let world = World::new().await;
    let git = json!({ "kind": "git", "secret": "not-a-real-one" });
    let git = world.http.put(world.url("/v1/registries/local/credentials/git")).json(&git);
    git.send().await.unwrap().error_for_status().unwrap();
    let first = started_with(&world, "local", Some("git"), push).await;
    world.fail(&world.lease().await, false).await;
    let contributor = client(Some(&token(&world.db, Role::Contributor, None).await));
    let rerun =
        |run: &str| contributor.post(world.url(&format!("/v1/registries/local/runs/{run}/rerun"))).send();
    let again = rerun(&first).await.unwrap();
    assert_eq!(again.status(), 201);
    let again: Value = again.json().await.unwrap();
    let before = json_of(world.get(&format!("/v1/registries/local/runs/{first}"))).await;
    assert_eq!((&again["spec"], &again["trust"]), (&before["spec"], &before["trust"]));
    assert_ne!(again["id"], before["id"]);
    assert_eq!(again["cause"]["rerun"]["of"], first.as_str());
    assert_eq!(again["cause"]["rerun"]["by"], "contributor-all");
    assert_eq!(
        (&again["cause"]["ref"], &again["cause"]["commit"]),
        (&"refs/heads/release/1".into(), &COMMIT.into())
    );
    let told = world.db.text("SELECT count(*)::text FROM slipway.outbox WHERE kind = 'commit_status'").await;
    assert_eq!(told.as_deref(), Some("2"), "the git host is told of both");

    let strangers = started(&world, "local", fork).await;
    let again: Value = rerun(&strangers).await.unwrap().json().await.unwrap();
    assert_eq!(again["trust"].as_str(), Some(Trust::Untrusted.as_str()), "a fork's stays a fork's: {again}");
    let (status, kind, _) = problem(rerun(&Uuid::nil().to_string()).await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (404, "run_not_found"));
}

#[tokio::test]
async fn a_run_is_done_once_more_though_its_task_is_gone() {
    let world = World::new().await;
    let tasks = world.url("/v1/registries/local/tasks");
    let source = json!({ "type": "git", "url": "https://example.com/a.git", "ref": "main" });
    let build = json!({ "source": source, "images": ["team/{{.Run.TaskName}}:1"] });
    let made = world.http.post(&tasks).json(&json!({ "name": "gone", "build": build })).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let run = json_of(world.http.post(format!("{tasks}/gone/runs")).json(&json!({}))).await;
    assert_eq!(world.http.delete(format!("{tasks}/gone")).send().await.unwrap().status(), 204);
    let run = world.url(&format!("/v1/registries/local/runs/{}", run["id"].as_str().unwrap()));
    let again = world.http.post(format!("{run}/rerun")).send().await.unwrap();
    assert_eq!(again.status(), 201, "{}", again.text().await.unwrap());
    let again: Value = again.json().await.unwrap();
    assert!(
        again["spec"]["images"].to_string().contains("team/gone:1")
            || again["images"].to_string().contains("team/gone:1"),
        "{again}"
    );
}

/// A run of once is no way around what a task says now.
#[tokio::test]
async fn a_submitter_does_a_run_once_more_only_as_its_task_is_saved_now() {
    let world = World::new().await;
    let git = world.http.put(world.url("/v1/registries/local/credentials/git"));
    git.json(&json!({ "kind": "git", "secret": "not-a-real-one" })).send().await.unwrap();
    let build = json!({ "source": "https://example.com/team/app.git#main", "source_credential": "git" });
    let task = json!({ "name": "app", "build": build });
    assert_eq!(world.post("/v1/registries/local/tasks").json(&task).send().await.unwrap().status(), 201);
    let app = world.db.server.get_task("local", "app").await.unwrap().unwrap();
    // As the inbox does: at the commit of the push.
    let mut pushed = database::NewRun::quick("local", app.spec.build.clone());
    if let SourceSpec::Git { reference, .. } = &mut pushed.spec.source {
        *reference = Some(COMMIT.to_owned());
    }
    pushed.task = Some((app.id, app.name.clone()));
    pushed.cause = push(HookEvent {
        hook: "hook".to_owned(),
        host: GitHost::Github,
        delivery: DeliveryId(Uuid::now_v7()),
        commit: Some(COMMIT.to_owned()),
        reason: "branch main".to_owned(),
    });
    let pushed = {
        let id = pushed.id;
        world.db.server.create_run(pushed).await.unwrap();
        id
    };
    let asked = json_of(world.post("/v1/registries/local/tasks/app/runs").json(&json!({}))).await;
    let runs = [pushed.to_string(), asked["id"].as_str().unwrap().to_owned()];
    let submitter = client(Some(&token(&world.db, Role::Submitter, None).await));
    let rerun = |run: &str, key: Option<&str>| {
        let request = submitter.post(world.url(&format!("/v1/registries/local/runs/{run}/rerun")));
        key.into_iter().fold(request, |request, key| request.header("idempotency-key", key)).send()
    };
    for run in &runs {
        assert_eq!(rerun(run, None).await.unwrap().status(), 201, "the task is as it was");
    }
    let first = rerun(&runs[0], Some("k")).await.unwrap();
    let again = rerun(&runs[0], Some("k")).await.unwrap();
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(
        first.headers()["location"],
        again.headers()["location"],
        "an answer that was lost makes no second run"
    );
    assert_eq!(problem(rerun(&runs[1], Some("k")).await.unwrap()).await.1, "idempotency_key_reused");

    let path = world.url("/v1/registries/local/tasks/app");
    let patch = json!({ "build": { "dockerfile": "Safe" } });
    assert_eq!(world.http.patch(&path).json(&patch).send().await.unwrap().status(), 200);
    for run in &runs {
        let (status, kind, said) = problem(rerun(run, None).await.unwrap()).await;
        assert_eq!((status, kind.as_str()), (403, "role_too_small"), "{said}");
    }
    assert_eq!(rerun(&runs[0], Some("k")).await.unwrap().status(), 201, "what was made is made");
    world.http.delete(&path).send().await.unwrap();
    assert_eq!(rerun(&runs[0], None).await.unwrap().status(), 403, "the task is gone");
    let contributor = client(Some(&token(&world.db, Role::Contributor, None).await));
    let path = world.url(&format!("/v1/registries/local/runs/{}/rerun", runs[0]));
    assert_eq!(contributor.post(path).send().await.unwrap().status(), 201);
}
