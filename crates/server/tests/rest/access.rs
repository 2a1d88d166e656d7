//! Who may call what: the whole router, from the OpenAPI document.

use model::Role;
use reqwest::Method;
use serde_json::Value;

use crate::world::{World, client, json_of, problem, token};

/// Every operation, with the smallest role that may call it: a new one has to be put here.
const OPERATIONS: &[(&str, &str, Option<Role>)] = &[
    ("GET", "/healthz", None),
    ("POST", "/hooks/{hook}", None),
    ("GET", "/readyz", Some(Role::Reader)),
    ("GET", "/metrics", Some(Role::Reader)),
    ("GET", "/v1/workers", Some(Role::Reader)),
    ("GET", "/v1/statistics", Some(Role::Reader)),
    ("GET", "/v1/runs", Some(Role::Reader)),
    ("GET", "/v1/registries", Some(Role::Reader)),
    ("POST", "/v1/registries", Some(Role::Administrator)),
    ("GET", "/v1/registries/{registry}", Some(Role::Reader)),
    ("PATCH", "/v1/registries/{registry}", Some(Role::Administrator)),
    ("DELETE", "/v1/registries/{registry}", Some(Role::Administrator)),
    ("GET", "/v1/registries/{registry}/credentials", Some(Role::Reader)),
    ("GET", "/v1/registries/{registry}/credentials/{credential}", Some(Role::Reader)),
    ("PUT", "/v1/registries/{registry}/credentials/{credential}", Some(Role::Contributor)),
    ("DELETE", "/v1/registries/{registry}/credentials/{credential}", Some(Role::Contributor)),
    ("GET", "/v1/registries/{registry}/tasks", Some(Role::Reader)),
    ("POST", "/v1/registries/{registry}/tasks", Some(Role::Contributor)),
    ("GET", "/v1/registries/{registry}/tasks/{task}", Some(Role::Reader)),
    ("PATCH", "/v1/registries/{registry}/tasks/{task}", Some(Role::Contributor)),
    ("DELETE", "/v1/registries/{registry}/tasks/{task}", Some(Role::Contributor)),
    ("POST", "/v1/registries/{registry}/tasks/{task}/runs", Some(Role::Submitter)),
    ("GET", "/v1/registries/{registry}/runs", Some(Role::Reader)),
    ("POST", "/v1/registries/{registry}/runs", Some(Role::Submitter)),
    ("GET", "/v1/registries/{registry}/runs/{run}", Some(Role::Reader)),
    ("GET", "/v1/registries/{registry}/runs/{run}/steps", Some(Role::Reader)),
    ("GET", "/v1/registries/{registry}/runs/{run}/logs", Some(Role::Reader)),
    ("POST", "/v1/registries/{registry}/runs/{run}/cancel", Some(Role::Submitter)),
    ("POST", "/v1/registries/{registry}/runs/{run}/rerun", Some(Role::Submitter)),
    ("POST", "/v1/registries/{registry}/sources", Some(Role::Submitter)),
    ("GET", "/v1/registries/{registry}/hooks", Some(Role::Reader)),
    ("POST", "/v1/registries/{registry}/hooks", Some(Role::Contributor)),
    ("GET", "/v1/registries/{registry}/hooks/{hook}", Some(Role::Reader)),
    ("PATCH", "/v1/registries/{registry}/hooks/{hook}", Some(Role::Contributor)),
    ("DELETE", "/v1/registries/{registry}/hooks/{hook}", Some(Role::Contributor)),
    ("POST", "/v1/registries/{registry}/hooks/{hook}/rotate", Some(Role::Contributor)),
    ("GET", "/v1/registries/{registry}/deliveries", Some(Role::Reader)),
    ("GET", "/v1/registries/{registry}/deliveries/{delivery}", Some(Role::Reader)),
    ("POST", "/v1/registries/{registry}/deliveries/{delivery}/replay", Some(Role::Contributor)),
    ("GET", "/v1/tokens", Some(Role::Administrator)),
    ("POST", "/v1/tokens", Some(Role::Administrator)),
    ("GET", "/v1/tokens/{token}", Some(Role::Administrator)),
    ("DELETE", "/v1/tokens/{token}", Some(Role::Administrator)),
];

