//! The forms as a browser's requests see them: who may, from where, what is refused and how, and that a secret is
//! in the answer that made it and in no other.

use model::Role;
use serde_json::{Value, json};

use crate::answers::{Browser, FORMS, header};
use crate::world::{World, json_of};

const V1: &str = "/v1/registries/local";

async fn furnish(world: &World) {
    let task = json!({ "name": "app", "build": { "source": "https://example.com/a.git#main", "build_args": { "A": "1\n2", "B": "x" } },
                       "triggers": [{ "type": "commit", "branches": ["main"] }, { "type": "pull_request" }] });
    world.post(&format!("{V1}/tasks")).json(&task).send().await.unwrap().error_for_status().unwrap();
    let hook = json!({ "name": "hub", "host": "github" });
    world.post(&format!("{V1}/hooks")).json(&hook).send().await.unwrap().error_for_status().unwrap();
    let credential = json!({ "kind": "build", "secret": "was-there" });
    let put = world.http.put(world.url(&format!("{V1}/credentials/npm")));
    put.json(&credential).send().await.unwrap().error_for_status().unwrap();
}

type Sent = Vec<(&'static str, &'static str)>;

/// What a form of that address needs a role for, with something that it would take.
fn deeds(token: &str) -> Vec<(String, Role, Sent)> {
    use Role::{Administrator, Contributor};
    let local = |path: &str| format!("/registries/local/{path}");
    let task =
        vec![("name", "new"), ("build.source", "https://example.com/b.git"), ("build.dockerfile", "D")];
    vec![
        (local("new-task"), Contributor, task.clone()),
        (local("tasks/app/edit"), Contributor, [task, vec![("version", "1")]].concat()),
        (local("tasks/app/disable"), Contributor, vec![("version", "2")]),
        (local("tasks/app/enable"), Contributor, vec![("version", "3")]),
        (local("new-hook"), Contributor, vec![("name", "new"), ("host", "gitea")]),
        (
            local("hooks/hub/edit"),
            Contributor,
            vec![("version", "1"), ("repositories", "https://example.com/a")],
        ),
        (local("hooks/hub/rotate"), Contributor, vec![("grace_seconds", "3600")]),
        (local("new-credential"), Contributor, vec![("name", "new"), ("kind", "build"), ("secret", "s")]),
        (local("credentials/npm/replace"), Contributor, vec![("kind", "build"), ("secret", "s")]),
        (
            local("edit"),
            Administrator,
            vec![
                ("version", "1"),
                ("address", "127.0.0.1:5001"),
                ("plain_http", "true"),
                ("sign_in.type", "anonymous"),
            ],
        ),
        (
            "/new-registry".into(),
            Administrator,
            vec![("name", "other"), ("address", "reg.example"), ("sign_in.type", "anonymous")],
        ),
        (
            "/new-token".into(),
            Administrator,
            vec![("name", "ci"), ("role", "reader"), ("expires_in_seconds", "86400")],
        ),
        (format!("/tokens/{token}/delete"), Administrator, vec![]),
        (local("tasks/app/delete"), Contributor, vec![("version", "4")]),
        (local("hooks/hub/delete"), Contributor, vec![("version", "3")]),
        (local("credentials/npm/delete"), Contributor, vec![]),
        ("/registries/spare/delete".into(), Administrator, vec![("version", "1")]),
    ]
}

