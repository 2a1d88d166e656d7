//! The page for operators as a browser's requests see it: who may, from where, and what the answers carry.

use std::time::Duration;

use database::{Forget, Keep};
use model::{Cause, DeliveryId, GitHost, HookEvent, Role};
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, Response, redirect};
use serde_json::json;
use uuid::Uuid;

use crate::world::{World, json_of, problem, token};

/// A browser: it says that it shows HTML, and goes nowhere by itself.
pub(crate) struct Browser {
    pub(crate) http: Client,
    address: String,
    /// As `name=value`.
    cookie: Option<String>,
}

impl Browser {
    fn new(world: &World) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("accept", "text/html,application/xhtml+xml,*/*;q=0.8".parse().unwrap());
        let http = Client::builder().no_proxy().redirect(redirect::Policy::none()).default_headers(headers);
        Self { http: http.build().unwrap(), address: world.address.clone(), cookie: None }
    }

    pub(crate) async fn signed_in(world: &World, role: Role, registry: Option<&str>) -> Self {
        let mut browser = Self::new(world);
        browser.cookie = Some(format!("slipway_token={}", token(&world.db, role, registry).await));
        browser
    }

    pub(crate) fn with_cookie(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.with_cookie(self.http.get(format!("{}{path}", self.address)))
    }

    /// A form of our own page.
    pub(crate) fn post(&self, path: &str, form: &[(&str, &str)]) -> RequestBuilder {
        let request = self.http.post(format!("{}{path}", self.address)).header("origin", &self.address);
        self.with_cookie(request.form(form))
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        let answer = self.get(path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }
}

pub(crate) fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Every page but those of one thing.
const PAGES: [&str; 9] = [
    "/",
    "/runs",
    "/tasks",
    "/deliveries",
    "/workers",
    "/registries",
    "/registries/local",
    "/tokens",
    "/problems",
];

/// Every form but those of one thing.
pub(crate) const FORMS: [&str; 7] = [
    "/registries/local/new-task",
    "/registries/local/new-hook",
    "/registries/local/new-credential",
    "/registries/local/edit",
    "/registries/local/delete",
    "/new-registry",
    "/new-token",
];

pub(crate) const EVIL: &str = r#"<script>alert(1)</script><img src=x onerror=alert(2)>"'&"#;

/// A run and a delivery whose every text is a stranger's; their addresses.
pub(crate) async fn hostile(world: &World) -> Vec<String> {
    let task = json!({ "name": "app", "build": { "source": "https://example.com/team/app.git", "dockerfile": EVIL } });
    world.post("/v1/registries/local/tasks").json(&task).send().await.unwrap().error_for_status().unwrap();
    let hook = json!({ "name": "hook", "host": "github" });
    world.post("/v1/registries/local/hooks").json(&hook).send().await.unwrap().error_for_status().unwrap();
    let delivery = Uuid::now_v7();
    let decisions = json!([{ "task": EVIL, "starts": false, "reason": EVIL }]);
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    world
        .db
        .execute(&format!(
            "INSERT INTO slipway.deliveries (id, registry, hook_id, sender_id, event, headers, body, status, summary, decisions)
             SELECT '{delivery}', 'local', id, {0}, {0}, {1}, convert_to({0}, 'UTF8'), 'ignored', {0}, {2} FROM slipway.hooks",
            quoted(EVIL),
            quoted(&json!([[EVIL, EVIL]]).to_string()),
            quoted(&decisions.to_string())
        ))
        .await;
    let path = world.submit().await;
    let id = path.rsplit('/').next().unwrap();
    let event = HookEvent {
        hook: EVIL.to_owned(),
        host: GitHost::Github,
        delivery: DeliveryId(delivery),
        commit: Some(EVIL.to_owned()),
        reason: EVIL.to_owned(),
    };
    let cause = Cause::Commit {
        event,
        reference: format!("refs/heads/{EVIL}"),
        pusher: Some(EVIL.to_owned()),
        rerun: None,
    };
    let cause = serde_json::to_string(&cause).unwrap();
    world.db.execute(&format!("UPDATE slipway.runs SET cause = {} WHERE id = '{id}'", quoted(&cause))).await;
    let leased = world.lease().await;
    world.log(&leased, 0, format!("{EVIL}\n").as_bytes()).await;
    let run = path.strip_prefix("/v1").unwrap().to_owned();
    vec![run, "/registries/local/tasks/app".into(), format!("/registries/local/deliveries/{delivery}")]
}

