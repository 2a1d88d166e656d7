//! How fast the service around the queue is: a delivery until its answer, at 200 a second; a delivery until
//! its run is leased; a log line until a reader has it; a page of a list that little matches. First with an empty database, then with a million ended
//! runs and ten thousand tasks. Needs `SLIPWAY_TEST_POSTGRES` (`scripts/with-postgres`). Writes one JSON object
//! to standard output. Absent: the 200 ms for which a worker gathers lines before it writes them.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a service")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use database::{Hint, LeasedRun, NewToken, NewWorker, Outcome};
use model::{Failure, Platform, Role, StoreId, WorkerId};
use serde_json::{Value, json};
use server::{Config, Rate};
use test_support::TestDatabase;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const A_SECOND: u32 = 200;
const DELIVERIES: u32 = 3000;
const LEASES: usize = 300;
const LINES: usize = 1000;
const LISTS: usize = 200;

#[tokio::main]
async fn main() {
    let world = World::start().await;
    world.settle().await;
    let empty = world.measure(0).await;
    world.fill().await;
    let full = world.measure(1).await;
    let mut report = serde_json::Map::new();
    for ((what, empty), (_, full)) in empty.iter().zip(&full) {
        let row = json!({ "empty": format!("{empty:.1} ms"), "full": format!("{full:.1} ms"), "ratio": format!("{:.2}", full / empty) });
        report.insert((*what).to_owned(), row);
    }
    println!("{:#}", Value::Object(report));
    world.stop.cancel();
}

struct World {
    db: TestDatabase,
    http: reqwest::Client,
    address: String,
    hook: String,
    secret: String,
    worker: WorkerId,
    stop: CancellationToken,
    /// Rung when there may be a run to lease.
    bell: Arc<Notify>,
}

impl World {
    async fn start() -> Self {
        let db = TestDatabase::new().await;
        db.server.upsert_registry("local", "127.0.0.1:5000", true).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        vault::make_key_file(&folder.path().join("key")).unwrap();
        let vault = vault::Vault::open(&folder.path().join("key")).unwrap();
        let stop = CancellationToken::new();
        let config = Config { token_rate: Rate::new(5000, 5000), ..Config::default() };
        tokio::spawn(server::serve(config, db.server.clone(), vault, listener, stop.clone()));
        let token = vault::Token::random().unwrap();
        let new = NewToken {
            name: "bench".to_owned(),
            hash: token.hash,
            shown: token.shown,
            role: Role::Administrator,
            registry: None,
            created_by: None,
            expires_in_seconds: None,
        };
        db.server.create_token(&new).await.unwrap();
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("authorization", format!("Bearer {}", token.text.expose()).parse().unwrap());
        let http = reqwest::Client::builder().no_proxy().default_headers(headers).build().unwrap();
        let worker = WorkerId(Uuid::now_v7());
        let (store, name) = (StoreId(Uuid::now_v7()), "bench".to_owned());
        db.worker
            .register_worker(&NewWorker {
                id: worker,
                store,
                name,
                platform: Platform::host(),
                slots: 1,
                limits: model::WorkerLimits::None,
            })
            .await
            .unwrap();
        let bell = Arc::new(Notify::new());
        let (mut hints, rung) = (db.worker.hints(), Arc::clone(&bell));
        tokio::spawn(async move {
            loop {
                if let Hint::Run(_) | Hint::Unknown = hints.next().await {
                    rung.notify_one();
                }
            }
        });
        let mut world =
            Self { db, http, address, hook: String::new(), secret: String::new(), worker, stop, bell };
        world.make_task().await;
        world
    }

    async fn make_task(&mut self) {
        let task = json!({
            "name": "bench",
            "build": { "source": "https://git.example.com/team/bench.git#main", "images": ["bench:{{.Run.ID}}"] },
            "triggers": [{ "type": "commit" }],
        });
        self.create("tasks", task).await;
        let hook = self.create("hooks", json!({ "name": "bench", "host": "gitlab" })).await;
        let url: reqwest::Url = hook["address"].as_str().unwrap().parse().unwrap();
        self.secret = hook["secret"].as_str().unwrap().to_owned();
        self.hook = format!("{}{}", self.address, url.path());
    }

