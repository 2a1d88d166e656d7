//! Registries, credentials and tasks.

use serde_json::{Value, json};

use model::Role;

use crate::world::{World, client, json_of, problem, token};

const SECRET: &str = "hunter2-very-secret";

#[tokio::test]
async fn a_secret_goes_in_and_never_comes_out() {
    let world = World::new().await;
    let path = "/v1/registries/local/credentials/github";
    let put = |body: Value| world.http.put(world.url(path)).json(&body);
    let kept = json_of(put(json!({ "kind": "git", "username": "ci", "secret": SECRET }))).await;
    assert_eq!((kept["kind"].as_str(), kept["username"].as_str()), (Some("git"), Some("ci")));
    let shown =
        [kept, json_of(world.get(path)).await, json_of(world.get("/v1/registries/local/credentials")).await];
    assert!(!format!("{shown:?}").contains(SECRET));
    let row =
        world.db.text("SELECT encode(sealed, 'escape') || c::text FROM slipway.credentials c").await.unwrap();
    assert!(!row.contains(SECRET), "it is sealed in the database");

    for (body, field) in [
        (json!({ "kind": "webhook", "secret": "short" }), "secret"),
        (json!({ "kind": "git", "secret": "" }), "secret"),
        (json!({ "kind": "build", "username": "x", "secret": SECRET }), "username"),
    ] {
        let (status, kind, problem) = problem(put(body).send().await.unwrap()).await;
        assert_eq!(
            (status, kind.as_str(), problem["field"].as_str()),
            (422, "credential_invalid", Some(field))
        );
        assert!(!problem.to_string().contains(SECRET));
    }
    // A body that can't be read is not repeated in the answer either.
    let broken = put(json!({ "kind": "git", "secret": SECRET, "sekret": SECRET })).send().await.unwrap();
    assert!(!problem(broken).await.2.to_string().contains(SECRET));
    assert_eq!(world.http.delete(world.url(path)).send().await.unwrap().status(), 204);
    assert_eq!(problem(world.get(path).send().await.unwrap()).await.1, "credential_not_found");
}

#[tokio::test]
async fn a_registry_is_added_changed_and_removed() {
    let world = World::new().await;
    let new =
        json!({ "name": "prod", "address": "team.azurecr.io", "sign_in": { "type": "managed_identity" } });
    let made = world.post("/v1/registries").json(&new).send().await.unwrap();
    assert_eq!(made.status(), 201);
    assert_eq!(
        problem(world.post("/v1/registries").json(&new).send().await.unwrap()).await.1,
        "already_exists"
    );
    let patch = async |body: Value| {
        world.http.patch(world.url("/v1/registries/prod")).json(&body).send().await.unwrap()
    };
    let (status, _, said) = problem(patch(json!({ "address": "https://team.azurecr.io/" })).await).await;
    assert_eq!(
        (status, said["field"].as_str(), said["hint"].as_str()),
        (422, Some("address"), Some("Write `team.azurecr.io`."))
    );
    let (status, _, said) =
        problem(patch(json!({ "sign_in": { "type": "basic", "credential": "none" } })).await).await;
    assert_eq!((status, said["field"].as_str()), (422, Some("sign_in.credential")), "{said}");
    let changed: Value = patch(json!({ "sign_in": null })).await.json().await.unwrap();
    assert_eq!(changed["sign_in"]["type"], "anonymous");
    assert_eq!(world.http.delete(world.url("/v1/registries/prod")).send().await.unwrap().status(), 204);
    world.submit().await;
    let kept = world.http.delete(world.url("/v1/registries/local")).send().await.unwrap();
    assert_eq!(problem(kept).await.1, "in_use");
}

fn task() -> Value {
    json!({
        "name": "app",
        "build": { "source": "https://example.com/team/app.git#main", "images": ["team/app:{{.Run.ID}}", "team/app:{{.Run.Branch}}"] },
        "triggers": [{ "type": "commit", "branches": ["main", "release/*"] }],
    })
}