#[tokio::test]
async fn every_form_is_refused_to_a_smaller_role_another_registry_and_another_site_and_done_for_who_may() {
    let world = World::new().await;
    furnish(&world).await;
    let _end = crate::world::token(&world.db, Role::Reader, Some("local")).await;
    let all = json_of(world.get("/v1/tokens")).await;
    let token =
        all["tokens"].as_array().unwrap().iter().find(|t| t["role"] == "reader").unwrap()["id"].clone();
    world.db.server.upsert_registry("spare", "127.0.0.1:5003", true).await.unwrap();
    world.db.server.upsert_registry("elsewhere", "127.0.0.1:5002", true).await.unwrap();
    let submitter = Browser::signed_in(&world, Role::Submitter, None).await;
    let contributor = Browser::signed_in(&world, Role::Contributor, None).await;
    let administrator = Browser::signed_in(&world, Role::Administrator, None).await;
    let others = Browser::signed_in(&world, Role::Administrator, Some("elsewhere")).await;
    let before = state(&world).await;
    let deeds = deeds(token.as_str().unwrap());
    for (path, role, sent) in &deeds {
        let smaller = if *role == Role::Contributor { &submitter } else { &contributor };
        assert_eq!(smaller.post(path, sent).send().await.unwrap().status(), 403, "{path}");
        if !path.ends_with("able") {
            assert_eq!(smaller.get(path).send().await.unwrap().status(), 403, "{path}");
        }
        if path != "/new-token" {
            let answer = others.post(path, sent).send().await.unwrap();
            assert!([403, 404].contains(&answer.status().as_u16()), "{path}: {}", answer.status());
        }
        let bare = administrator.with_cookie(administrator.http.post(world.url(path)).form(sent));
        assert_eq!(bare.send().await.unwrap().status(), 403, "{path} without Origin");
        let evil = administrator.with_cookie(administrator.http.post(world.url(path)).form(sent));
        let evil = evil.header("origin", "http://127.0.0.1:1").send().await.unwrap();
        assert_eq!(evil.status(), 403, "{path} from elsewhere");
    }
    assert_eq!(state(&world).await, before, "nothing of that did anything");
    for (path, role, sent) in &deeds {
        let who = if *role == Role::Contributor { &contributor } else { &administrator };
        if !path.ends_with("able") {
            who.text(path).await;
        }
        let answer = who.post(path, sent).send().await.unwrap();
        let status = answer.status().as_u16();
        assert!([200, 303].contains(&status), "{path}: {status} {}", answer.text().await.unwrap());
        if status == 303 {
            who.text(header(&answer, "location").split('#').next().unwrap()).await;
        }
    }
    assert_ne!(state(&world).await, before);
}

/// All that the forms change.
async fn state(world: &World) -> Vec<Value> {
    let mut there = Vec::new();
    for path in ["/tasks", "/hooks", "/credentials"] {
        there.push(json_of(world.get(&format!("{V1}{path}"))).await);
    }
    there.push(json_of(world.get("/v1/registries")).await);
    let tokens = json_of(world.get("/v1/tokens")).await;
    there.push(tokens["tokens"].as_array().unwrap().iter().map(|token| token["id"].clone()).collect());
    there
}

#[tokio::test]
async fn a_button_is_there_for_whoever_may_press_it() {
    let world = World::new().await;
    furnish(&world).await;
    let pages = ["/tasks", "/registries/local/tasks/app", "/registries/local", "/registries"];
    let deeds = |page: &str| {
        page.matches("/new-").count() + page.matches("/edit\"").count() + page.matches("/delete\"").count()
    };
    let mut seen = Vec::new();
    for role in Role::ALL {
        let browser = Browser::signed_in(&world, role, None).await;
        let mut counts = Vec::new();
        for page in pages {
            counts.push(deeds(&browser.text(page).await));
        }
        seen.push(counts);
    }
    assert_eq!(seen, [[0, 0, 0, 0], [0, 0, 0, 0], [1, 2, 5, 0], [1, 2, 7, 1]]);
}

