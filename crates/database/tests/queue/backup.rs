//! A service out of its backup: everything that was over is there, and nothing that was not begins again.

use std::io::{BufReader, Cursor};

use database::backup::{self, BackupError};
use model::{Epoch, LeaseToken, RunStatus};
use test_support::TestDatabase;

use crate::migrating::{COUNT, OF_17, ROWS, run};
use crate::world::{World, new_run};

/// Things that wait to be done.
const WAITING: &str = "
    INSERT INTO slipway.deliveries (id, registry, hook_id, sender_id, event, headers, body)
        VALUES (gen_random_uuid(), 'local', '00000000-0000-7000-8000-00000000000b', 'd-2', 'push', '[]', '{}');
    INSERT INTO slipway.tag_claims (task_id, repository, tag, run_id, number, trust, is_settled)
        SELECT id, 'team/app', '2', '00000000-0000-7000-8000-000000000003', 3, 'trusted', false FROM slipway.tasks;";

async fn taken(db: &TestDatabase) -> Vec<u8> {
    let mut bytes = Vec::new();
    backup::take(&db.url("slipway_owner"), "0.0.0", None, &mut bytes).await.unwrap();
    backup::check(Cursor::new(&bytes)).unwrap();
    bytes
}

async fn restored(db: &TestDatabase, bytes: &[u8]) -> backup::Restored {
    backup::restore(&db.url("slipway_owner"), BufReader::new(bytes), true).await.unwrap()
}

#[tokio::test]
async fn an_older_services_backup_becomes_todays_service_and_nothing_begins_again() {
    let old = TestDatabase::migrated_to(17).await;
    old.execute(ROWS).await;
    old.execute(OF_17).await;
    old.execute(WAITING).await;
    let bytes = taken(&old).await;
    let db = TestDatabase::new().await;
    let told = db.text("SELECT count(*)::text FROM slipway.outbox").await;
    assert_eq!(told.as_deref(), Some("0"));
    let before = restored(&db, &bytes).await;
    assert_eq!((before.ended, before.about.migration), (2, 17));
    assert!(db.server.is_current().await.unwrap());

    // As many rows as there were, but of what means nothing any more.
    let (then, now) = (old.text(COUNT).await.unwrap(), db.text(COUNT).await.unwrap());
    let left_out = ["run_queue", "source_chunks", "sources", "workers", "tag_claims"];
    for table in then.split(", ").filter(|table| !left_out.iter().any(|name| table.starts_with(name))) {
        assert!(now.split(", ").any(|row| row == table), "{table}, now: {now}");
    }
    assert!(
        now.contains("run_queue 0") && now.contains("workers 0") && now.contains("tag_claims 1"),
        "{now}"
    );
    for (number, status) in [(1, RunStatus::Succeeded), (2, RunStatus::Failed), (3, RunStatus::Failed)] {
        let row = db.server.get_run(run(number)).await.unwrap().unwrap();
        assert_eq!(row.status, status, "{number}");
        let kind = row.failure.map(|failure| failure.kind);
        assert_eq!(kind.as_deref(), (number > 1).then_some("restored"));
    }
    let lost =
        db.worker.append_log(run(3), Epoch(1), &LeaseToken("secret".to_owned()), 1, 7, b"more\n").await;
    assert!(lost.unwrap_err().is_lease_lost(), "who held a run then holds it no more");
    let waits = "SELECT (SELECT count(*) FROM slipway.deliveries WHERE status = 'received')
        + (SELECT count(*) FROM slipway.outbox WHERE status = 'waiting')
        + (SELECT count(*) FROM slipway.publications WHERE status IN ('open', 'sealed'))
        + (SELECT count(*) FROM slipway.attempts WHERE finished_at IS NULL)
        + (SELECT count(*) FROM slipway.step_runs WHERE finished_at IS NULL)";
    assert_eq!(db.text(&format!("SELECT ({waits})::text")).await.as_deref(), Some("0"));
}

#[tokio::test]
async fn runs_are_numbered_past_those_that_were_made_after_the_backup() {
    let world = World::new().await;
    world.submit().await;
    let bytes = taken(&world.db).await;
    let number = async |world: &World| {
        let newest = "SELECT max(number)::text FROM slipway.runs";
        world.db.text(newest).await.unwrap().parse::<i64>().unwrap()
    };
    for _ in 0..3 {
        world.submit().await;
    }
    let after = number(&world).await;
    let fresh = TestDatabase::new().await;
    restored(&fresh, &bytes).await;
    fresh.server.create_run(new_run("local")).await.unwrap();
    let newest = fresh.text("SELECT max(number)::text FROM slipway.runs").await.unwrap();
    assert!(newest.parse::<i64>().unwrap() > after, "{newest}, before {after}");
}

#[tokio::test]
async fn a_database_in_use_or_with_something_in_it_and_a_damaged_backup_are_refused() {
    let db = TestDatabase::new().await;
    let bytes = taken(&db).await;
    let owner = db.url("slipway_owner");
    let refused = backup::restore(&owner, BufReader::new(bytes.as_slice()), false).await;
    assert!(matches!(refused, Err(BackupError::NotEmpty)), "{refused:?}");
    db.server.ping().await.unwrap();
    let refused = backup::restore(&owner, BufReader::new(bytes.as_slice()), true).await;
    assert!(matches!(refused, Err(BackupError::InUse(_))), "{refused:?}");
    assert!(db.server.is_current().await.unwrap(), "nothing was touched");
    for length in [0, 10, bytes.len() / 2, bytes.len() - 1] {
        assert!(backup::check(Cursor::new(&bytes[..length])).is_err(), "{length}");
    }
    for place in [0, bytes.len() / 2, bytes.len() - 1] {
        let mut other = bytes.clone();
        other[place] ^= 1;
        assert!(backup::check(Cursor::new(&other)).is_err(), "{place}");
    }
    let place = bytes.windows(12).position(|window| window == b"\"migration\":").unwrap() + 12;
    let newer = [&bytes[..place], b"9", &bytes[place..]].concat();
    let refused = backup::restore(&owner, BufReader::new(newer.as_slice()), true).await;
    assert!(refused.unwrap_err().to_string().contains("newer Slipway"));
}
