//! Changes that are made at once, and things that are removed although somebody else has changed or uses them.

use futures_util::future::join;
use model::Role;
use serde_json::{Value, json};

use crate::world::{World, client, json_of, problem, token};

const REGISTRY: &str = "/v1/registries/local";

/// Of two people, each of whom changes something else, both have done so.
#[tokio::test]
async fn of_changes_made_at_once_none_is_lost() {
    let world = World::new().await;
    let own = client(Some(&token(&world.db, Role::Administrator, Some("local")).await));
    let key = json!({ "kind": "webhook", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" });
    let path = world.url(&format!("{REGISTRY}/credentials/ours"));
    assert_eq!(world.http.put(path).json(&key).send().await.unwrap().status(), 200);
    let path = world.url(REGISTRY);
    for round in 0..20 {
        let address = json!({ "address": format!("r{round}.example") });
        let notify = json!([{ "url": format!("https://example.com/{round}"), "credential": "ours" }]);
        let told = json!({ "notify": notify });
        let both = join(world.http.patch(&path).json(&address).send(), own.patch(&path).json(&told).send());
        let (moved, named) = both.await;
        assert_eq!((moved.unwrap().status().as_u16(), named.unwrap().status().as_u16()), (200, 200));
        let there = json_of(world.get(REGISTRY)).await;
        assert_eq!((&there["address"], &there["notify"]), (&address["address"], &notify), "round {round}");
    }
    assert_eq!(json_of(world.get(REGISTRY)).await["version"], 41);
}

#[tokio::test]
async fn what_somebody_else_has_changed_is_neither_changed_nor_removed_unseen() {
    let world = World::new().await;
    let new = json!({ "name": "prod", "address": "prod.example" });
    let task = json!({ "name": "app", "build": { "source": "https://example.com/a.git" } });
    let hook = json!({ "name": "hub", "host": "github" });
    for (list, new, name, patch) in [
        (format!("{REGISTRY}/tasks"), task, "app", json!({ "enabled": false })),
        (format!("{REGISTRY}/hooks"), hook, "hub", json!({ "repositories": ["https://example.com/a.git"] })),
        ("/v1/registries".to_owned(), new, "prod", json!({ "address": "other.example" })),
    ] {
        assert_eq!(world.post(&list).json(&new).send().await.unwrap().status(), 201);
        let path = world.url(&format!("{list}/{name}"));
        let seen = world.http.get(&path).send().await.unwrap().headers()["etag"].clone();
        let change = || world.http.patch(&path).header("if-match", &seen).json(&patch);
        let changed = change().send().await.unwrap();
        assert_eq!(changed.status(), 200, "{name}");
        let now = changed.headers()["etag"].clone();
        assert_ne!(seen, now, "{name}");
        assert_eq!(problem(change().send().await.unwrap()).await.1, "outdated", "{name}");
        let delete = |tag: &str| world.http.delete(&path).header("if-match", tag).send();
        let (status, kind, _) = problem(delete(seen.to_str().unwrap()).await.unwrap()).await;
        assert_eq!((status, kind.as_str()), (412, "outdated"), "{name}");
        let either = format!("\"0\", {}", now.to_str().unwrap());
        assert_eq!(delete(&either).await.unwrap().status(), 204, "{name}");
    }
}

#[tokio::test]
async fn a_registry_goes_only_when_it_is_empty_and_only_by_who_has_all_of_them() {
    let world = World::new().await;
    let own = client(Some(&token(&world.db, Role::Administrator, Some("local")).await));
    let delete = |client: &reqwest::Client| client.delete(world.url(REGISTRY)).send();
    assert_eq!(problem(delete(&own).await.unwrap()).await.1, "other_registry");
    let task = json!({ "name": "app", "build": { "source": "https://example.com/a.git" } });
    let hook = json!({ "name": "hub", "host": "github" });
    for (list, new) in [("tasks", task), ("hooks", hook)] {
        assert_eq!(world.post(&format!("{REGISTRY}/{list}")).json(&new).send().await.unwrap().status(), 201);
    }
    for name in ["a", "b"] {
        let put = world.http.put(world.url(&format!("{REGISTRY}/credentials/{name}")));
        put.json(&json!({ "kind": "build", "secret": "x" })).send().await.unwrap();
    }
    let (status, kind, said) = problem(delete(&world.http).await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (409, "registry_in_use"));
    assert_eq!(said["detail"], "The registry `local` has 1 task, 1 hook, 2 credentials.");
    for path in ["tasks/app", "hooks/hub", "credentials/a", "credentials/b"] {
        let path = world.url(&format!("{REGISTRY}/{path}"));
        assert_eq!(world.http.delete(path).send().await.unwrap().status(), 204);
    }
    let other: Value = json!({ "name": "other", "address": "other.example" });
    world.post("/v1/registries").json(&other).send().await.unwrap();
    world.submit().await;
    let said = problem(delete(&world.http).await.unwrap()).await.2;
    assert_eq!(said["detail"], "The registry `local` has 1 run.");
    let empty = world.http.delete(world.url("/v1/registries/other")).send().await.unwrap();
    assert_eq!(empty.status(), 204);
}
