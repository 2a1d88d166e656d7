//! A hostile cell, played by the test at the other end of the port: it asks for each forbidden thing.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod images;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use broker::{Broker, GitSecret, RunSecrets, Secret};
use content::Store;
use database::{CreateRun, NewRun, NewWorker};
use model::{BuildSpec, Platform, RunLimits, SourceSpec, WorkerId, WorkerLimits};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::TestDatabase;
use uuid::Uuid;

use super::*;
use crate::answers::Means;
use crate::cgroup::Cgroups;
use crate::disk::Disk;
use crate::limits::Limits;
use crate::ssh::Starter;

const SECRET: &str = "hunter2-of-the-source";

/// A run that was leased, with everything around it but a real cell.
struct World {
    db: TestDatabase,
    store: Arc<Store>,
    host: Host,
    leased: LeasedRun,
    policy: egress::Policy,
    folder: TempDir,
}

/// A path that was asked for, and the credential that came along.
type Seen = (String, Option<String>);

/// A git host that redirects one repository to another, and another host.
struct Host {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Host {
    /// `/declared.git` leads to `/other.git`; `/elsewhere.git` to another origin.
    fn start(elsewhere: Option<&str>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen: Arc<Mutex<Vec<_>>> = Arc::default();
        let (seen_here, elsewhere) = (Arc::clone(&seen), elsewhere.map(str::to_owned));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let lines = BufReader::new(connection.try_clone().unwrap()).lines();
                let lines: Vec<String> =
                    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let path = lines[0].split(' ').nth(1).unwrap().to_owned();
                let credential =
                    lines.iter().find_map(|line| line.strip_prefix("authorization: ").map(str::to_owned));
                let answer = match (&elsewhere, path.strip_prefix("/declared.git")) {
                    (Some(origin), Some(rest)) => redirect(&format!("http://{origin}/declared.git{rest}")),
                    (None, Some(rest)) => redirect(&format!("/other.git{rest}")),
                    _ => {
                        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
                    }
                };
                seen_here.lock().unwrap().push((path, credential));
                let _ = connection.write_all(answer.as_bytes());
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

impl World {
    async fn new(host: Host) -> Self {
        Self::at(host, "127.0.0.1:1").await
    }

    /// With the run's registry at an address.
    async fn at(host: Host, registry: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path()).unwrap());
        let db = TestDatabase::new().await;
        db.server.upsert_registry("local", registry, true).await.unwrap();
        let worker = WorkerId(Uuid::now_v7());
        let (name, platform) = ("w".into(), Platform::host());
        let new =
            NewWorker { id: worker, store: store.id(), name, platform, slots: 1, limits: WorkerLimits::None };
        db.worker.register_worker(&new).await.unwrap();
        let url = format!("http://{}/declared.git", host.address);
        let spec = BuildSpec::new(SourceSpec::parse_git(&url).unwrap());
        let CreateRun::Created(_) = db.server.create_run(NewRun::quick("local", spec)).await.unwrap() else {
            panic!("it is new")
        };
        let leased = db.worker.lease_next(worker).await.unwrap().unwrap();
        // As an administrator configured the git host.
        let origin = format!("http://{}", host.address).parse().unwrap();
        let policy = egress::Policy::new(Vec::new(), vec![origin]);
        Self { db, store, host, leased, policy, folder }
    }

    /// With another registry that an administrator configured.
    fn letting(mut self, registry: &str) -> Self {
        self.policy = self.policy.with_origin(format!("http://{registry}").parse().unwrap());
        self
    }

    /// The worker's end of the port serves whatever `cell` asks; answers the run's outcome.
    async fn serve(&self, cell: impl FnOnce(Cell) + Send + 'static) -> Option<Outcome> {
        self.serve_until(CancellationToken::new(), cell).await
    }