    async fn create(&self, kind: &str, body: Value) -> Value {
        let address = format!("{}/v1/registries/local/{kind}", self.address);
        let answer = self.http.post(address).json(&body).send().await.unwrap();
        let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert!(status.is_success(), "{body}");
        body
    }

    /// Beside the bench's own task and runs; without the triggers, which would queue them.
    async fn fill(&self) {
        self.db
            .execute(
                "SET session_replication_role = replica;
                 INSERT INTO slipway.tasks (id, registry, name, spec, repository)
                 SELECT gen_random_uuid(), 'local', 'task-' || n, t.spec, 'git.example.com/team/app-' || n
                 FROM slipway.tasks t, generate_series(1, 10000) n WHERE t.name = 'bench';
                 INSERT INTO slipway.runs (id, registry, spec, status, max_attempts, created_at, started_at, finished_at, digest, task_id, task, cause_key)
                 SELECT gen_random_uuid(), 'local', r.spec, 'succeeded', 3, now(), now(), now(), 'sha256:' || repeat('0', 64),
                     t.id, t.name, 'refs/heads/main@' || n
                 FROM (SELECT spec FROM slipway.runs LIMIT 1) r, generate_series(1, 100) n, slipway.tasks t WHERE t.name <> 'bench';
                 INSERT INTO slipway.deliveries (id, registry, hook_id, sender_id, event, headers, body, status)
                 SELECT gen_random_uuid(), 'local', h.id, 'old-' || n, 'push', '[]', '{}', 'ignored'
                 FROM slipway.hooks h, generate_series(1, 200000) n;
                 SET session_replication_role = DEFAULT;",
            )
            .await;
        // What a service that has run for years has behind it: autovacuum would begin with the million rows within a
        // minute, beside what is measured.
        self.settle().await;
        let runs = self.db.text("SELECT count(*)::text FROM slipway.runs WHERE status = 'succeeded'").await;
        assert_eq!(runs.as_deref(), Some("1000000"));
    }

    /// Nothing is left to be done by autovacuum or the checkpointer.
    async fn settle(&self) {
        self.db.execute("VACUUM (ANALYZE)").await;
        self.db.execute("CHECKPOINT").await;
    }

    async fn measure(&self, round: u32) -> Vec<(&'static str, f64)> {
        let mut answers = self.answers(round).await;
        self.drain().await;
        let mut leases = Vec::new();
        for number in 0..LEASES {
            leases.push(self.leased(round, number).await);
        }
        let mut lines = self.lines(round).await;
        let mut of_task = self.listed("runs?task=task-77").await;
        let mut failed = self.listed("runs?status=failed").await;
        let mut refused = self.listed("deliveries?status=failed").await;
        vec![
            ("delivery to answer at 200 a second, p50", at(&mut answers, 0.5)),
            ("delivery to answer at 200 a second, p99", at(&mut answers, 0.99)),
            ("delivery to leased, p50", at(&mut leases, 0.5)),
            ("delivery to leased, p99", at(&mut leases, 0.99)),
            ("log line to reader, p50", at(&mut lines, 0.5)),
            ("log line to reader, p95", at(&mut lines, 0.95)),
            ("runs of a task, p95", at(&mut of_task, 0.95)),
            ("failed runs, p95", at(&mut failed, 0.95)),
            ("failed deliveries, p95", at(&mut refused, 0.95)),
        ]
    }

    /// The first page of a list, again and again.
    async fn listed(&self, list: &str) -> Vec<Duration> {
        let address = format!("{}/v1/registries/local/{list}", self.address);
        let mut took = Vec::new();
        for _ in 0..LISTS {
            let began = Instant::now();
            let answer = self.http.get(&address).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            answer.bytes().await.unwrap();
            took.push(began.elapsed());
        }
        took
    }

