//! A service that has been at work for a day: tasks, a hook with deliveries, runs in every state, one under way with
//! its steps and its log.

use database::{LeasedRun, VertexRecord};
use model::VertexResult;
use reqwest::Response;
use serde_json::json;
use std::time::Duration;

use crate::world::World;

/// The addresses of the pages of one thing.
pub(crate) struct Furnished {
    /// Under way; its lease is kept.
    pub(crate) run: String,
    pub(crate) leased: LeasedRun,
    pub(crate) failed: String,
    pub(crate) task: String,
    pub(crate) delivery: String,
}

const LOG: &str = "#1 [internal] load git source https://git.example/team/shop.git#3f786850e3\n#1 0.412 Fetching 3f78685: 214 objects\n\
#1 DONE 0.9s\n#2 [base 1/2] FROM debian:12\n#2 CACHED\n#3 [build 1/4] RUN apt-get install -y make gcc\n#3 CACHED\n\
#4 [build 2/4] COPY Cargo.toml Cargo.lock .\n#4 DONE 0.1s\n#5 [build 3/4] RUN cargo build --release\n\
#5 1.204 \x1b[1m\x1b[32m   Compiling\x1b[0m serde v1.0.229\n#5 2.731 \x1b[1m\x1b[32m   Compiling\x1b[0m tokio v1.54.1\n\
#5 4.022 \x1b[1m\x1b[33mwarning\x1b[0m\x1b[1m: unused variable: `basket`\x1b[0m\n#5 4.022   \x1b[34m-->\x1b[0m src/basket.rs:41:9\n\
#6 [assets 1/2] RUN npm ci --no-audit\n#6 0.804 added 214 packages in 3s\n#6 DONE 3.2s\n\
#5 6.310 \x1b[1m\x1b[32m   Compiling\x1b[0m shop v0.9.4\n";

async fn made(answer: reqwest::RequestBuilder) -> Response {
    let answer = answer.send().await.unwrap();
    assert!(answer.status().is_success(), "{:?}", answer.text().await);
    answer
}

pub(crate) async fn furnish(world: &World) -> Furnished {
    let v1 = "/v1/registries/local";
    for (name, source, trigger) in [
        (
            "shop",
            "https://git.example/team/shop.git#main",
            json!({ "type": "commit", "branches": ["main", "release/*"] }),
        ),
        (
            "docs",
            "https://git.example/team/shop.git#main:docs",
            json!({ "type": "commit", "paths": ["docs/**"] }),
        ),
        ("nightly", "https://git.example/team/tools.git", json!({ "type": "pull_request" })),
    ] {
        let build = json!({ "source": source, "images": [format!("team/{name}:{{{{.Run.Commit}}}}"), format!("team/{name}:latest")] });
        let task = json!({ "name": name, "build": build, "triggers": [trigger] });
        made(world.post(&format!("{v1}/tasks")).json(&task)).await;
    }
    let hook = json!({ "name": "forge", "host": "gitea", "repositories": ["https://git.example/team/shop"] });
    made(world.post(&format!("{v1}/hooks")).json(&hook)).await;
    let credential = json!({ "kind": "git", "username": "builder", "secret": "not-a-real-one" });
    made(world.http.put(world.url(&format!("{v1}/credentials/git"))).json(&credential)).await;
    world.db.execute(ROWS).await;
    let mut paths = Vec::new();
    for _ in 0..3 {
        paths.push(world.submit().await);
    }
    let leased = world.lease().await;
    world.log(&leased, 0, LOG.as_bytes()).await;
    world.db.execute(&format!(
        "UPDATE slipway.attempts SET started_at = now() - interval '41 seconds' WHERE run_id = '{0}';
         UPDATE slipway.step_runs SET started_at = now() - interval '40 seconds' WHERE run_id = '{0}';
         UPDATE slipway.runs SET started_at = now() - interval '41 seconds', created_at = now() - interval '52 seconds' WHERE id = '{0}'",
        leased.run
    )).await;
    vertices(world, &leased).await;
    let text = async |query: &str| world.db.text(query).await.unwrap();
    let failed = text("SELECT id::text FROM slipway.runs WHERE status = 'failed' ORDER BY id LIMIT 1").await;
    let delivery = text("SELECT id::text FROM slipway.deliveries WHERE status = 'matched' LIMIT 1").await;
    Furnished {
        run: paths[0].strip_prefix("/v1").unwrap().to_owned(),
        leased,
        failed: format!("/registries/local/runs/{failed}"),
        task: "/registries/local/tasks/shop".to_owned(),
        delivery: format!("/registries/local/deliveries/{delivery}"),
    }
}