    /// The same, and it is told to stop.
    async fn serve_until(
        &self,
        stop: CancellationToken,
        cell: impl FnOnce(Cell) + Send + 'static,
    ) -> Option<Outcome> {
        let LeasedRun { run, attempt, epoch, token, .. } = self.leased.clone();
        let lease = Lease { run, attempt, epoch, token };
        let git = GitSecret { username: None, secret: Secret::new(SECRET), known_hosts: None };
        let granted = Granted {
            desk: Desk::new(Broker::at("/nowhere".into()).patient(Duration::ZERO), lease.clone()),
            preflight: futures_util::FutureExt::shared(futures_util::FutureExt::boxed(std::future::ready(
                Ok(()),
            ))),
            secrets: RunSecrets { git: Some(git), ..RunSecrets::default() },
        };
        let hold = Arc::new(Holding::default()).hold(lease.clone());
        let (preflight, mask) = (granted.preflight.clone(), mask_of(&granted.secrets));
        let http = egress::Client::new(&egress::Options::default(), self.policy.clone()).unwrap();
        let (store, database) = (Arc::clone(&self.store), self.db.worker.clone());
        let ssh = Starter::start(tokio::runtime::Handle::current(), self.policy.clone()).unwrap();
        let blobs = Arc::new(self.store.hold(Holder { run, attempt }));
        let range = cell::Range { start: 0, count: 0 };
        let cells = crate::house::Cells {
            spawner: cell::Spawner::start(self.folder.path().to_owned()).unwrap(),
            ids: cell::Ids { users: range, groups: range },
        };
        let unpacker = crate::unpack::Unpacker { cells, cores: 1, turns: Arc::default() };
        let (guard, asker) = self.guard();
        let means = Means { store, database, http, pulls: Arc::default(), ssh, unpacker, asker };
        let answers = Answers::new(means, self.leased.clone(), lease.clone(), blobs, granted, 0);
        let (told, writers) = Told::start(self.db.worker.clone(), &lease, &mask, Instant::now(), None);
        let (ours, theirs) = Channel::pair().unwrap();
        let playing = tokio::task::spawn_blocking(move || cell(Cell { port: theirs, next: 0 }));
        let outcome = converse(Arc::new(ours), answers, preflight, &hold, &told, &guard, &stop).await;
        playing.await.unwrap();
        drop(told);
        writers.finish().await;
        outcome
    }
}

impl World {
    /// Over a run without limits.
    fn guard(&self) -> (Guard, Asker) {
        let cgroup = Arc::new(Cgroups::at(Vec::new()).make("none", &RunLimits::default()).unwrap());
        let LeasedRun { run, attempt, scope, .. } = self.leased.clone();
        let attempt = Attempt { run, attempt, scope, boot_id: String::new() };
        let watched = Arc::new(Disk::default()).watch(attempt.clone(), Arc::clone(&cgroup));
        let asker = Asker { attempt, cgroup: Arc::clone(&cgroup), share: watched.share() };
        (Guard::over(watched, cgroup, Limits::default(), "Dockerfile"), asker)
    }
}

/// The cell's end of the port, which says what it likes.
struct Cell {
    port: Channel,
    next: u64,
}

impl Cell {
    /// The answer's failure, or what was given.
    fn ask(&mut self, question: &Value) -> Result<Value, Failure> {
        self.next += 1;
        self.port.send(&json!({ "ask": { "id": self.next, "question": question } }), &[]).unwrap();
        loop {
            let message = self.port.receive::<Value>().unwrap().expect("the worker answers").message;
            let answer = &message["answer"];
            if answer["id"] == self.next {
                return serde_json::from_value(answer["answer"].clone()).unwrap();
            }
        }
    }

    fn tell(&self, event: &Value) {
        self.port.send(&json!({ "vertex": event }), &[]).unwrap();
    }