#[tokio::test]
async fn a_secret_is_in_the_answer_that_made_it_and_in_no_other() {
    let world = World::new().await;
    furnish(&world).await;
    let browser = Browser::signed_in(&world, Role::Administrator, None).await;
    let made = [
        ("/registries/local/new-hook", vec![("name", "forge"), ("host", "standard")], "whsec_"),
        ("/registries/local/hooks/forge/rotate", vec![("grace_seconds", "3600")], "whsec_"),
        ("/new-token", vec![("name", "ci"), ("role", "reader")], "sw_"),
    ];
    let mut secrets = vec!["a-password-of-mine".to_owned()];
    for (path, sent, prefix) in made {
        let answer = browser.post(path, &sent).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), header(&answer, "cache-control")), (200, "no-store"), "{path}");
        let text = answer.text().await.unwrap();
        let start = text.find(&format!(">{prefix}")).unwrap_or_else(|| panic!("{path}: {text}")) + 1;
        secrets.push(text[start..start + text[start..].find('<').unwrap()].to_owned());
    }
    let sent = [("name", "git"), ("kind", "git"), ("username", "ann"), ("secret", "a-password-of-mine")];
    assert_eq!(browser.post("/registries/local/new-credential", &sent).send().await.unwrap().status(), 303);
    // Refused ones repeat all but the secret: the name is taken; a user with a colon.
    let wrong = [("name", "new"), ("kind", "git"), ("username", "a:b"), ("secret", "a-password-of-mine")];
    let mut texts = Vec::new();
    for (sent, kind, stays) in [(sent, "already_exists", "ann"), (wrong, "credential_invalid", "a:b")] {
        let answer = browser.post("/registries/local/new-credential", &sent).send().await.unwrap();
        assert_eq!(answer.status().as_u16() / 100, 4);
        let text = answer.text().await.unwrap();
        assert!(text.contains(kind) && text.contains(&format!("value=\"{stays}\"")), "{text}");
        texts.push(text);
    }
    let pages = [
        "/registries/local",
        "/registries/local/credentials/git/replace",
        "/registries/local/hooks/forge/rotate",
        "/registries/local/hooks/forge/edit",
        "/tokens",
    ];
    for page in pages {
        texts.push(browser.text(page).await);
    }
    assert!(texts.iter().any(|text| text.contains("the old secret ends <time")));
    for secret in &secrets {
        assert!(secret.len() > 16 && texts.iter().all(|text| !text.contains(secret)), "{secret}");
    }
    let opened = json_of(world.get(&format!("{V1}/credentials/git"))).await;
    assert_eq!(opened["username"], "ann");
}

