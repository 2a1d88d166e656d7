//! What is refused, before anything is changed, and how.

use model::Platform;
use serde_json::{Value, json};

use crate::world::{World, body, problem};

const RUNS: &str = "/v1/registries/local/runs";

#[tokio::test]
async fn a_request_that_cannot_be_built_is_refused_with_its_field() {
    let world = World::new().await;
    let with = |name: &str, value: Value| {
        let mut body = body();
        body[name] = value;
        body
    };
    for (body, field) in [
        (with("images", json!(["UPPER:1"])), "images"),
        (with("images", json!(["app:1@sha256:00"])), "images"),
        (with("dockerfile", json!("../Dockerfile")), "dockerfile"),
        (with("timeout_seconds", json!(0)), "timeout_seconds"),
        (with("timeout_seconds", json!(100_000)), "timeout_seconds"),
        (with("platform", json!("windows/amd64")), "platform"),
        (with("source_date_epoch", json!(-1)), "source_date_epoch"),
        (
            with(
                "source",
                json!({ "type": "git", "url": "https://example.com/a.git", "ref": "--upload-pack=x" }),
            ),
            "source",
        ),
        (with("source", json!({ "type": "git", "url": "https://-oProxyCommand/a.git" })), "source"),
    ] {
        let (status, kind, problem) = problem(world.post(RUNS).json(&body).send().await.unwrap()).await;
        assert_eq!((status, kind.as_str()), (422, "spec_invalid"), "{body}: {problem}");
        assert_eq!(problem["field"], field, "{body}");
    }
    let runs = world.db.text("SELECT count(*)::text FROM slipway.runs").await;
    assert_eq!(runs.as_deref(), Some("0"));
}

#[tokio::test]
async fn every_error_is_a_problem_with_a_stable_kind() {
    let world = World::new().await;
    let nobody = uuid::Uuid::now_v7();
    for (request, status, kind) in [
        (world.post("/v1/registries/prod/runs").json(&body()), 404, "registry_not_found"),
        (world.get(&format!("{RUNS}/{nobody}")), 404, "run_not_found"),
        (world.get(&format!("{RUNS}/{nobody}/logs")), 404, "run_not_found"),
        (world.get(&format!("{RUNS}/x")), 400, "parameter_invalid"),
        (world.get("/v2/"), 404, "route_not_found"),
        (world.http.delete(world.url(RUNS)), 405, "method_not_allowed"),
        (world.post(RUNS).header("content-type", "application/json").body("{"), 400, "json_invalid"),
        (world.post(RUNS).json(&json!({ "sauce": 1 })), 400, "json_invalid"),
        (world.post(RUNS).body("x"), 415, "media_type_unsupported"),
        (world.post(RUNS).json(&json!({ "source": "x".repeat(5000) })), 413, "body_too_large"),
        (world.post(RUNS).json(&body()).header("idempotency-key", ""), 400, "header_invalid"),
    ] {
        let request = request.build().unwrap();
        let name = format!("{} {}", request.method(), request.url());
        let (was, found, _) = problem(world.http.execute(request).await.unwrap()).await;
        assert_eq!((was, found.as_str()), (status, kind), "{name}");
    }
}

#[tokio::test]
async fn an_upload_that_is_not_there_is_named() {
    let world = World::new().await;
    let body = json!({ "source": { "type": "upload", "id": uuid::Uuid::now_v7() } });
    let (status, kind, problem) = problem(world.post(RUNS).json(&body).send().await.unwrap()).await;
    assert_eq!((status, kind.as_str(), problem["field"].as_str()), (422, "source_not_found", Some("source")));
}

#[tokio::test]
async fn an_upload_has_no_commit_that_could_name_its_image() {
    let world = World::new().await;
    let body = json!({ "source": { "type": "upload", "id": uuid::Uuid::now_v7() }, "images": ["app:{{.Run.Commit}}"] });
    let (status, kind, said) = problem(world.post(RUNS).json(&body).send().await.unwrap()).await;
    assert_eq!(
        (status, kind.as_str(), said["field"].as_str()),
        (422, "spec_invalid", Some("images")),
        "{said}"
    );
    assert!(said["hint"].as_str().unwrap().contains("upload"), "{said}");
}

#[tokio::test]
async fn pages_of_other_sites_and_other_names_are_refused() {
    let world = World::new().await;
    // A name that a stranger lets point to 127.0.0.1.
    let (status, kind, _) =
        problem(world.get(RUNS).header("host", "evil.example").send().await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (421, "host_refused"));
    let request = world.post(RUNS).json(&body()).header("origin", "https://evil.example");
    let (status, kind, _) = problem(request.send().await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (403, "origin_refused"));
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused() {
    let config = server::Config::default();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let error = server::check_listen_address(address.parse().unwrap(), &config).unwrap_err();
        assert_eq!(error.failure().kind, "listen_not_loopback");
    }
    for address in ["127.0.0.1:0", "127.9.9.9:80", "[::1]:0"] {
        server::check_listen_address(address.parse().unwrap(), &config).unwrap();
    }
}

