//! What operators look at, and how the service ends.

use serde_json::{Value, json};
use server::Config;

use crate::world::{World, json_of, problem};

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let world = World::new().await;
    assert_eq!(world.get("/healthz").send().await.unwrap().status(), 200);
    let ready = json_of(world.get("/readyz")).await;
    assert!(ready["checks"].as_array().unwrap().iter().all(|check| check["ok"] == true), "{ready}");
    world.db.execute("UPDATE slipway.workers SET seen_at = now() - interval '1 minute'").await;
    let (status, kind, body) = problem(world.get("/readyz").send().await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (503, "not_ready"));
    assert!(body["detail"].as_str().unwrap().contains("No worker"), "{body}");
}

#[tokio::test]
async fn metrics_count_runs_and_answers_without_ids_in_labels() {
    let world = World::new().await;
    let path = world.submit().await;
    world.get(&path).send().await.unwrap();
    let text = world.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(text.contains("slipway_queue_runs{status=\"queued\"} 1"), "{text}");
    assert!(text.contains("route=\"/v1/registries/{registry}/runs/{run}\""), "{text}");
    assert!(!text.contains(path.rsplit('/').next().unwrap()), "an id is no label");
}

#[tokio::test]
async fn a_request_id_is_taken_from_the_client_when_it_is_sane() {
    let world = World::new().await;
    let sent = async |id: &str| {
        let answer = world.get("/healthz").header("x-request-id", id).send().await.unwrap();
        answer.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(sent("build-7.2_a").await, "build-7.2_a");
    assert_ne!(sent("a b").await, "a b");
}

#[tokio::test]
async fn every_kind_of_problem_has_its_place_on_the_page() {
    let world = World::new().await;
    let problem: Value = world.get("/nothing").send().await.unwrap().json().await.unwrap();
    let (page, anchor) = problem["type"].as_str().unwrap().split_once('#').unwrap();
    let page = world.get(page).send().await.unwrap().text().await.unwrap();
    assert!(page.contains(&format!("id=\"{anchor}\"")));
    let document = json_of(world.get("/openapi.json")).await;
    assert!(document["paths"]["/v1/registries/{registry}/runs"]["post"].is_object());
}

#[tokio::test]
async fn stopping_ends_streams_and_does_not_hang() {
    let world = World::new().await;
    let path = world.submit().await;
    let mut stream =
        world.get(&format!("{path}/logs")).header("accept", "text/event-stream").send().await.unwrap();
    stream.chunk().await.unwrap();
    world.stop.cancel();
    while stream.chunk().await.is_ok_and(|chunk| chunk.is_some()) {}
    world.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_hooks_address_is_the_one_that_the_operator_gave() {
    let hook = json!({ "name": "hub", "host": "github" });
    let own = World::new().await;
    let made = json_of(own.post("/v1/registries/local/hooks").json(&hook)).await;
    let address = made["address"].as_str().unwrap();
    assert!(address.starts_with(&format!("{}/hooks/", own.address)), "loopback is its own name: {address}");

    let config = Config { public_url: Some("https://build.example/slipway".to_owned()), ..Config::default() };
    let world = World::with(config).await;
    let made = json_of(world.post("/v1/registries/local/hooks").json(&hook)).await;
    let address = made["address"].as_str().unwrap();
    assert!(address.starts_with("https://build.example/slipway/hooks/"), "{address}");
}
