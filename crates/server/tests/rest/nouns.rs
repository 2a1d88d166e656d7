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
    for broken in [
        json!({ "kind": "git", "secret": SECRET, "sekret": SECRET }),
        json!({ "kind": "git", "secret": { SECRET: 1 } }),
        json!({ "kind": SECRET, "secret": "x" }),
        json!({ SECRET: 1 }),
        json!(SECRET),
        json!({ "kind": "git", "secret": 12345678 }),
    ] {
        let (status, kind, said) = problem(put(broken).send().await.unwrap()).await;
        assert_eq!((status, kind.as_str()), (400, "json_invalid"));
        assert!(!said.to_string().contains(SECRET) && !said.to_string().contains("12345678"), "{said}");
    }
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
}

/// Wherever an address is taken, one with a secret in it is refused before it is kept, and not repeated.
#[tokio::test]
async fn an_address_with_a_secret_in_it_is_nowhere_kept_and_nowhere_repeated() {
    let world = World::new().await;
    let hook = |repositories: Value| json!({ "name": "hub", "host": "github", "repositories": repositories });
    world.post("/v1/registries/local/hooks").json(&hook(json!([]))).send().await.unwrap();
    for address in [
        format!("https://ci:{SECRET}@example.com/team/app.git"),
        format!("https://ci:pa/{SECRET}@example.com/team/app.git"),
        format!("https://example.com/team/app.git?private_token={SECRET}"),
        format!("HTTPS://ci:{SECRET}@example.com/team/app.git"),
        format!("ftp://ci:{SECRET}@example.com/team/app.git"),
    ] {
        let task = json!({ "name": "app", "build": { "source": { "type": "git", "url": address } } });
        let patch = world.http.patch(world.url("/v1/registries/local/hooks/hub"));
        for (request, field) in [
            (world.post("/v1/registries/local/runs").json(&json!({ "source": address })), "body"),
            (world.post("/v1/registries/local/tasks").json(&task), "build.source"),
            (world.post("/v1/registries/local/hooks").json(&hook(json!([address]))), "repositories[0]"),
            (world.post("/v1/registries/local/hooks").json(&hook(json!(address))), "body"),
            (patch.json(&json!({ "repositories": address })), "body"),
            (world.post("/v1/registries").json(&json!({ "name": "x", "address": address })), "address"),
        ] {
            let answer = request.send().await.unwrap();
            // Without a user it is but a wrong address of a registry.
            if field == "address" && !address.contains('@') {
                continue;
            }
            let (status, _, said) = problem(answer).await;
            assert!(matches!(status, 400 | 422), "{address}: {said}");
            assert_eq!(said["field"], field, "{address}: {said}");
            assert!(!said.to_string().contains(SECRET), "{said}");
        }
    }
    let kept = world.db.text("SELECT count(*)::text FROM slipway.hooks WHERE repositories <> '[]'").await;
    assert_eq!(kept.as_deref(), Some("0"));
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

/// Keeps one of each kind, named by its kind.
async fn keep_credentials(world: &World) {
    let key = format!("whsec_{}", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    for (kind, secret) in [("git", SECRET), ("build", SECRET), ("registry", SECRET), ("webhook", &key)] {
        let mut body = json!({ "kind": kind, "secret": secret });
        if kind == "registry" {
            body["username"] = json!("ci");
        }
        let path = world.url(&format!("/v1/registries/local/credentials/{kind}"));
        assert_eq!(world.http.put(path).json(&body).send().await.unwrap().status(), 200, "{kind}");
    }
}

#[tokio::test]
async fn what_is_named_by_others_is_not_forgotten_and_keeps_its_kind() {
    let world = World::new().await;
    keep_credentials(&world).await;
    let mut task = task();
    task["build"]["source_credential"] = json!("git");
    task["build"]["secrets"] = json!({ "npmrc": "build" });
    task["notify"] = json!([{ "url": "https://example.com/hook", "credential": "webhook" }]);
    let mut pasted = task.clone();
    pasted["build"]["secrets"] = json!({ "npmrc": "hunter2 hunter2" });
    let refused = world.post("/v1/registries/local/tasks").json(&pasted).send().await.unwrap();
    assert_eq!(refused.status(), 422);
    let text = refused.text().await.unwrap();
    assert!(!text.contains("hunter2") && text.contains("not the name of a credential"), "{text}");
    assert_eq!(world.post("/v1/registries/local/tasks").json(&task).send().await.unwrap().status(), 201);
    let sign_in = json!({ "sign_in": { "type": "basic", "credential": "registry" } });
    let patched = world.http.patch(world.url("/v1/registries/local")).json(&sign_in).send().await.unwrap();
    assert_eq!(patched.status(), 200);
    for kind in ["git", "build", "webhook", "registry"] {
        let credential = world.url(&format!("/v1/registries/local/credentials/{kind}"));
        let put = async |body: Value| world.http.put(&credential).json(&body).send().await.unwrap();
        let gone = problem(world.http.delete(&credential).send().await.unwrap()).await;
        let by = if kind == "registry" { "the registry's sign-in" } else { "task app" };
        let words = format!("The credential `{kind}` is needed by {by}.");
        assert_eq!((gone.1.as_str(), gone.2["detail"].as_str()), ("in_use", Some(&*words)), "{}", gone.2);
        let other = if kind == "git" { "build" } else { "git" };
        let changed = problem(put(json!({ "kind": other, "secret": SECRET })).await).await;
        assert_eq!((changed.0, changed.1.as_str()), (409, "in_use"), "{kind}: {}", changed.2);
    }
    let registry = world.url("/v1/registries/local/credentials/registry");
    let nameless = json!({ "kind": "registry", "secret": SECRET });
    assert_eq!(problem(world.http.put(&registry).json(&nameless).send().await.unwrap()).await.1, "in_use");
    let anew = json!({ "kind": "registry", "username": "other", "secret": SECRET });
    assert_eq!(world.http.put(&registry).json(&anew).send().await.unwrap().status(), 200);
    let contributor = client(Some(&token(&world.db, Role::Contributor, None).await));
    let over = contributor.put(&registry).json(&anew).send().await.unwrap();
    assert_eq!(problem(over).await.1, "role_too_small", "as whom is pushed is not a contributor's to say");
    let git = world.url("/v1/registries/local/credentials/git");
    let own = json!({ "kind": "git", "secret": "another-secret" });
    assert_eq!(contributor.put(&git).json(&own).send().await.unwrap().status(), 200);
}

/// A task may be gone, or never have been, while its run still has to be built and told of.
#[tokio::test]
async fn what_an_unfinished_run_or_a_waiting_report_needs_is_not_forgotten() {
    let world = World::new().await;
    keep_credentials(&world).await;
    let delete = async |kind: &str| {
        let path = world.url(&format!("/v1/registries/local/credentials/{kind}"));
        let answer = world.http.delete(path).send().await.unwrap();
        if answer.status() == 204 { "gone".to_owned() } else { problem(answer).await.1 }
    };
    let mut run = crate::world::body();
    run["source_credential"] = json!("git");
    run["secrets"] = json!({ "npmrc": "build" });
    let told = json!({ "notify": [{ "url": "http://127.0.0.1:1/", "credential": "webhook" }] });
    world.http.patch(world.url("/v1/registries/local")).json(&told).send().await.unwrap();
    assert_eq!(world.post("/v1/registries/local/runs").json(&run).send().await.unwrap().status(), 201);
    let told = json!({ "notify": null });
    world.http.patch(world.url("/v1/registries/local")).json(&told).send().await.unwrap();
    for kind in ["git", "build", "webhook"] {
        assert_eq!(delete(kind).await, "in_use", "{kind}");
    }
    let leased = world.lease().await;
    world.fail(&leased, false).await;
    for kind in ["git", "build"] {
        assert_eq!(delete(kind).await, "gone", "{kind}");
    }
    assert_eq!(delete("webhook").await, "in_use", "a report waits");
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        let build = json!({ "source": "https://example.com/a.git", "source_credential": "git" });
        let task = json!({ "name": name, "build": build });
        world
            .http
            .put(world.url("/v1/registries/local/credentials/git"))
            .json(&json!({ "kind": "git", "secret": SECRET }))
            .send()
            .await
            .unwrap();
        assert_eq!(world.post("/v1/registries/local/tasks").json(&task).send().await.unwrap().status(), 201);
    }
    let refused = world.http.delete(world.url("/v1/registries/local/credentials/git")).send().await.unwrap();
    let said = problem(refused).await.2;
    assert_eq!(
        said["detail"],
        "The credential `git` is needed by task a, task b, task c, task d, task e, 2 more."
    );
    world.db.execute("DELETE FROM slipway.outbox").await;
    assert_eq!(delete("webhook").await, "gone");
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

#[tokio::test]
async fn a_source_over_ssh_wants_a_key_that_knows_its_host_and_no_other_does() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&file)
        .status();
    assert!(made.expect("ssh-keygen (Debian's package `openssh-client`)").success());
    let (key, public) = (std::fs::read_to_string(&file), std::fs::read_to_string(file.with_extension("pub")));
    let (key, hosts) = (key.unwrap(), format!("git.example {}", public.unwrap()));
    let put = |name: &str, credential: Value| {
        let address = world.url(&format!("/v1/registries/local/credentials/{name}"));
        world.http.put(address).json(&credential).send()
    };
    let (status, kind, said) =
        problem(put("ssh", json!({ "kind": "git", "secret": key })).await.unwrap()).await;
    assert_eq!(
        (status, kind.as_str(), said["field"].as_str()),
        (422, "credential_invalid", Some("known_hosts"))
    );
    assert!(said["hint"].as_str().unwrap().contains("ssh-keyscan"), "{said}");
    let kept = put("ssh", json!({ "kind": "git", "secret": key, "known_hosts": hosts })).await.unwrap();
    assert_eq!(kept.status(), 200);
    let kept = kept.text().await.unwrap();
    assert!(kept.contains("git.example") && !kept.contains("PRIVATE KEY"), "{kept}");
    put("token", json!({ "kind": "git", "secret": SECRET })).await.unwrap();
    for (source, credential, words) in [
        ("git@git.example:team/app.git", None, "needs a credential"),
        ("git@git.example:team/app.git", Some("token"), "is a token"),
        ("https://git.example/team/app.git", Some("ssh"), "is a key for ssh"),
        ("git@other.example:team/app.git", Some("ssh"), "no host key for other.example"),
        ("ssh://git:geheim@git.example/app.git", Some("ssh"), "carries a password"),
        ("ssh://-oProxyCommand=id@git.example/app.git", Some("ssh"), "user that is none"),
    ] {
        let body = json!({ "source": { "type": "git", "url": source }, "source_credential": credential });
        let (status, kind, said) =
            problem(world.post("/v1/registries/local/runs").json(&body).send().await.unwrap()).await;
        assert_eq!((status, kind.as_str()), (422, "spec_invalid"), "{source}: {said}");
        assert!(
            said["detail"].as_str().unwrap().contains(words) && !said.to_string().contains("geheim"),
            "{said}"
        );
        let task = json!({ "name": "app", "build": body });
        let (status, kind, _) =
            problem(world.post("/v1/registries/local/tasks").json(&task).send().await.unwrap()).await;
        assert_eq!((status, kind.as_str()), (422, "task_invalid"), "{source}");
    }
    for source in ["git@git.example:team/app.git#main", "ssh://git@Git.Example:2222/team/app.git"] {
        let body = json!({ "source": source, "source_credential": "ssh" });
        let made = world.post("/v1/registries/local/runs").json(&body).send().await.unwrap();
        assert_eq!(made.status(), 201, "{source}");
    }
}