#[tokio::test]
async fn a_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_get() {
    let world = World::new().await;
    let browser = Browser::new(&world);
    let wrong = browser.post("/login", &[("token", "sw_wrong")]).send().await.unwrap();
    assert_eq!((wrong.status().as_u16(), header(&wrong, "set-cookie")), (401, ""));
    assert!(header(&wrong, "content-type").starts_with("text/html"));
    assert!(wrong.text().await.unwrap().contains("not known here"));

    let text = token(&world.db, Role::Reader, None).await;
    let sent = [("token", text.as_str()), ("next", "/runs?status=failed")];
    let right = browser.post("/login", &sent).send().await.unwrap();
    assert_eq!((right.status().as_u16(), header(&right, "location")), (303, "/runs?status=failed"));
    let cookie = header(&right, "set-cookie");
    assert!(cookie.starts_with(&format!("slipway_token={text}; ")), "{cookie}");
    for part in ["Path=/", "HttpOnly", "SameSite=Strict", "Max-Age="] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "a browser would keep it back on plain loopback: {cookie}");

    let elsewhere = [("token", text.as_str()), ("next", "//evil.example/")];
    let answer = browser.post("/login", &elsewhere).send().await.unwrap();
    assert_eq!(header(&answer, "location"), "/");
    let strangers = browser.http.post(format!("{}/login", world.address)).form(&sent);
    assert_eq!(strangers.send().await.unwrap().status(), 403, "no Origin");
    let out = browser.post("/logout", &[]).send().await.unwrap();
    assert_eq!(header(&out, "location"), "/login");
    assert!(header(&out, "set-cookie").contains("Max-Age=0"), "{:?}", out.headers());
}

#[tokio::test]
async fn behind_tls_the_cookie_travels_over_tls_only() {
    let world = World::with(server::Config { behind_proxy: true, ..server::Config::default() }).await;
    let text = token(&world.db, Role::Reader, None).await;
    let answer = Browser::new(&world).post("/login", &[("token", &text)]).send().await.unwrap();
    assert!(header(&answer, "set-cookie").ends_with("; Secure"), "{:?}", answer.headers());
}