#[tokio::test]
async fn the_character_without_a_place_is_refused_wherever_it_comes() {
    let world = World::new().await;
    let mut build = body();
    build["build_args"] = json!({ "A": "x\0y" });
    for answer in [
        world.post("/v1/registries/local/runs").json(&build).send().await.unwrap(),
        world.get("/v1/registries/lo%00cal/runs").send().await.unwrap(),
        world.get("/v1/registries/local/runs?task=a%00").send().await.unwrap(),
        world.http.put(world.url("/v1/registries/local/credentials/c%00")).json(&build).send().await.unwrap(),
    ] {
        let (status, kind, said) = problem(answer).await;
        assert_eq!((status, kind.as_str()), (400, "character_refused"), "{said}");
    }
}

#[tokio::test]
async fn a_body_that_is_an_array_is_no_object() {
    let world = World::new().await;
    let refused = world.post("/v1/registries/local/hooks/none/rotate").json(&json!([])).send().await.unwrap();
    assert_eq!(problem(refused).await.1, "json_invalid");
}

#[tokio::test]
async fn a_platform_that_no_worker_builds_for_is_refused_of_runs_and_of_tasks() {
    let world = World::new().await;
    let other = if Platform::host().to_string() == "linux/s390x" { "linux/amd64" } else { "linux/s390x" };
    let mut build = body();
    build["platform"] = json!(other);
    let refused = world.post("/v1/registries/local/runs").json(&build).send().await.unwrap();
    let (status, kind, said) = problem(refused).await;
    assert_eq!(
        (status, kind.as_str(), said["field"].as_str()),
        (422, "platform_unavailable", Some("platform"))
    );
    assert!(said["hint"].as_str().unwrap().contains(&Platform::host().to_string()), "{said}");
    let tasks = "/v1/registries/local/tasks";
    let task = json!({ "name": "app", "build": build });
    let (_, kind, said) = problem(world.post(tasks).json(&task).send().await.unwrap()).await;
    assert_eq!((kind.as_str(), said["field"].as_str()), ("platform_unavailable", Some("build.platform")));
    let task = json!({ "name": "app", "build": body() });
    assert_eq!(world.post(tasks).json(&task).send().await.unwrap().status(), 201);
    let patch = async |body: Value| {
        world.http.patch(world.url(&format!("{tasks}/app"))).json(&body).send().await.unwrap()
    };
    let refused = patch(json!({ "build": { "platform": other } })).await;
    assert_eq!(problem(refused).await.1, "platform_unavailable");
    // A worker that is there no longer keeps nobody from changing the rest.
    let gone =
        format!("UPDATE slipway.tasks SET spec = jsonb_set(spec, '{{build,platform}}', '\"{other}\"')");
    world.db.execute(&gone).await;
    assert_eq!(patch(json!({ "enabled": false })).await.status(), 200);
    let run = world.post("/v1/registries/local/tasks/app/runs").json(&json!({})).send().await.unwrap();
    assert_eq!(problem(run).await.1, "platform_unavailable");
}

/// Whoever asks for a part of a list is not shown all of it.
#[tokio::test]
async fn a_list_that_is_always_whole_takes_no_parameters() {
    let world = World::new().await;
    let of = |noun: &str| format!("/v1/registries/local/{noun}");
    for list in
        ["/v1/registries".into(), of("hooks"), of("credentials"), "/v1/tokens".into(), "/v1/workers".into()]
    {
        assert_eq!(world.get(&list).send().await.unwrap().status(), 200, "{list}");
        let (status, kind, said) = problem(world.get(&format!("{list}?limit=1")).send().await.unwrap()).await;
        assert_eq!(
            (status, kind.as_str(), said["field"].as_str()),
            (400, "parameter_invalid", Some("query")),
            "{list}"
        );
    }
}

/// What no Dockerfile can name is found before a run, and before a task is kept.
#[tokio::test]
async fn a_name_that_nothing_can_have_is_refused_with_its_field() {
    let world = World::new().await;
    let long = format!("https://example.com/{}", "x".repeat(2000));
    for (field, value, shown) in [
        ("build_args", json!({ "A B": "1" }), "build_args"),
        ("build_args", json!({ "": "1" }), "build_args"),
        ("secrets", json!({ "../x": "npm" }), "secrets"),
        ("secrets", json!({ "a\nb": "npm" }), "secrets"),
        ("target", json!("a\u{7}b"), "target"),
        ("source", json!({ "type": "git", "url": long }), "source"),
    ] {
        let mut build = body();
        build[field] = value;
        let (status, kind, said) = problem(world.post(RUNS).json(&build).send().await.unwrap()).await;
        assert_eq!(
            (status, kind.as_str(), said["field"].as_str()),
            (422, "spec_invalid", Some(shown)),
            "{said}"
        );
        let task = json!({ "name": "app", "build": build });
        let answer = world.post("/v1/registries/local/tasks").json(&task).send().await.unwrap();
        let (status, _, said) = problem(answer).await;
        assert_eq!((status, said["field"].as_str()), (422, Some(&*format!("build.{shown}"))), "{said}");
    }
    assert_eq!(world.db.text("SELECT count(*)::text FROM slipway.tasks").await.as_deref(), Some("0"));
}
