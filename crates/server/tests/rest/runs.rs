//! Starting, looking, listing, cancelling.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::{World, body, json_of, problem};

const RUNS: &str = "/v1/registries/local/runs";

#[tokio::test]
async fn a_run_is_shown_as_it_was_asked_for() {
    let world = World::new().await;
    let path = world.submit().await;
    let run = json_of(world.get(&path)).await;
    assert_eq!(path, format!("{RUNS}/{}", run["id"].as_str().unwrap()));
    assert_eq!(run["status"], "queued");
    assert_eq!(run["attempt"], 1);
    assert_eq!(run["images"], json!([{ "reference": "127.0.0.1:5000/team/app:1" }]));
    let source = json!({ "type": "git", "url": "https://example.com/team/app.git", "ref": "main", "subdirectory": "service" });
    assert_eq!(run["spec"]["source"], source);
    assert_eq!(run["spec"]["dockerfile"], "Dockerfile");
}

#[tokio::test]
async fn a_failed_run_says_why() {
    let world = World::new().await;
    let path = world.submit().await;
    world.fail(&world.lease().await, false).await;
    let run = json_of(world.get(&path)).await;
    assert_eq!(
        (run["status"].as_str(), run["failure"]["kind"].as_str()),
        (Some("failed"), Some("run_failed"))
    );
    assert_eq!(run["failure"]["blame"], "user");
}

#[tokio::test]
async fn the_same_idempotency_key_makes_one_run() {
    let world = World::new().await;
    let send = async |body: &Value| {
        world.post(RUNS).header("idempotency-key", "\"7b\"").json(body).send().await.unwrap()
    };
    let (first, second) = (send(&body()).await, send(&body()).await);
    assert!(first.headers().get("idempotency-replayed").is_none());
    assert_eq!(second.headers()["idempotency-replayed"], "true");
    assert_eq!(second.status(), 201);
    let (first, second): (Value, Value) = (first.json().await.unwrap(), second.json().await.unwrap());
    assert_eq!(first["id"], second["id"]);
    let other = send(&json!({ "source": "https://example.com/other.git" })).await;
    let (status, kind, _) = problem(other).await;
    assert_eq!((status, kind.as_str()), (422, "idempotency_key_reused"));
}

#[tokio::test]
async fn waiting_ends_with_the_run() {
    let world = World::new().await;
    let path = world.submit().await;
    let leased = world.lease().await;
    let began = Instant::now();
    let short = world.get(&path).header("prefer", "wait=1").send().await.unwrap();
    assert_eq!(short.headers()["preference-applied"], "wait=1");
    assert_eq!(short.json::<Value>().await.unwrap()["status"], "started");
    assert!(began.elapsed() >= Duration::from_secs(1));

    let waiting = tokio::spawn(world.get(&path).header("prefer", "wait=60").send());
    world.fail(&leased, false).await;
    let run: Value = waiting.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(run["status"], "failed");
    assert!(began.elapsed() < Duration::from_secs(30), "it did not wait for the minute to end");
}

#[tokio::test]
async fn pages_lead_to_each_other() {
    let world = World::new().await;
    for _ in 0..3 {
        world.submit().await;
    }
    let first = world.get(&format!("{RUNS}?limit=2")).send().await.unwrap();
    let link = first.headers()["link"].to_str().unwrap().to_owned();
    let first: Value = first.json().await.unwrap();
    let next = link.strip_prefix('<').unwrap().split_once('>').unwrap().0.to_owned();
    assert!(next.contains(first["next_cursor"].as_str().unwrap()));
    let second = json_of(world.get(&next)).await;
    assert_eq!((first["runs"].as_array().unwrap().len(), second["runs"].as_array().unwrap().len()), (2, 1));
    assert!(second.get("next_cursor").is_none());
    for bad in ["?limit=0", "?limit=1000", "?cursor=x", "?status=done", "?page=2"] {
        let (status, kind, _) = problem(world.get(&format!("{RUNS}{bad}")).send().await.unwrap()).await;
        assert_eq!((status, kind.as_str()), (400, "parameter_invalid"), "{bad}");
    }
}

