//! Making, finding and listing runs; uploads.

use std::collections::BTreeSet;

use database::{CreateRun, Error, Forget, Keep, NewRun, RunFilter};
use model::{BuildSpec, RunStatus, SourceSpec};

use crate::world::{World, digest, new_run, spec};

#[tokio::test]
async fn a_repeated_request_makes_one_run() {
    let world = World::new().await;
    let request = || NewRun { idempotency: Some(("key".into(), [7; 32])), ..new_run("local") };
    let tries = (0..12).map(|_| {
        let (database, request) = (world.db.server.clone(), request());
        tokio::spawn(async move { database.create_run(request).await.unwrap() })
    });
    let mut ids = BTreeSet::new();
    let mut created = 0;
    for answer in tries.collect::<Vec<_>>() {
        match answer.await.unwrap() {
            CreateRun::Created(run) => {
                created += 1;
                ids.insert(run.id);
            }
            CreateRun::Replayed(run) => {
                ids.insert(run.id);
            }
            CreateRun::KeyReused => panic!("the request is the same"),
        }
    }
    assert_eq!((created, ids.len()), (1, 1));
    let other = NewRun { idempotency: Some(("key".into(), [8; 32])), ..new_run("local") };
    assert!(matches!(world.db.server.create_run(other).await.unwrap(), CreateRun::KeyReused));
}

#[tokio::test]
async fn pages_hold_every_run_once_newest_first() {
    let world = World::new().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(world.submit().await);
    }
    made.reverse();
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = world.db.server.list_runs(&RunFilter::default(), cursor, 2).await.unwrap();
        seen.extend(page.runs.iter().map(|run| run.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, made);
    let started = world.lease().await;
    let only_started = RunFilter { status: Some(RunStatus::Started), ..RunFilter::default() };
    let page = world.db.server.list_runs(&only_started, None, 10).await.unwrap();
    assert_eq!(page.runs.iter().map(|run| run.id).collect::<Vec<_>>(), [started.run]);
}

#[tokio::test]
async fn an_upload_is_read_by_the_holder_of_its_run_once_it_is_complete() {
    let world = World::new().await;
    let server = &world.db.server;
    let source = server.create_source("local").await.unwrap();
    server.append_source(source, 0, b"first ").await.unwrap();
    server.append_source(source, 1, b"second").await.unwrap();
    let new = || {
        let spec = BuildSpec { source: SourceSpec::Upload { id: source }, ..spec() };
        NewRun { spec, idempotency: Some(("upload".into(), [1; 32])), ..new_run("local") }
    };
    let refused = server.create_run(new()).await;
    assert!(matches!(refused, Err(Error::SourceNotFound(id)) if id == source), "{refused:?}");

    server.seal_source(source, 12, &digest("first second")).await.unwrap();
    // The refused request has not used the key up.
    assert!(matches!(server.create_run(new()).await.unwrap(), CreateRun::Created(_)));
    let leased = world.lease().await;
    let chunk = async |sequence| {
        world.db.worker.source_chunk(leased.run, leased.epoch, &leased.token, sequence).await.unwrap()
    };
    assert_eq!(chunk(0).await.as_deref(), Some(&b"first "[..]));
    assert_eq!(chunk(1).await.as_deref(), Some(&b"second"[..]));
    assert_eq!(chunk(2).await, None);
}

async fn tidy(server: &database::Database) {
    server.tidy().await.unwrap();
    while server.forget(Forget::Uploads, &Keep::default()).await.unwrap() > 0 {}
}

#[tokio::test]
async fn yesterdays_uploads_and_keys_go_but_not_those_of_a_run_that_waits() {
    let world = World::new().await;
    let server = &world.db.server;
    let mut sources = Vec::new();
    for _ in 0..2 {
        let source = server.create_source("local").await.unwrap();
        server.append_source(source, 0, b"x").await.unwrap();
        server.seal_source(source, 1, &digest("x")).await.unwrap();
        sources.push(source);
    }
    let spec = BuildSpec { source: SourceSpec::Upload { id: sources[0] }, ..spec() };
    let new = NewRun { spec, idempotency: Some(("old".into(), [1; 32])), ..new_run("local") };
    world.submit_as(new.clone()).await;
    tidy(server).await;
    let sources_left = "SELECT count(*)::text FROM slipway.sources";
    assert_eq!(world.db.text(sources_left).await.as_deref(), Some("2"), "they are of today");
    world
        .db
        .execute(
            "UPDATE slipway.sources SET created_at = now() - interval '25 hours';
             UPDATE slipway.idempotency_keys SET created_at = now() - interval '25 hours'",
        )
        .await;
    tidy(server).await;
    let left = world.db.text("SELECT string_agg(id::text, ' ') FROM slipway.sources").await;
    assert_eq!(left, Some(sources[0].to_string()));
    let again = NewRun { id: new_run("local").id, ..new };
    assert!(
        matches!(server.create_run(again).await.unwrap(), CreateRun::Created(_)),
        "the key is free again"
    );
}