    fn refused(&mut self, question: &Value) -> String {
        let answer = self.ask(question);
        answer.expect_err(&format!("{question} is refused")).kind
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_cell_gets_nothing_that_its_run_does_not_declare() {
    let world = World::new(Host::start(None)).await;
    let hidden = content::digest_of(b"another scope's");
    let mut file = world.store.new_blob().unwrap();
    file.write_all(b"another scope's").unwrap();
    world.store.link(&file, "trusted-other", &hidden).unwrap();
    // The git host is the administrator's origin, and no file of a stranger's Dockerfile.
    let origin = format!("http://{}/other.git/HEAD", world.host.address);
    let outcome = world.serve(move |mut cell| {
        for (url, kind) in [
            (origin.as_str(), "address_denied"),
            ("http://127.0.0.1:1/v2/", "address_denied"),
            ("http://2130706433/", "address_denied"),
            ("http://[::ffff:127.0.0.1]/", "address_denied"),
            ("file:///etc/passwd", "url_invalid"),
            ("http://user:password@127.0.0.1:1/", "url_invalid"),
        ] {
            assert_eq!(cell.refused(&json!({ "fetch_url": { "url": url } })), kind, "{url}");
        }
        // The run's own registry is 127.0.0.1:1.
        let image: model::ImageReference = "127.0.0.1:2/a:1".parse().unwrap();
        let resolve = json!({ "resolve": { "image": image, "platform": Platform::host() } });
        assert_eq!(cell.refused(&resolve), "address_denied");
        assert_eq!(cell.refused(&json!("upload")), "port_protocol", "this run has no upload");
        assert_eq!(cell.refused(&json!({ "stored_blob": { "digest": hidden } })), "blob_missing");
        assert_eq!(
            cell.refused(&json!({ "stored_blob": { "digest": hidden, "scope": "trusted-other" } })),
            "blob_missing"
        );
        let revision = json!({ "commit": "latest", "committed_at": 0 });
        cell.refused(&json!({ "source_found": { "revision": revision } }));
        let kind = cell.refused(&json!("git_refs"));
        assert_eq!(kind, "repository_not_found_or_private");
        // What the port has no word for ends the cell.
        cell.port.send(&json!({ "ask": { "id": 99, "question": { "git_receive_pack": {} } } }), &[]).unwrap();
        assert!(cell.port.receive::<Value>().map_or(true, |packet| packet.is_none()), "the port is closed");
    });
    let Some(Outcome::Failed { failure, .. }) = outcome.await else { panic!("the run fails") };
    assert_eq!(failure.kind, "cell_died");
    let seen = world.host.seen();
    assert!(seen[0].0.starts_with("/declared.git/info/refs?service=git-upload-pack") && seen[0].1.is_some());
    assert!(seen[1].0.starts_with("/other.git/"), "{seen:?}");
    assert_eq!(seen[1].1, None, "the credential is for the declared repository alone");
    assert!(seen.iter().all(|(path, _)| !path.contains("receive-pack")), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_that_asks_and_never_reads_is_answered_no_more_and_can_still_be_stopped() {
    const QUESTIONS: u64 = 200_000;
    let world = World::new(Host::start(None)).await;
    let stop = CancellationToken::new();
    let outcome = world.serve_until(stop.clone(), move |cell| {
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        // Blocked in the end, until the process is gone: nobody kills this cell.
        std::thread::spawn(move || {
            for id in 1..=QUESTIONS {
                let question = json!({ "ask": { "id": id, "question": "upload" } });
                if cell.port.send(&question, &[]).is_err() {
                    return;
                }
                asked.store(id, Ordering::Relaxed);
            }
        });
        let mut before = 0;
        loop {
            std::thread::sleep(Duration::from_millis(300));
            match count.load(Ordering::Relaxed) {
                now if now > 0 && now == before => break,
                now => before = now,
            }
        }
        assert!(before < QUESTIONS, "all of it was taken");
        stop.cancel();
    });
    let Some(Outcome::HandedBack(failure)) = outcome.await else { panic!("the run is handed back") };
    assert_eq!(failure.kind, "worker_stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_repository_is_asked_for_in_vain() {
    let world = World::new(Host::start(None)).await;
    let other = format!("http://{}/other.git", world.host.address);
    world
        .serve(move |mut cell| {
            // Whatever is said beside the question, the address is the run's own.
            for question in [json!({ "git_refs": { "url": other } }), json!({ "git_refs": null })] {
                let id = json!({ "ask": { "id": 1, "question": question } });
                let _ = cell.port.send(&id, &[]);
            }
            while cell.port.receive::<Value>().is_ok_and(|packet| packet.is_some()) {}
            drop(cell.port);
            cell.next = 0;
        })
        .await;
    let seen = world.host.seen();
    assert!(
        seen.iter().all(|(path, credential)| path.starts_with("/declared.git") || credential.is_none()),
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_does_not_follow_to_another_origin() {
    let elsewhere = Host::start(None);
    let world = World::new(Host::start(Some(&elsewhere.address))).await;
    world
        .serve(|mut cell| {
            assert_eq!(cell.refused(&json!("git_refs")), "repository_moved");
        })
        .await;
    assert_eq!(world.host.seen().len(), 1);
    assert_eq!(elsewhere.seen(), [], "the other origin was not even asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_can_not_make_rows_without_end_nor_of_another_run() {
    let world = World::new(Host::start(None)).await;
    let other = Uuid::now_v7();
    let outcome = world.serve(move |cell| {
        let start = |number: u64, name: &str| {
            let line = number.saturating_mul(u64::from(u32::MAX));
            json!({ "started": { "number": number, "name": name, "stage": name, "line": line.min(u64::from(u32::MAX)),
                "run": other, "attempt": 2 } })
        };
        let long = "long\0".repeat(1000);
        cell.tell(&start(1, &format!("RUN echo {SECRET}\u{1b}[2J\nsecond line")));
        for number in (0..6000).chain([u64::from(u32::MAX)]) {
            cell.tell(&start(number, &long));
        }
        for (number, result) in
            [(2, "running"), (3, "executed"), (3, "failed"), (3, "cached"), (4, "failed"), (4, "executed"), (9999, "failed")]
        {
            cell.tell(&json!({ "ended": { "number": number, "result": result } }));
        }
        let failure = Failure::user("enough", "It is enough.", "");
        cell.port.send(&json!({ "finish": { "failed": { "failure": failure, "revision": null } } }), &[]).unwrap();
    });
    let Some(Outcome::Failed { failure, .. }) = outcome.await else { panic!("the run fails") };
    assert_eq!(failure.kind, "enough");
    let attempts = world.db.server.run_steps(world.leased.run).await.unwrap();
    let [attempt] = attempts.as_slice() else { panic!("{attempts:?}") };
    let vertices = &attempt.steps[0].vertices;
    let count = world.db.text("SELECT count(*)::text FROM slipway.vertex_runs").await;
    assert_eq!((vertices.len(), count.as_deref()), (4096, Some("4096")), "all of this run");
    assert!(vertices.iter().map(|vertex| vertex.number).eq(1..=4096));
    assert_eq!(vertices[0].name, "RUN echo ***\u{1b}[2J", "the first word counts, one line, masked");
    let fits = |vertex: &database::VertexRow| {
        vertex.name.chars().count() <= 200
            && vertex.stage.as_ref().is_some_and(|stage| stage.chars().count() <= 200)
    };
    assert!(vertices.iter().all(fits));
    let results: Vec<_> = vertices[1..5].iter().map(|vertex| vertex.result.as_str()).collect();
    assert_eq!(results, ["running", "failed", "failed", "running"]);
}