#[tokio::test]
async fn a_cancel_may_be_repeated_but_not_after_the_end() {
    let world = World::new().await;
    let path = world.submit().await;
    let cancel = || world.post(&format!("{path}/cancel")).send();
    let first = cancel().await.unwrap();
    assert_eq!(first.status(), 202);
    assert_eq!(first.json::<Value>().await.unwrap()["status"], "cancelled");
    assert_eq!(cancel().await.unwrap().status(), 200);

    let path = world.submit().await;
    let leased = world.lease().await;
    let run: Value = world.post(&format!("{path}/cancel")).send().await.unwrap().json().await.unwrap();
    assert_eq!((run["status"].as_str(), run["cancel_requested"].as_bool()), (Some("started"), Some(true)));
    world.fail(&leased, false).await;
    assert_eq!(json_of(world.get(&path)).await["status"], "cancelled");

    let path = world.submit().await;
    world.fail(&world.lease().await, false).await;
    let (status, kind, _) = problem(world.post(&format!("{path}/cancel")).send().await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (409, "run_finished"));
}

#[tokio::test]
async fn a_run_keeps_the_address_that_it_was_pushed_to() {
    let world = World::new().await;
    let path = world.submit().await;
    let moved = async |address: &str| {
        let patch = world.http.patch(world.url("/v1/registries/local")).json(&json!({ "address": address }));
        assert_eq!(patch.send().await.unwrap().status(), 200);
        json_of(world.get(&path)).await["images"][0]["reference"].clone()
    };
    assert_eq!(moved("first.example").await, "first.example/team/app:1", "it will be pushed there");
    let leased = world.lease().await;
    world.announce(&leased).await;
    let store = world.store;
    let publication =
        world.db.publisher.lease_publication(uuid::Uuid::now_v7(), store).await.unwrap().unwrap();
    assert_eq!(publication.registry_address, "first.example");
    assert_eq!(moved("second.example").await, "first.example/team/app:1", "it is pushed there");
    let listed = json_of(world.get(RUNS)).await;
    assert_eq!(listed["runs"][0]["images"][0]["reference"], "first.example/team/app:1");
}

/// ACR's users write the registry before the name.
#[tokio::test]
async fn the_own_registry_before_a_name_is_left_out_and_another_is_refused() {
    let world = World::new().await;
    let images = json!(["127.0.0.1:5000/team/app:1", "{{.Run.Registry}}/team/app:{{.Run.ID}}", "team/app:2"]);
    let shown = |run: &Value| {
        let id = run["id"].as_str().unwrap();
        let shown = [("1".to_owned()), id.to_owned(), "2".to_owned()];
        json!(shown.map(|tag| json!({ "reference": format!("127.0.0.1:5000/team/app:{tag}") })))
    };
    let mut quick = body();
    quick["images"] = images.clone();
    let run = json_of(world.post(RUNS).json(&quick)).await;
    assert_eq!(run["images"], shown(&run), "{run}");
    let task =
        json!({ "name": "app", "build": { "source": "https://example.com/team/app.git", "images": images } });
    let made = json_of(world.post("/v1/registries/local/tasks").json(&task)).await;
    assert_eq!(made["build"]["images"][0], "team/app:1", "{made}");
    let run = json_of(world.post("/v1/registries/local/tasks/app/runs").json(&json!({}))).await;
    assert_eq!(run["images"], shown(&run), "{run}");
    let elsewhere = json!({ "build": { "images": ["other.example/team/app:1"] } });
    let patch = world.http.patch(world.url("/v1/registries/local/tasks/app")).json(&elsewhere);
    quick["images"] = elsewhere["build"]["images"].clone();
    for request in [
        world.post(RUNS).json(&quick),
        world.post("/v1/registries/local/tasks/app/runs").json(&elsewhere),
        patch,
    ] {
        let (status, _, said) = problem(request.send().await.unwrap()).await;
        assert_eq!(status, 422, "{said}");
        assert!(said["hint"].as_str().unwrap().contains("own registry"), "{said}");
    }
}

