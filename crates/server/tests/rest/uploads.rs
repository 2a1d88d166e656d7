//! Source uploads.

use serde_json::{Value, json};

use crate::world::{World, problem};

const SOURCES: &str = "/v1/registries/local/sources";

fn gzip_of(size: usize) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b];
    bytes.resize(size, 7);
    bytes
}

#[tokio::test]
async fn an_upload_reaches_its_worker_byte_for_byte() {
    let world = World::new().await;
    let bytes = gzip_of(3 << 20);
    let answer = world.post(SOURCES).body(bytes.clone()).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let source: Value = answer.json().await.unwrap();
    assert_eq!(source["size"], 3 << 20);
    let body = json!({ "source": { "type": "upload", "id": source["id"] }, "images": ["a"] });
    let run = world.post("/v1/registries/local/runs").json(&body).send().await.unwrap();
    assert_eq!(run.status(), 201);
    let leased = world.lease().await;
    let mut received = Vec::new();
    let chunk =
        async |n| world.db.worker.source_chunk(leased.run, leased.epoch, &leased.token, n).await.unwrap();
    for sequence in 0.. {
        let Some(chunk) = chunk(sequence).await else { break };
        received.extend(chunk);
    }
    assert!(received == bytes, "{} bytes came of {}", received.len(), bytes.len());
}

#[tokio::test]
async fn what_is_no_gzip_or_too_large_or_too_slow_is_refused() {
    let world = World::new().await;
    let (status, kind, _) = problem(world.post(SOURCES).body("hello").send().await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (422, "source_not_gzip"));
    let (status, kind, _) = problem(world.post(SOURCES).body(gzip_of(5 << 20)).send().await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (413, "body_too_large"));
    let endless = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let body = reqwest::Body::wrap_stream(endless);
    let (status, kind, _) = problem(world.post(SOURCES).body(body).send().await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (400, "body_broken"));
}

/// Its id is in logs and answers: it is no key.
#[tokio::test]
async fn an_upload_is_built_in_its_own_registry_alone() {
    let world = World::new().await;
    world.db.server.upsert_registry("other", "127.0.0.1:5001", true).await.unwrap();
    let source: Value = world.post(SOURCES).body(gzip_of(100)).send().await.unwrap().json().await.unwrap();
    let body = json!({ "source": { "type": "upload", "id": source["id"] } });
    let (status, kind, _) =
        problem(world.post("/v1/registries/other/runs").json(&body).send().await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (422, "source_not_found"));
    let own = world.post("/v1/registries/local/runs").json(&body).send().await.unwrap();
    assert_eq!(own.status(), 201);
}