#[tokio::test]
async fn what_the_api_refuses_comes_back_as_the_form_with_the_same_words() {
    let world = World::new().await;
    furnish(&world).await;
    let browser = Browser::signed_in(&world, Role::Administrator, None).await;
    let source = ("build.source", "https://example.com/b.git");
    let cases = [
        (
            "new-task",
            vec![("name", "Wrong"), source, ("build.dockerfile", "D")],
            "name",
            json!({ "name": "Wrong", "build": { "source": source.1 } }),
        ),
        (
            "new-task",
            vec![("name", "ok"), source, ("build.dockerfile", "/etc/x")],
            "build-dockerfile",
            json!({ "name": "ok", "build": { "source": source.1, "dockerfile": "/etc/x" } }),
        ),
        (
            "new-task",
            vec![("name", "ok"), source, ("build.dockerfile", "D"), ("build.secrets", "id=none")],
            "build-secrets",
            json!({ "name": "ok", "build": { "source": source.1, "secrets": { "id": "none" } } }),
        ),
        (
            "new-task",
            vec![
                ("name", "ok"),
                source,
                ("build.dockerfile", "D"),
                ("triggers[0].type", "commit"),
                ("triggers[0].remove", "true"),
                ("triggers[1].type", "commit"),
                ("triggers[1].branches", "main\r\na[b"),
            ],
            "triggers-0--branches",
            json!({ "name": "ok", "build": { "source": source.1 }, "triggers": [{ "type": "commit", "branches": ["main", "a[b"] }] }),
        ),
        (
            "new-task",
            vec![("name", "ok"), source, ("build.dockerfile", "D"), ("notify[0].url", "ftp://x")],
            "notify-0--url",
            json!({ "name": "ok", "build": { "source": source.1 }, "notify": [{ "url": "ftp://x", "credential": "" }] }),
        ),
        (
            "new-hook",
            vec![("name", "ok"), ("host", "github"), ("repositories", "https://a:b@c/d")],
            "repositories",
            json!({ "name": "ok", "host": "github", "repositories": ["https://a:b@c/d"] }),
        ),
        (
            "../../new-registry",
            vec![("name", "ok"), ("address", "https://x/y"), ("sign_in.type", "anonymous")],
            "address",
            json!({ "name": "ok", "address": "https://x/y" }),
        ),
        (
            "../../new-token",
            vec![("name", " "), ("role", "reader")],
            "name",
            json!({ "name": " ", "role": "reader" }),
        ),
    ];
    for (form, sent, field, body) in cases {
        let noun = format!("{}s", form.rsplit("new-").next().unwrap()).replace("registrys", "registries");
        let api = if form.starts_with("..") { format!("/v1/{noun}") } else { format!("{V1}/{noun}") };
        let refused = json_of(world.post(&api).json(&body)).await;
        let page = format!("/registries/local/{form}").replace("/registries/local/../..", "");
        let answer = browser.post(&page, &sent).send().await.unwrap();
        assert_eq!(
            u64::from(answer.status().as_u16()),
            refused["status"].as_u64().unwrap(),
            "{page} {refused}"
        );
        let text = answer.text().await.unwrap();
        let plain =
            text.replace("&#39;", "'").replace("&#34;", "\"").replace("&#60;", "<").replace("&#62;", ">");
        for said in ["detail", "hint"] {
            assert!(plain.contains(refused[said].as_str().unwrap()), "{page}: {refused} {text}");
        }
        assert!(
            text.contains(&format!("id=\"f-{field}-wrong\"")) && text.contains("aria-invalid"),
            "{field}: {text}"
        );
        assert!(!text.contains("a:b@"), "a password in an address is not repeated");
        let kept = sent.iter().find(|(name, _)| *name == "build.source" || *name == "name").unwrap().1;
        assert!(kept == " " || text.contains(&format!("value=\"{kept}\"")), "{kept}: {text}");
    }
}

#[tokio::test]
async fn saving_a_form_changes_what_was_touched_and_nothing_that_somebody_else_changed() {
    let world = World::new().await;
    furnish(&world).await;
    let browser = Browser::signed_in(&world, Role::Contributor, None).await;
    let sent = [
        ("version", "1"),
        ("build.source", "https://example.com/a.git#main"),
        ("build.dockerfile", "Dockerfile"),
        ("build.build_args", "A=1\r\n2\r\nB=x\r\n"),
        ("build.platform", ""),
        ("build.timeout_seconds", "60"),
        ("enabled", "true"),
        ("triggers[0].type", "commit"),
        ("triggers[0].branches", "main"),
        ("triggers[0].remove", "true"),
        ("triggers[1].type", "pull_request"),
    ];
    let edit = "/registries/local/tasks/app/edit";
    // The form can't say an argument with a line end; what nobody touches stays.
    assert_eq!(browser.post(edit, &sent).send().await.unwrap().status(), 303);
    let after = json_of(world.get(&format!("{V1}/tasks/app"))).await;
    assert_eq!(after["build"]["timeout_seconds"], 60);
    assert_eq!(after["build"]["build_args"], json!({ "A": "1\n2", "B": "x" }));
    assert_eq!(after["triggers"], json!([{ "type": "pull_request" }]));
    let late = browser.post(edit, &sent).send().await.unwrap();
    assert_eq!(late.status(), 412);
    assert!(late.text().await.unwrap().contains("value=\"60\""), "what was written is not lost");
    let with_another = sent.map(|(name, text)| match name {
        "version" => (name, "2"),
        "build.build_args" => (name, "A=1\r\n2\r\nB=y"),
        _ => (name, text),
    });
    let unsaid = browser.post(edit, &with_another).send().await.unwrap();
    assert_eq!(unsaid.status(), 400, "rather than another value than was meant");
    assert!(unsaid.text().await.unwrap().contains("Line 2 has no `=`."));
    let enabled = async || json_of(world.get(&format!("{V1}/tasks/app"))).await["enabled"].clone();
    for (deed, after) in [("disable", false), ("enable", true)] {
        let seen = version_in(&browser.text("/registries/local/tasks/app").await);
        let deed = format!("/registries/local/tasks/app/{deed}");
        browser.post(&deed, &[("version", seen.as_str())]).send().await.unwrap();
        assert_eq!(enabled().await, after);
    }
}