async fn vertices(world: &World, leased: &LeasedRun) {
    use VertexResult::{Cached, Executed};
    let rows = [
        ("load git source", None, None, 900, Some((Executed, 2100))),
        ("FROM debian:12", Some("base"), Some(1), 2200, Some((Cached, 2210))),
        ("RUN apt-get install -y make gcc", Some("build"), Some(3), 2220, Some((Cached, 2240))),
        ("COPY Cargo.toml Cargo.lock .", Some("build"), Some(4), 2250, Some((Executed, 2900))),
        ("RUN cargo build --release", Some("build"), Some(5), 2950, None),
        ("RUN npm ci --no-audit", Some("assets"), Some(9), 2300, Some((Executed, 21_500))),
    ];
    let mut records = Vec::new();
    for (number, (name, stage, line, started, ended)) in (1..).zip(rows) {
        records.push(VertexRecord {
            number,
            name: name.to_owned(),
            stage: stage.map(str::to_owned),
            line,
            started: Duration::from_millis(started),
            ended: ended.map(|(result, at)| (result, Duration::from_millis(at))),
        });
    }
    world.db.worker.record_vertices(leased.run, leased.epoch, &leased.token, &records).await.unwrap();
}

/// Runs and deliveries of the last hours, as the database would have them.
const ROWS: &str = r#"
CREATE FUNCTION pg_temp.id(at timestamptz, number integer) RETURNS uuid LANGUAGE sql AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000' || '8000' || lpad(to_hex(number), 12, '0'))::uuid $$;
INSERT INTO slipway.deliveries (id, registry, hook_id, sender_id, event, headers, body, received_at, status, summary, decisions, worked_at)
SELECT pg_temp.id(now() - n * interval '17 minutes', n), 'local', h.id, 'd-' || n, e.event,
    '[["x-gitea-event", "push"], ["user-agent", "Go-http-client/1.1"], ["content-type", "application/json"]]',
    convert_to('{"ref":"refs/heads/main","after":"3f786850e387550fdab836ed7e6dc881de23001b","repository":{"clone_url":"https://git.example/team/shop.git"},"pusher":{"login":"ann"}}', 'UTF8'),
    now() - n * interval '17 minutes', e.status, e.summary, e.decisions::jsonb, now() - n * interval '17 minutes'
FROM slipway.hooks h, generate_series(1, 9) n,
LATERAL (SELECT * FROM (VALUES
    (0, 'push', 'matched', 'push to main of git.example/team/shop: matched task shop: branch main',
        '[{"task":"shop","starts":true,"reason":"branch main"},{"task":"docs","starts":false,"reason":"no path matched"}]'),
    (1, 'push', 'ignored', 'push to feature/basket of git.example/team/shop: ignored: task shop: branch feature/basket is not main, release/*', '[{"task":"shop","starts":false,"reason":"branch feature/basket is not main, release/*"}]'),
    (2, 'ping', 'ignored', 'ping', '[]')) v (k, event, status, summary, decisions) WHERE v.k = n % 3) e;
INSERT INTO slipway.runs (id, registry, spec, status, max_attempts, created_at, started_at, finished_at, revision, digest, failure, task, task_id, cause)
SELECT pg_temp.id(t.at, n), 'local',
    jsonb_build_object('source', jsonb_build_object('type', 'git', 'url', 'https://git.example/team/shop.git', 'ref', md5(n::text) || '00000000'),
        'images', jsonb_build_array('team/shop:' || left(md5(n::text), 12), 'team/shop:latest')),
    s.status::slipway.run_status, 3, t.at, t.at + interval '4 seconds', t.at + (20 + n * 3) * interval '1 second',
    jsonb_build_object('commit', md5(n::text) || '00000000', 'committed_at', 1700000000),
    CASE WHEN s.status = 'succeeded' THEN 'sha256:' || md5(n::text) || md5('x' || n) END, s.failure::jsonb, 'shop', k.id,
    jsonb_build_object('type', 'commit', 'hook', 'forge', 'host', 'gitea', 'delivery', d.id, 'commit', md5(n::text) || '00000000',
        'reason', 'branch main', 'ref', 'refs/heads/' || (ARRAY['main', 'release/1.4', 'main', 'feature/a-rather-long-branch-name-that-somebody-chose'])[1 + n % 4], 'pusher', (ARRAY['ann', 'bob'])[1 + n % 2])
FROM generate_series(1, 24) n, slipway.tasks k, (SELECT id FROM slipway.deliveries WHERE status = 'matched' LIMIT 1) d,
LATERAL (SELECT now() - n * interval '23 minutes' AS at) t,
LATERAL (SELECT CASE WHEN n % 7 = 3 THEN 'failed' WHEN n % 11 = 5 THEN 'timed_out' WHEN n % 9 = 4 THEN 'cancelled' ELSE 'succeeded' END AS status) s0,
LATERAL (SELECT s0.status, CASE s0.status
    WHEN 'failed' THEN '{"kind":"command_failed","blame":"user","message":"The command `cargo build --release` ended with exit code 101.","hint":"The lines before it in the log say why.","location":{"file":"Dockerfile","line":12,"text":"RUN cargo build --release","column":0,"width":0}}'
    WHEN 'timed_out' THEN '{"kind":"timed_out","blame":"limits","message":"The run took longer than its 3600 s.","hint":"Raise `timeout_seconds`, or make the build shorter."}' END AS failure) s
WHERE k.name = 'shop';
"#;