#[tokio::test]
async fn whoever_tries_tokens_is_slowed_down() {
    let rate = server::Rate::new(1, 3);
    let world = World::with(server::Config { login_rate: rate, ..server::Config::default() }).await;
    let browser = Browser::new(&world);
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(browser.post("/login", &[("token", "sw_x")]).send().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses[..3], [401, 401, 401]);
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn behind_a_proxy_one_who_tries_tokens_locks_nobody_else_out() {
    let rate = server::Rate::new(1, 3);
    let tried = async |behind_proxy: bool, from: &[&str]| {
        let config = server::Config { login_rate: rate, behind_proxy, ..server::Config::default() };
        let world = World::with(config).await;
        let browser = Browser::new(&world);
        let mut statuses = Vec::new();
        for from in from {
            let request = browser.post("/login", &[("token", "sw_x")]).header("x-forwarded-for", *from);
            statuses.push(request.send().await.unwrap().status().as_u16());
        }
        statuses
    };
    let one = ["203.0.113.1", "9.9.9.9, 203.0.113.1", "8.8.8.8, 203.0.113.1"];
    let from = [&one[..], &["7.7.7.7, 203.0.113.1", "6.6.6.6, 203.0.113.1", "203.0.113.2"]].concat();
    let statuses = tried(true, &from).await;
    assert_eq!(statuses[..3], [401, 401, 401]);
    assert!(statuses[3..5].contains(&429), "what it says of itself changes nothing: {statuses:?}");
    assert_eq!(statuses[5], 401, "somebody else is let try");
    let without = ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4", "203.0.113.5"];
    assert!(tried(false, &without).await.contains(&429), "without a proxy nobody wrote it but the stranger");
}

#[tokio::test]
async fn a_browser_without_a_token_is_led_to_the_form_and_a_program_is_not() {
    let world = World::new().await;
    let browser = Browser::new(&world);
    for path in PAGES {
        let answer = browser.get(path).send().await.unwrap();
        let to = if path == "/" {
            "/login".to_owned()
        } else {
            format!("/login?next={}", path.replace('/', "%2F"))
        };
        assert_eq!((answer.status().as_u16(), header(&answer, "location")), (303, to.as_str()), "{path}");
        let program = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = program.get(world.url(path)).send().await.unwrap();
        let (status, kind, _) = problem(answer).await;
        assert_eq!((status, kind.as_str()), (401, "unauthenticated"), "{path}");
    }
    // A link of a git host: the browser kept the cookie back, and sends it when our own page asks.
    let led = browser.get("/runs?task=a%22b").header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(led.status(), 200);
    let text = led.text().await.unwrap();
    assert!(text.contains(r#"http-equiv="refresh" content="0; url=/runs?task=a%22b""#), "{text}");
}

#[tokio::test]
async fn what_a_role_may_not_do_has_no_button_and_is_refused() {
    let world = World::new().await;
    world.db.server.upsert_registry("other", "127.0.0.1:5001", true).await.unwrap();
    let pages = hostile(&world).await;
    let [run, task, delivery] = [0, 1, 2].map(|at| pages[at].clone());
    let reader = Browser::signed_in(&world, Role::Reader, None).await;
    let submitter = Browser::signed_in(&world, Role::Submitter, None).await;
    let contributor = Browser::signed_in(&world, Role::Contributor, None).await;
    let elsewhere = Browser::signed_in(&world, Role::Administrator, Some("other")).await;
    for (page, button) in [(&run, format!("{run}/cancel")), (&task, format!("{task}/run"))] {
        assert!(!reader.text(page).await.contains(&button), "{page}");
        assert!(submitter.text(page).await.contains(&button), "{page}");
    }
    let replay = format!("{delivery}/replay");
    assert!(!submitter.text(&delivery).await.contains(&replay));
    assert!(contributor.text(&delivery).await.contains(&replay));
    assert!(!contributor.text("/").await.contains("/tokens"));
    assert_eq!(contributor.get("/tokens").send().await.unwrap().status(), 403);

    for (browser, action) in [
        (&reader, format!("{run}/cancel")),
        (&reader, format!("{run}/rerun")),
        (&reader, format!("{task}/run")),
        (&submitter, replay.clone()),
        (&elsewhere, format!("{run}/cancel")),
    ] {
        let answer = browser.post(&action, &[]).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{action}");
        assert!(header(&answer, "content-type").starts_with("text/html"), "{action}");
    }
    for page in [&run, &task, &delivery] {
        assert_eq!(elsewhere.get(page).send().await.unwrap().status(), 403, "{page}");
    }
    let others = ["/runs?registry=local", "/tasks?registry=local", "/deliveries?registry=local"];
    for list in others {
        assert_eq!(elsewhere.get(list).send().await.unwrap().status(), 403, "{list}");
    }
    assert!(!elsewhere.text("/runs").await.contains("team/app"), "another registry's run");
    assert!(!elsewhere.text("/workers").await.contains("team/app"), "another registry's run");

    // With the cookie, but from a page of another site, or from none.
    let cancel = format!("{run}/cancel");
    let bare = submitter.with_cookie(submitter.http.post(world.url(&cancel)));
    assert_eq!(bare.send().await.unwrap().status(), 403);
    let evil = submitter.with_cookie(submitter.http.post(world.url(&cancel)));
    assert_eq!(evil.header("origin", "http://127.0.0.1:1").send().await.unwrap().status(), 403);
    let run_path = format!("/v1{run}");
    assert_eq!(
        json_of(world.get(&run_path)).await["cancel_requested"],
        false,
        "nothing of that did anything"
    );

    let done = submitter.post(&cancel, &[]).send().await.unwrap();
    assert_eq!((done.status().as_u16(), header(&done, "location")), (303, run.as_str()));
    assert_eq!(json_of(world.get(&run_path)).await["cancel_requested"], true);
    let started = submitter.post(&format!("{task}/run"), &[]).send().await.unwrap();
    assert!(header(&started, "location").starts_with("/registries/local/runs/"), "{:?}", started.headers());
    let replayed = contributor.post(&replay, &[]).send().await.unwrap();
    assert_eq!((replayed.status().as_u16(), header(&replayed, "location")), (303, delivery.as_str()));
}

#[tokio::test]
async fn the_cookie_serves_over_http_2_as_well() {
    let world = World::new().await;
    let run = world.submit().await.strip_prefix("/v1").unwrap().to_owned();
    let browser = Browser::signed_in(&world, Role::Submitter, None).await;
    let http = Client::builder()
        .no_proxy()
        .http2_prior_knowledge()
        .redirect(redirect::Policy::none())
        .build()
        .unwrap();
    let cancel = http.post(world.url(&format!("{run}/cancel"))).header("origin", &world.address);
    let answer = browser.with_cookie(cancel).send().await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, 303));
}

#[tokio::test]
async fn every_page_forbids_strange_script_and_shows_strangers_text_as_text() {
    let world = World::new().await;
    let mut pages = hostile(&world).await;
    pages.extend(PAGES.map(str::to_owned));
    pages.extend(FORMS.map(str::to_owned));
    pages.push("/registries/local/tasks/app/edit".to_owned());
    pages.push("/login".to_owned());
    pages.push("/nowhere/<b>".to_owned());
    let browser = Browser::signed_in(&world, Role::Administrator, None).await;
    let mut shown = 0;
    for page in pages {
        let answer = browser.get(&page).send().await.unwrap();
        let policy = header(&answer, "content-security-policy").to_owned();
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{page}: {policy}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff", "{page}");
        assert_eq!(header(&answer, "cache-control"), "no-store", "{page}");
        let text = answer.text().await.unwrap();
        shown += text.matches("&#60;script&#62;alert(1)").count();
        for forbidden in
            ["<script>", "<img src=x", "<style", " style=", "onerror=alert(2)>", "javascript:", "<b>"]
        {
            assert!(!text.contains(forbidden), "{page} holds {forbidden}");
        }
        assert_eq!(text.matches("<script").count(), 1, "{page}");
        assert_eq!(text.matches("<h1").count(), 1, "{page}");
        for landmark in
            ["<header", "<main id=\"content\"", "class=\"skip\" href=\"#content\"", "<html lang=\"en\""]
        {
            assert!(text.contains(landmark), "{page} lacks {landmark}");
        }
    }
    assert!(shown >= 12, "the strangers' text was not on the pages: {shown}");
}

#[tokio::test]
async fn script_and_style_are_asked_for_once_a_version() {
    let world = World::new().await;
    let browser = Browser::new(&world);
    let login = browser.text("/login").await;
    let addresses = ["/assets/style-", "/assets/page-"].map(|start| {
        let rest = &login[login.find(start).expect("it is named")..];
        rest[..rest.find('"').unwrap()].to_owned()
    });
    for address in addresses {
        let first = browser.get(&address).send().await.unwrap();
        assert_eq!(first.status(), 200, "{address}");
        assert!(header(&first, "cache-control").contains("immutable"), "{address}");
        let etag = header(&first, "etag").to_owned();
        let again = browser.get(&address).header("if-none-match", &etag).send().await.unwrap();
        assert_eq!((again.status().as_u16(), header(&again, "etag")), (304, etag.as_str()), "{address}");
        assert_eq!(again.text().await.unwrap(), "");
        let other = browser.get(&address).header("if-none-match", "\"other\"").send().await.unwrap();
        assert_eq!(other.status(), 200, "{address}");
    }
    assert_eq!(browser.get("/assets/icon.svg").send().await.unwrap().status(), 200);
    assert_eq!(browser.get("/assets/page-0.js").send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn an_error_is_a_page_for_a_browser_with_kind_hint_and_request() {
    let world = World::new().await;
    let browser = Browser::signed_in(&world, Role::Reader, None).await;
    let nobody = Uuid::nil();
    for (path, status, kind) in [
        ("/nothing/here".to_owned(), 404, "route_not_found"),
        (format!("/registries/local/runs/{nobody}"), 404, "run_not_found"),
        ("/registries/prod".to_owned(), 404, "registry_not_found"),
        ("/runs?status=done".to_owned(), 400, "parameter_invalid"),
        ("/runs?commit=zz".to_owned(), 400, "parameter_invalid"),
        ("/runs?foo=1".to_owned(), 400, "parameter_invalid"),
        ("/runs?limit=many".to_owned(), 400, "parameter_invalid"),
        ("/runs?limit=201".to_owned(), 400, "parameter_invalid"),
        ("/tasks?foo=1".to_owned(), 400, "parameter_invalid"),
        ("/deliveries?foo=1".to_owned(), 400, "parameter_invalid"),
        ("/tokens".to_owned(), 403, "role_too_small"),
    ] {
        let answer = browser.get(&path).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        let id = header(&answer, "x-request-id").to_owned();
        let text = answer.text().await.unwrap();
        assert!(text.contains(&format!("<code>{kind}</code>")) && text.contains(&id), "{path}: {text}");
    }
}

#[tokio::test]
async fn the_whole_log_is_a_file_of_text_however_long() {
    let world = World::new().await;
    let run = world.submit().await.strip_prefix("/v1").unwrap().to_owned();
    let leased = world.lease().await;
    let piece = format!("{}\n", "0123456789abcde<script>".repeat(45)).repeat(64);
    let mut whole = String::new();
    while whole.len() < 3 << 20 {
        world.log(&leased, i64::try_from(whole.len()).unwrap(), piece.as_bytes()).await;
        whole += &piece;
    }
    let browser = Browser::signed_in(&world, Role::Reader, None).await;
    let answer = browser.get(&format!("{run}/log")).send().await.unwrap();
    assert_eq!(header(&answer, "content-type"), "text/plain; charset=utf-8");
    assert_eq!(header(&answer, "content-security-policy"), "default-src 'none'; sandbox");
    assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
    assert!(answer.text().await.unwrap() == whole, "every byte, in order");
    let page = browser.text(&run).await;
    assert!(page.contains("Its last part") && page.len() < 400 << 10, "{}", page.len());
    assert_eq!(browser.get(&format!("{run}/log?attempt=2")).send().await.unwrap().status(), 404);
    world.fail(&leased, false).await;
    let keep = Keep { logs: Duration::ZERO, ..Keep::default() };
    while world.db.server.forget(Forget::Logs, &keep).await.unwrap() > 0 {}
    let page = browser.text(&run).await;
    assert!(page.contains("It was removed <time") && !page.contains("data-log="), "{page}");
    assert_eq!(browser.get(&format!("{run}/log")).send().await.unwrap().status(), 410);
}