/// The answer was lost; when the request comes again, what it names is gone.
#[tokio::test]
async fn a_key_is_looked_up_before_what_the_request_names() {
    let world = World::new().await;
    let credential = world.url("/v1/registries/local/credentials/git");
    world.http.put(&credential).json(&json!({ "kind": "git", "secret": "s" })).send().await.unwrap();
    let task = json!({ "name": "app", "build": { "source": "https://example.com/team/app.git", "images": ["app"] } });
    world.post("/v1/registries/local/tasks").json(&task).send().await.unwrap();
    let mut quick = body();
    quick["source_credential"] = json!("git");
    let send = async |path: &str, key: &str, body: &Value| {
        world.post(path).header("idempotency-key", key).json(body).send().await.unwrap()
    };
    let of_task = "/v1/registries/local/tasks/app/runs";
    let (quick_run, task_run) = (send(RUNS, "a", &quick).await, send(of_task, "b", &json!({})).await);
    assert_eq!((quick_run.status().as_u16(), task_run.status().as_u16()), (201, 201));
    let (quick_run, task_run): (Value, Value) =
        (quick_run.json().await.unwrap(), task_run.json().await.unwrap());
    world.db.execute("DELETE FROM slipway.credentials; DELETE FROM slipway.tasks").await;
    for (path, key, body, first) in [(RUNS, "a", &quick, quick_run), (of_task, "b", &json!({}), task_run)] {
        let again = send(path, key, body).await;
        assert_eq!(again.status(), 201, "{path}");
        assert_eq!(again.headers()["idempotency-replayed"], "true");
        assert_eq!(again.json::<Value>().await.unwrap()["id"], first["id"]);
        let other = send(path, key, &json!({ "build": {}, "source": "https://example.com/b.git" })).await;
        assert!(other.status().is_client_error());
    }
    assert_eq!(problem(send(RUNS, "c", &quick).await).await.1, "spec_invalid", "a new request is checked");
}