#[tokio::test]
async fn a_task_is_made_shown_listed_changed_and_removed() {
    let world = World::new().await;
    let tasks = "/v1/registries/local/tasks";
    let made = world.post(tasks).json(&task()).send().await.unwrap();
    assert_eq!((made.status().as_u16(), made.headers()["etag"].to_str().unwrap()), (201, "\"1\""));
    assert_eq!(problem(world.post(tasks).json(&task()).send().await.unwrap()).await.1, "already_exists");
    let app = format!("{tasks}/app");
    let patch = world
        .http
        .patch(world.url(&app))
        .header("if-match", "\"1\"")
        .json(&json!({ "build": { "target": "prod" } }));
    let changed: Value = patch.send().await.unwrap().json().await.unwrap();
    assert_eq!((changed["version"].as_i64(), changed["build"]["target"].as_str()), (Some(2), Some("prod")));
    assert_eq!(changed["triggers"][0]["branches"][1], "release/*", "what the patch does not name stays");
    let stale =
        world.http.patch(world.url(&app)).header("if-match", "\"1\"").json(&json!({ "enabled": false }));
    let (status, kind, _) = problem(stale.send().await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (412, "outdated"));
    for (wrong, field) in [
        (json!({ "build": { "images": ["app:{{.Run.Id}}"] } }), "build.images"),
        (json!({ "build": { "images": ["app-{{.Run.Commit}}:1"] } }), "build.images"),
        (json!({ "build": { "source_credential": "none" } }), "build.source_credential"),
        (json!({ "triggers": [{ "type": "commit", "branches": ["!main"] }] }), "triggers[0].branches[0]"),
        (json!({ "notify": [{ "url": "ftp://x", "credential": "none" }] }), "notify[0].url"),
        (json!({ "build": { "source": { "type": "upload", "id": uuid::Uuid::nil() } } }), "build.source"),
    ] {
        let answer = world.http.patch(world.url(&app)).json(&wrong).send().await.unwrap();
        let (status, kind, said) = problem(answer).await;
        assert_eq!(
            (status, kind.as_str(), said["field"].as_str()),
            (422, "task_invalid", Some(field)),
            "{said}"
        );
    }
    for name in ["b", "c", "d"] {
        let other = json!({ "name": name, "build": { "source": "https://example.com/a.git" } });
        assert_eq!(world.post(tasks).json(&other).send().await.unwrap().status(), 201);
    }
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = json_of(world.get(&format!("{tasks}?limit=2{cursor}"))).await;
        names.extend(
            page["tasks"].as_array().unwrap().iter().map(|task| task["name"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["app", "b", "c", "d"]);
    assert_eq!(world.http.delete(world.url(&app)).send().await.unwrap().status(), 204);
    assert_eq!(problem(world.get(&app).send().await.unwrap()).await.1, "task_not_found");
}

#[tokio::test]
async fn a_run_of_a_task_keeps_what_it_ran_whatever_becomes_of_the_task() {
    let world = World::new().await;
    let tasks = "/v1/registries/local/tasks";
    world.post(tasks).json(&task()).send().await.unwrap();
    let runs = format!("{tasks}/app/runs");
    let run = json_of(world.post(&runs).json(&json!({ "build": { "build_args": { "A": "1" }, "source": "https://example.com/team/app.git#dev/x" } }))).await;
    assert_eq!((run["task"].as_str(), run["cause"]["type"].as_str()), (Some("app"), Some("manual")), "{run}");
    assert_eq!(run["spec"]["build_args"]["A"], "1");
    let id = run["id"].as_str().unwrap();
    assert_eq!(run["images"][0]["reference"], format!("127.0.0.1:5000/team/app:{id}"));
    assert_eq!(run["images"][1]["reference"], "127.0.0.1:5000/team/app:dev-x", "a tag holds no slash");
    world
        .http
        .patch(world.url(&format!("{tasks}/app")))
        .json(&json!({ "build": { "dockerfile": "other" } }))
        .send()
        .await
        .unwrap();
    let again = json_of(world.get(&format!("/v1/registries/local/runs/{id}"))).await;
    assert_eq!(again["spec"], run["spec"]);
    let untrusted = json_of(world.post(&runs).json(&json!({ "trust": "untrusted" }))).await;
    assert_eq!(untrusted["trust"], "untrusted");
    let scopes = world.db.text("SELECT string_agg(scope, ' ' ORDER BY number) FROM slipway.runs").await;
    assert_eq!(scopes, Some(format!("trusted-local untrusted-{}", untrusted["id"].as_str().unwrap())));
    let list = json_of(world.get("/v1/registries/local/runs?task=app")).await;
    assert_eq!(list["runs"].as_array().unwrap().len(), 2);
    let tag = json!({ "build": { "images": ["app:{{.Run.GitTag}}"] } });
    let (status, _, said) = problem(world.post(&runs).json(&tag).send().await.unwrap()).await;
    assert_eq!((status, said["field"].as_str()), (422, Some("images")), "{said}");
}

#[tokio::test]
async fn what_is_named_by_others_is_not_forgotten() {
    let world = World::new().await;
    let credential = world.url("/v1/registries/local/credentials/git");
    world.http.put(&credential).json(&json!({ "kind": "git", "secret": SECRET })).send().await.unwrap();
    let mut task = task();
    task["build"]["source_credential"] = json!("git");
    assert_eq!(world.post("/v1/registries/local/tasks").json(&task).send().await.unwrap().status(), 201);
    assert_eq!(problem(world.http.delete(&credential).send().await.unwrap()).await.1, "in_use");
}

#[tokio::test]
async fn a_submitter_uses_credentials_only_as_a_task_says() {
    let world = World::new().await;
    let credential = world.url("/v1/registries/local/credentials/git");
    world.http.put(&credential).json(&json!({ "kind": "git", "secret": SECRET })).send().await.unwrap();
    let mut task = task();
    task["build"]["source_credential"] = json!("git");
    world.post("/v1/registries/local/tasks").json(&task).send().await.unwrap();
    let submitter = client(Some(&token(&world.db, Role::Submitter, None).await));
    // A platform that nobody builds for would be refused for that.
    world
        .db
        .execute(
            "INSERT INTO slipway.workers (id, store, name, platform, slots)
             VALUES (gen_random_uuid(), gen_random_uuid(), 'other', 'linux/riscv64', 1)",
        )
        .await;
    let runs = world.url("/v1/registries/local/tasks/app/runs");
    let run =
        async |build: Value| submitter.post(&runs).json(&json!({ "build": build })).send().await.unwrap();
    assert_eq!(run(json!({ "images": ["team/app:mine"], "no_cache": true })).await.status(), 201);
    for elsewhere in [
        json!({ "source": "https://evil.example/team/app.git#main" }),
        json!({ "source": "https://example.com/team/app.git#refs/pull/1/head" }),
        json!({ "dockerfile": "Mine" }),
        json!({ "build_args": { "REGISTRY": "https://evil.example" } }),
        json!({ "target": "prints" }),
        json!({ "platform": "linux/riscv64" }),
    ] {
        let (status, kind, said) = problem(run(elsewhere.clone()).await).await;
        assert_eq!((status, kind.as_str()), (403, "role_too_small"), "{elsewhere}: {said}");
        let hint = said["hint"].as_str().unwrap();
        assert!(["build_args", "target", "platform"].iter().all(|field| hint.contains(field)), "{hint}");
    }
    let patch = json!({ "build": { "source_credential": null, "secrets": { "npmrc": "npm" } } });
    let npm = world.url("/v1/registries/local/credentials/npm");
    world.http.put(npm).json(&json!({ "kind": "build", "secret": SECRET })).send().await.unwrap();
    let task = world.url("/v1/registries/local/tasks/app");
    assert_eq!(world.http.patch(&task).json(&patch).send().await.unwrap().status(), 200);
    let sends = json!({ "build_args": { "REGISTRY": "https://evil.example" } });
    assert_eq!(problem(run(sends).await).await.1, "role_too_small", "a build's secret is one as well");
    let without = json!({ "build_args": { "REGISTRY": "https://evil.example" }, "secrets": null });
    assert_eq!(run(without).await.status(), 201, "without the secret there is nothing to send");
    let patch = json!({ "build": { "source_credential": "git", "secrets": null } });
    assert_eq!(world.http.patch(&task).json(&patch).send().await.unwrap().status(), 200);
    assert_eq!(run(json!({ "source_credential": null, "dockerfile": "Mine" })).await.status(), 201);
    let quick = json!({ "source": "https://evil.example/a.git", "source_credential": "git" });
    let quick = submitter.post(world.url("/v1/registries/local/runs")).json(&quick).send().await.unwrap();
    assert_eq!(problem(quick).await.1, "role_too_small");
    let clear = json!({ "source": "http://git.example/a.git", "source_credential": "git" });
    let clear = world.post("/v1/registries/local/runs").json(&clear).send().await.unwrap();
    let (status, _, said) = problem(clear).await;
    assert_eq!((status, said["field"].as_str()), (422, Some("source_credential")), "{said}");
}