#[tokio::test]
async fn what_is_in_use_stays_and_the_question_says_why() {
    let world = World::new().await;
    furnish(&world).await;
    let patch = json!({ "build": { "secrets": { "npm": "npm" } } });
    let patched = world.http.patch(world.url(&format!("{V1}/tasks/app"))).json(&patch).send().await.unwrap();
    assert_eq!(patched.status(), 200);
    world.submit().await;
    let browser = Browser::signed_in(&world, Role::Administrator, None).await;
    for path in ["/registries/local/credentials/npm/delete", "/registries/local/delete"] {
        let answer = browser.post(path, &[("version", "1")]).send().await.unwrap();
        assert_eq!(answer.status(), 409, "{path}");
        let text = answer.text().await.unwrap();
        assert!(text.contains("in_use") && text.contains("Nothing was changed"), "{text}");
    }
    assert_eq!(FORMS.len(), 7, "the walks above know them");
}

/// The version that a page's form holds.
fn version_in(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"version\" value=\"").expect("a form with a version");
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn nothing_is_removed_or_switched_that_somebody_else_changed_since_it_was_shown() {
    let world = World::new().await;
    furnish(&world).await;
    world.db.server.upsert_registry("spare", "127.0.0.1:5003", true).await.unwrap();
    let browser = Browser::signed_in(&world, Role::Administrator, None).await;
    let patch = async |path: &str, body: Value| {
        let patched = world.http.patch(world.url(path)).json(&body).send().await.unwrap();
        assert_eq!(patched.status(), 200, "{path}");
    };
    let cases = [
        ("registries/local/tasks/app", "", "disable", json!({ "build": { "target": "a" } })),
        ("registries/local/tasks/app", "delete", "delete", json!({ "build": { "target": "b" } })),
        (
            "registries/local/hooks/hub",
            "delete",
            "delete",
            json!({ "repositories": ["https://example.com/x"] }),
        ),
        ("registries/spare", "delete", "delete", json!({ "address": "127.0.0.1:5004" })),
    ];
    for (thing, shown_at, deed, change) in cases {
        let shown_at = format!("/{thing}/{shown_at}");
        let show = async || browser.text(shown_at.trim_end_matches('/')).await;
        let seen = version_in(&show().await);
        patch(&format!("/v1/{thing}"), change).await;
        let deed = format!("/{thing}/{deed}");
        for stale in [vec![("version", seen.as_str())], vec![]] {
            let answer = browser.post(&deed, &stale).send().await.unwrap();
            assert_eq!(answer.status(), 412, "{deed} {stale:?}");
            let text = answer.text().await.unwrap();
            assert!(text.contains("Somebody else changed it meanwhile"), "{deed}: {text}");
        }
        assert_eq!(world.get(&format!("/v1/{thing}")).send().await.unwrap().status(), 200, "it stays");
        let now = version_in(&show().await);
        let done = browser.post(&deed, &[("version", now.as_str())]).send().await.unwrap();
        assert!(done.status().is_redirection(), "{deed}: {}", done.status());
    }
}