    /// Each is sent at its moment, whether those before were answered or not: a slow answer can't slow the rest.
    async fn answers(&self, round: u32) -> Vec<Duration> {
        let begin = tokio::time::Instant::now();
        let mut sent = Vec::new();
        for number in 0..DELIVERIES {
            let due = begin + Duration::from_secs(1) * number / A_SECOND;
            tokio::time::sleep_until(due).await;
            let delivery = self.delivery(&format!("c{round:07x}{number:032x}"));
            sent.push(tokio::spawn(async move {
                assert_eq!(delivery.send().await.unwrap().status(), 202);
                due.elapsed()
            }));
        }
        let mut took = Vec::new();
        for one in sent {
            took.push(one.await.unwrap());
        }
        took
    }

    fn delivery(&self, commit: &str) -> reqwest::RequestBuilder {
        let body = json!({
            "object_kind": "push", "ref": "refs/heads/main", "before": "1".repeat(40), "after": commit, "checkout_sha": commit,
            "user_username": "bench", "total_commits_count": 1, "commits": [{ "id": commit, "added": [], "modified": ["a"], "removed": [] }],
            "project": { "path_with_namespace": "team/bench", "git_http_url": "https://git.example.com/team/bench.git", "default_branch": "main" },
        });
        let delivery = self.http.post(&self.hook).json(&body).header("x-gitlab-token", &self.secret);
        delivery.header("x-gitlab-event", "Push Hook").header("idempotency-key", Uuid::new_v4().to_string())
    }

    /// The next run, as a worker waits for it.
    async fn lease(&self) -> LeasedRun {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            assert!(Instant::now() < deadline, "a delivery made no run");
            let rung = self.bell.notified();
            if let Some(leased) = self.db.worker.lease_next(self.worker).await.unwrap() {
                return leased;
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), rung).await;
        }
    }

    async fn end(&self, leased: &LeasedRun) {
        let outcome = Outcome::Failed { failure: Failure::user("bench", "", ""), revision: None };
        let LeasedRun { run, epoch, token, scope, .. } = leased;
        self.db.worker.finish(*run, *epoch, token, scope, &outcome).await.unwrap();
    }

    /// Ends what the deliveries have started.
    async fn drain(&self) {
        for _ in 0..DELIVERIES {
            let leased = self.lease().await;
            self.end(&leased).await;
        }
    }

    async fn leased(&self, round: u32, number: usize) -> Duration {
        let delivery = self.delivery(&format!("a{round:07x}{number:032x}"));
        let began = Instant::now();
        let sent = tokio::spawn(delivery.send());
        let leased = self.lease().await;
        let took = began.elapsed();
        assert_eq!(sent.await.unwrap().unwrap().status(), 202);
        self.end(&leased).await;
        took
    }

    async fn lines(&self, round: u32) -> Vec<Duration> {
        assert_eq!(self.delivery(&format!("b{round:07x}{:032x}", 0)).send().await.unwrap().status(), 202);
        let leased = self.lease().await;
        let address = format!("{}/v1/registries/local/runs/{}/logs", self.address, leased.run);
        let mut reader = self.http.get(address).header("accept", "text/event-stream").send().await.unwrap();
        let (mut took, mut offset) = (Vec::new(), 0);
        for number in 0..LINES {
            let line = format!("line {number} of the bench\n");
            let began = Instant::now();
            let written = self.db.worker.append_log(
                leased.run,
                leased.epoch,
                &leased.token,
                leased.attempt,
                offset,
                line.as_bytes(),
            );
            written.await.unwrap();
            read_until(&mut reader, line.trim()).await;
            took.push(began.elapsed());
            offset += i64::try_from(line.len()).unwrap();
        }
        self.end(&leased).await;
        took
    }
}

async fn read_until(reader: &mut reqwest::Response, text: &str) {
    let mut heard = String::new();
    while !heard.contains(text) {
        heard += &String::from_utf8_lossy(&reader.chunk().await.unwrap().expect("the stream goes on"));
    }
}

/// Milliseconds at that share of the sorted times.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an index"
)]
fn at(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
}
