//! How fast the queue is: from enqueue to lease, and leases a second. Needs `SLIPWAY_TEST_POSTGRES`
//! (`scripts/with-postgres`). Writes one JSON object to standard output.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a service")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use database::{Database, NewRun, NewWorker, Outcome};
use model::{BuildSpec, Failure, Platform, SourceSpec, StoreId, WorkerId};
use test_support::TestDatabase;
use tokio::sync::Notify;
use uuid::Uuid;

const LATENCIES: usize = 500;
const BACKLOG: usize = 3000;
const LEASERS: usize = 8;

#[tokio::main]
async fn main() {
    let db = TestDatabase::new().await;
    db.server.upsert_registry("local", "127.0.0.1:5000", true).await.unwrap();
    let mut latencies = latencies(&db).await;
    latencies.sort();
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let index = ((latencies.len() - 1) as f64 * share) as usize;
        format!("{:.2} ms", latencies[index].as_secs_f64() * 1e3)
    };
    let report = serde_json::json!({
        "enqueue to lease, p50": at(0.5),
        "enqueue to lease, p99": at(0.99),
        format!("leases a second, {LEASERS} leasers, {BACKLOG} queued"): leases_a_second(&db).await,
    });
    println!("{report:#}");
}

fn new_run() -> NewRun {
    let source = SourceSpec::parse_git("https://example.com/app.git#main").unwrap();
    let spec = BuildSpec { images: vec!["app:1".to_owned()], ..BuildSpec::new(source) };
    NewRun { max_attempts: 1, ..NewRun::quick("local", spec) }
}

async fn worker(database: &Database) -> WorkerId {
    let id = WorkerId(Uuid::now_v7());
    let store = StoreId(Uuid::now_v7());
    let new = NewWorker {
        id,
        store,
        name: "bench".to_owned(),
        platform: Platform::host(),
        slots: 1,
        limits: model::WorkerLimits::None,
    };
    database.register_worker(&new).await.unwrap();
    id
}

/// One worker waits as a real one does, by hints; the clock runs from before the run is made until its
/// lease is held.
async fn latencies(db: &TestDatabase) -> Vec<Duration> {
    let me = worker(&db.worker).await;
    let rung = Arc::new(Notify::new());
    let (mut hints, bell) = (db.worker.hints(), Arc::clone(&rung));
    let listening = tokio::spawn(async move {
        loop {
            hints.next().await;
            bell.notify_one();
        }
    });
    rung.notified().await;
    let mut latencies = Vec::new();
    for _ in 0..LATENCIES {
        let began = Instant::now();
        let (server, run) = (db.server.clone(), new_run());
        let made = tokio::spawn(async move { server.create_run(run).await.unwrap() });
        let leased = loop {
            if let Some(leased) = db.worker.lease_next(me).await.unwrap() {
                break leased;
            }
            rung.notified().await;
        };
        latencies.push(began.elapsed());
        made.await.unwrap();
        let outcome = Outcome::Failed { failure: Failure::user("bench", "", ""), revision: None };
        db.worker.finish(leased.run, leased.epoch, &leased.token, &leased.scope, &outcome).await.unwrap();
    }
    listening.abort();
    latencies
}

async fn leases_a_second(db: &TestDatabase) -> u64 {
    for _ in 0..BACKLOG {
        db.server.create_run(new_run()).await.unwrap();
    }
    let leased = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut leasers = Vec::new();
    for _ in 0..LEASERS {
        let (database, leased, me) = (db.worker.clone(), Arc::clone(&leased), worker(&db.worker).await);
        leasers.push(tokio::spawn(async move {
            while leased.load(Ordering::Relaxed) < BACKLOG {
                if database.lease_next(me).await.unwrap().is_some() {
                    leased.fetch_add(1, Ordering::Relaxed);
                }
            }
        }));
    }
    for leaser in leasers {
        leaser.await.unwrap();
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rate"
    )]
    let rate = (BACKLOG as f64 / began.elapsed().as_secs_f64()) as u64;
    rate
}