/// The path with something in every place.
fn filled(path: &str) -> String {
    let nobody = uuid::Uuid::nil().to_string();
    let parts = path.split('/').map(|part| match part {
        "{registry}" => "local",
        "{task}" | "{credential}" => "none",
        "{hook}" if path.contains("/v1/") => "none",
        part if part.starts_with('{') => &nobody,
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn the_list_above_is_the_whole_router() {
    let world = World::new().await;
    let document = json_of(world.get("/openapi.json")).await;
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete"] {
            if item[method].is_object() {
                found.push(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    let mut listed: Vec<_> = OPERATIONS.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    found.sort();
    listed.sort();
    assert_eq!(found, listed);
}

#[tokio::test]
async fn every_operation_needs_a_token_of_its_role_and_registry() {
    let world = World::new().await;
    world.db.server.upsert_registry("other", "127.0.0.1:5001", true).await.unwrap();
    let nobody = client(None);
    let wrong = client(Some("sw_wrong"));
    let elsewhere = client(Some(&token(&world.db, Role::Administrator, Some("other")).await));
    let mut by_role = Vec::new();
    for role in Role::ALL {
        by_role.push((role, client(Some(&token(&world.db, role, None).await))));
    }
    for (method, path, needed) in OPERATIONS {
        let method: Method = method.parse().unwrap();
        let ask = async |client: &reqwest::Client| {
            let request = client
                .request(method.clone(), world.url(&filled(path)))
                .header("content-type", "application/json");
            request.body("{}").send().await.unwrap()
        };
        let name = format!("{method} {path}");
        let Some(needed) = needed else {
            assert!(
                !["unauthenticated", "role_too_small"].contains(&kind_of(ask(&nobody).await).await.as_str()),
                "{name}"
            );
            continue;
        };
        for client in [&nobody, &wrong] {
            let answer = ask(client).await;
            assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"slipway\"", "{name}");
            let (status, kind, _) = problem(answer).await;
            assert_eq!((status, kind.as_str()), (401, "unauthenticated"), "{name}");
        }
        for (role, client) in &by_role {
            let kind = kind_of(ask(client).await).await;
            assert_eq!(kind == "role_too_small", role < needed, "{name} as {role}: {kind}");
        }
        if path.contains("{registry}") || path == &"/v1/registries" && method == Method::POST {
            let (status, kind, _) = problem(ask(&elsewhere).await).await;
            assert_eq!((status, kind.as_str()), (403, "other_registry"), "{name}");
        }
    }
    for path in ["/", "/problems", "/openapi.json", "/nothing/here"] {
        let (status, _, _) = problem(nobody.get(world.url(path)).send().await.unwrap()).await;
        assert_eq!(status, 401, "{path}");
    }
}

async fn kind_of(answer: reqwest::Response) -> String {
    let body: Value = answer.json().await.unwrap_or_default();
    body["kind"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_token_sees_its_registry_and_ends_when_it_should() {
    let world = World::new().await;
    world.db.server.upsert_registry("other", "127.0.0.1:5001", true).await.unwrap();
    let new = serde_json::json!({ "name": "ci", "role": "administrator", "registry": "other", "expires_in_seconds": 60 });
    let made = json_of(world.post("/v1/tokens").json(&new)).await;
    let text = made["token"].as_str().unwrap();
    assert!(text.starts_with(made["shown"].as_str().unwrap()));
    let other = client(Some(text));
    let list: Value = other.get(world.url("/v1/registries")).send().await.unwrap().json().await.unwrap();
    assert_eq!(list["registries"].as_array().unwrap().len(), 1, "{list}");
    let tokens: Value = other.get(world.url("/v1/tokens")).send().await.unwrap().json().await.unwrap();
    assert_eq!(tokens["tokens"].as_array().unwrap().len(), 1, "only those of its registry: {tokens}");
    assert!(!tokens.to_string().contains(text), "the text is shown once");
    let own = world.db.text("SELECT id::text FROM slipway.tokens WHERE registry IS NULL").await.unwrap();
    for request in [
        other.get(world.url(&format!("/v1/tokens/{own}"))),
        other.delete(world.url(&format!("/v1/tokens/{own}"))),
    ] {
        let (status, kind, _) = problem(request.send().await.unwrap()).await;
        assert_eq!((status, kind.as_str()), (404, "token_not_found"), "another's token is not there for it");
    }
    let (lasts, longer) = (None, Some(120));
    for (expires, status) in [(lasts, 422), (longer, 422), (Some(30), 201)] {
        let new = serde_json::json!({ "name": "next", "role": "reader", "registry": "other", "expires_in_seconds": expires });
        let made = other.post(world.url("/v1/tokens")).json(&new).send().await.unwrap();
        assert_eq!(made.status(), status, "none outlives the token that made it: {expires:?}");
    }
    let more = serde_json::json!({ "name": "more", "role": "reader" });
    let (status, kind, _) =
        problem(other.post(world.url("/v1/tokens")).json(&more).send().await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (403, "other_registry"), "no token for every registry");

    world.db.execute("UPDATE slipway.tokens SET expires_at = now() WHERE name = 'ci'").await;
    let (status, _, said) = problem(other.get(world.url("/v1/registries")).send().await.unwrap()).await;
    assert_eq!(status, 401);
    assert!(said["detail"].as_str().unwrap().contains("expired"), "{said}");
    let gone = world
        .http
        .delete(world.url(&format!("/v1/tokens/{}", made["id"].as_str().unwrap())))
        .send()
        .await
        .unwrap();
    assert_eq!(gone.status(), 204);
    let stored = world
        .db
        .text("SELECT string_agg(encode(hash, 'escape') || shown, ' ') FROM slipway.tokens")
        .await
        .unwrap();
    assert!(!stored.contains(text));
}

#[tokio::test]
async fn who_has_one_registry_does_not_say_where_it_is_and_who_signs_in_there() {
    let world = World::new().await;
    let own = client(Some(&token(&world.db, Role::Administrator, Some("local")).await));
    let patch = async |client: &reqwest::Client, body: serde_json::Value| {
        client.patch(world.url("/v1/registries/local")).json(&body).send().await.unwrap()
    };
    for change in [
        serde_json::json!({ "address": "evil.example" }),
        serde_json::json!({ "plain_http": false }),
        serde_json::json!({ "sign_in": { "type": "managed_identity" } }),
        serde_json::json!({ "notify": [], "address": "evil.example" }),
    ] {
        let (status, kind, said) = problem(patch(&own, change.clone()).await).await;
        assert_eq!((status, kind.as_str()), (403, "other_registry"), "{change}: {said}");
    }
    let row = world.db.server.get_registry("local").await.unwrap().unwrap();
    assert_eq!((row.address.as_str(), row.plain_http), ("127.0.0.1:5000", true), "nothing was changed");
    let same = serde_json::json!({ "address": "127.0.0.1:5000", "plain_http": true, "notify": [] });
    assert_eq!(patch(&own, same).await.status(), 200, "what stays is no change");
    let by_identity = serde_json::json!({ "address": "team.azurecr.io", "plain_http": true, "sign_in": { "type": "managed_identity" } });
    let (status, kind, said) = problem(patch(&world.http, by_identity.clone()).await).await;
    assert_eq!(
        (status, kind.as_str(), said["field"].as_str()),
        (422, "registry_invalid", Some("sign_in")),
        "{said}"
    );
    let private = serde_json::json!({ "address": "team.azurecr.io", "plain_http": false, "sign_in": { "type": "managed_identity" } });
    assert_eq!(patch(&world.http, private).await.status(), 200);
}

#[tokio::test]
async fn a_token_that_asks_too_often_is_told_when_to_come_back() {
    let config = server::Config { token_rate: server::Rate::new(1, 3), ..server::Config::default() };
    let world = World::with(config).await;
    let mut refused = None;
    for _ in 0..5 {
        let answer = world.get("/v1/registries").send().await.unwrap();
        if answer.status() == 429 {
            refused = Some(answer);
        }
    }
    let refused = refused.expect("the bucket is empty");
    let seconds: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=2).contains(&seconds), "{seconds}");
    assert_eq!(problem(refused).await.1, "too_many_requests");
}
