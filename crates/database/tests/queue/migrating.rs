//! Tables of an older program, with something in every one of them, become today's; a newer program's are left alone.

use database::{Forget, Keep};
use model::{RunId, RunStatus};
use test_support::TestDatabase;
use uuid::Uuid;

pub(crate) const ROWS: &str = include_str!("fixtures/rows.sql");
const OF_9: &str = include_str!("fixtures/rows_of_9.sql");
pub(crate) const OF_17: &str = include_str!("fixtures/rows_of_17.sql");

/// Rows of each table. Of `sources` migration 17 keeps those that a run waits for.
pub(crate) const COUNT: &str = "SELECT string_agg(format('%s %s', c.relname,
        (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %s', c.oid::regclass), false, true, '')))[1]), ', ' ORDER BY c.relname)
    FROM pg_class c WHERE c.relnamespace = 'slipway'::regnamespace AND c.relkind = 'r' AND c.relname <> '_sqlx_migrations'";

pub(crate) fn run(number: u8) -> RunId {
    RunId(format!("00000000-0000-7000-8000-0000000000{number:02}").parse().unwrap())
}

async fn migrates(version: i64, rows: &str) -> TestDatabase {
    let db = TestDatabase::migrated_to(version).await;
    db.execute(ROWS).await;
    db.execute(rows).await;
    let before = db.text(COUNT).await.unwrap();
    assert!(!before.contains(" 0"), "every table has a row: {before}");
    database::migrate::run(&db.url("slipway_owner")).await.unwrap();
    assert!(db.server.is_current().await.unwrap());
    let after = db.text(COUNT).await.unwrap();
    for table in before.split(", ").map(|table| table.replace("tag_owners", "tag_claims")) {
        assert!(after.split(", ").any(|now| now == table), "{table}, now: {after}");
    }
    db
}

/// The service of today does everything with rows of then.
async fn works_on(db: &TestDatabase) {
    let done = db.server.get_run(run(1)).await.unwrap().unwrap();
    assert_eq!((done.status, done.task.as_deref()), (RunStatus::Succeeded, Some("app")));
    let steps = db.server.run_steps(run(1)).await.unwrap();
    assert_eq!((steps.len(), steps[0].worker.as_str()), (1, "builder-1"));
    // The run that waited is leased, and the one that was built is renewed, under the lease of then.
    let worker = model::WorkerId("00000000-0000-7000-8000-00000000000c".parse::<Uuid>().unwrap());
    let leased = db.worker.lease_next(worker).await.unwrap().expect("a run waits");
    assert_eq!(leased.run, run(2));
    let (epoch, token) = (model::Epoch(1), model::LeaseToken("secret".to_owned()));
    db.worker.append_log(run(3), epoch, &token, 1, 7, b"more\n").await.unwrap();
    let chunk = db.worker.source_chunk(run(3), epoch, &token, 0).await.unwrap();
    assert_eq!(chunk.as_deref(), Some(&b"x"[..]), "its upload is there");
    let outcome = database::Outcome::Failed { failure: crate::world::user_failure(), revision: None };
    db.worker.finish(run(3), epoch, &token, "trusted-local", &outcome).await.unwrap();
    for what in Forget::ALL {
        db.server.forget(what, &Keep::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_service_of_migration_nine_becomes_todays() {
    let db = migrates(9, OF_9).await;
    works_on(&db).await;
}

#[tokio::test]
async fn a_service_of_the_last_release_becomes_todays_and_once_is_enough() {
    let db = migrates(17, OF_17).await;
    database::migrate::run(&db.url("slipway_owner")).await.unwrap();
    works_on(&db).await;
}

#[tokio::test]
async fn what_a_newer_program_made_is_refused() {
    let db = TestDatabase::new().await;
    db.execute(
        "INSERT INTO slipway._sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', true, '', 0)",
    )
    .await;
    let error = database::migrate::run(&db.url("slipway_owner")).await.unwrap_err().to_string();
    assert!(error.contains("newer Slipway (migration 9999") && error.contains("use that one"), "{error}");
    // A program of before works on beside it.
    assert!(db.server.is_current().await.unwrap());
}