/// The ids of a list's pages, with `between` after each but the last; each page is where Link says.
async fn pages(world: &World, list: &str, kind: &str, between: impl AsyncFn()) -> Vec<String> {
    let (mut path, mut seen) = (list.to_owned(), Vec::new());
    loop {
        let answer = world.get(&path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let link = answer.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        let page: Value = answer.json().await.unwrap();
        let name = |thing: &Value| thing["id"].as_str().unwrap().to_owned();
        seen.extend(page[kind].as_array().unwrap().iter().map(name));
        assert_eq!(link.is_some(), page["next_cursor"].is_string(), "{page}");
        let Some(link) = link else { return seen };
        assert!(link.ends_with("; rel=\"next\""), "{link}");
        path = link[1..link.find('>').unwrap()].to_owned();
        between().await;
    }
}

#[tokio::test]
async fn pages_shift_for_nothing_that_comes_meanwhile_whatever_the_filter() {
    let world = World::new().await;
    let tasks = "/v1/registries/local/tasks";
    for name in ["a", "b"] {
        let task = json!({ "name": name, "build": { "source": "https://example.com/a.git" } });
        assert_eq!(world.post(tasks).json(&task).send().await.unwrap().status(), 201);
    }
    let run = async |task: &str| {
        let made = json_of(world.post(&format!("{tasks}/{task}/runs")).json(&json!({}))).await;
        made["id"].as_str().unwrap().to_owned()
    };
    let (mut all, mut of_a) = (Vec::new(), Vec::new());
    for number in 0..7 {
        let task = if number % 2 == 0 { "a" } else { "b" };
        let id = run(task).await;
        all.insert(0, id.clone());
        if task == "a" {
            of_a.insert(0, id);
        }
    }
    let more = async || {
        run("a").await;
        run("b").await;
    };
    let found = pages(&world, &format!("{RUNS}?limit=2&task=a&status=queued"), "runs", &more).await;
    assert_eq!(found, of_a);
    let found = pages(&world, &format!("{RUNS}?limit=3"), "runs", async || ()).await;
    assert!(found.ends_with(&all), "{found:?}");

    let deliver = "INSERT INTO slipway.deliveries (id, registry, hook_id, sender_id, event, headers, body, status)
        SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000000)::bigint), 16, '0') || left(md5(s || h.name), 16))::uuid,
            'local', h.id, gen_random_uuid(), 'push', '[]', '{}', s
        FROM slipway.hooks h, unnest(ARRAY['matched', 'ignored']) s";
    for hook in ["hub", "other"] {
        let hook = json!({ "name": hook, "host": "github" });
        world.post("/v1/registries/local/hooks").json(&hook).send().await.unwrap();
    }
    for _ in 0..5 {
        world.db.execute(deliver).await;
    }
    let ignored =
        "SELECT string_agg(d.id::text, ' ' ORDER BY d.id DESC) FROM slipway.deliveries d JOIN slipway.hooks h ON h.id = d.hook_id
         WHERE d.status = 'ignored' AND h.name = 'hub'";
    let expected = world.db.text(ignored).await.unwrap();
    let list = "/v1/registries/local/deliveries?limit=2&status=ignored&hook=hub";
    let found = pages(&world, list, "deliveries", async || world.db.execute(deliver).await).await;
    assert_eq!(found.join(" "), expected);
    let found = pages(&world, &format!("{tasks}?limit=1"), "tasks", async || ()).await;
    assert_eq!(found.len(), 2);
}

#[tokio::test]
async fn an_older_run_that_ends_later_says_which_newer_one_has_its_tag() {
    let world = World::new().await;
    let task = json!({ "name": "app", "build": { "source": "https://example.com/a.git", "images": ["app", "app:{{.Run.ID}}"] } });
    world.post("/v1/registries/local/tasks").json(&task).send().await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..2 {
        runs.push(json_of(world.post("/v1/registries/local/tasks/app/runs").json(&json!({}))).await);
    }
    let mut publications = std::collections::BTreeMap::new();
    for _ in 0..2 {
        let leased = world.lease().await;
        world.announce(&leased).await;
        world.build(&leased).await;
        let publication =
            world.db.publisher.lease_publication(uuid::Uuid::now_v7(), world.store).await.unwrap().unwrap();
        publications.insert(leased.run.to_string(), publication);
    }
    for run in runs.iter().rev() {
        let lease = &publications[run["id"].as_str().unwrap()].lease;
        world.db.publisher.begin_manifest(lease).await.unwrap();
        world.db.publisher.published(lease, &crate::world::digest('1')).await.unwrap();
    }
    let shown =
        async |run: &Value| json_of(world.get(&format!("{RUNS}/{}", run["id"].as_str().unwrap()))).await;
    let (older, newer) = (shown(&runs[0]).await, shown(&runs[1]).await);
    for run in [&older, &newer] {
        assert_eq!(run["status"], "succeeded", "{run}");
        assert_eq!(run["images"][1]["tag_skipped"], Value::Null, "a name of its own is no other's: {run}");
    }
    assert_eq!(older["images"][0]["tag_skipped"], json!({ "superseded_by": newer["id"] }), "{older}");
    assert_eq!(newer["images"][0]["tag_skipped"], Value::Null, "{newer}");
    let listed = json_of(world.get(&format!("{RUNS}?task=app"))).await;
    assert_eq!(listed["runs"][1]["images"], older["images"]);
}
