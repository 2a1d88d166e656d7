//! Who gets which run, and what a holder that lost its lease can still do: nothing.

use std::collections::BTreeSet;

use database::{CacheEntry, CacheLayer, Held, NewRun, Outcome, PublicationBlob, Verdict};
use model::{MediaType, RunStatus, WorkerId};
use serde_json::json;
use uuid::Uuid;

use crate::world::{World, descriptor, digest, image, new_run, service_failure, started, user_failure};

#[tokio::test(flavor = "multi_thread")]
async fn every_run_is_leased_once_however_many_ask() {
    let world = World::new().await;
    for _ in 0..40 {
        world.submit().await;
    }
    let askers = (0..8).map(|_| {
        let (database, worker) = (world.db.worker.clone(), world.worker);
        tokio::spawn(async move {
            let mut got = Vec::new();
            // A row that another one just took answers none: ask as long as runs may be left.
            let mut empty = 0;
            while empty < 20 {
                match database.lease_next(worker).await.unwrap() {
                    Some(leased) => got.push(leased.run),
                    None => empty += 1,
                }
            }
            got
        })
    });
    let mut all = Vec::new();
    for asker in askers.collect::<Vec<_>>() {
        all.extend(asker.await.unwrap());
    }
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (40, 40));
}

#[tokio::test]
async fn registries_take_turns_and_priority_counts_within_one() {
    let world = World::new().await;
    world.db.server.upsert_registry("other", "127.0.0.1:5001", true).await.unwrap();
    let first = world.submit().await;
    let second = world.submit().await;
    let urgent = world.submit_as(NewRun { priority: 5, ..new_run("local") }).await;
    let other = world.submit_as(new_run("other")).await;
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(world.lease().await.run);
    }
    assert_eq!(order, [urgent, other, first, second]);
}

#[tokio::test]
async fn a_run_of_another_platform_waits_for_its_worker() {
    let world = World::new().await;
    let mut new = new_run("local");
    new.spec.platform = "linux/s390x".parse().unwrap();
    world.submit_as(new).await;
    assert!(world.db.worker.lease_next(world.worker).await.unwrap().is_none());
}

#[tokio::test]
async fn an_unknown_worker_gets_nothing() {
    let world = World::new().await;
    world.submit().await;
    assert!(world.db.worker.lease_next(WorkerId(Uuid::now_v7())).await.unwrap().is_none());
}

#[tokio::test]
async fn a_holder_that_lost_its_lease_can_change_nothing() {
    let world = World::new().await;
    let run = world.submit().await;
    let old = world.lease().await;
    world.expire_leases().await;
    let rescued = world.db.server.requeue_expired().await.unwrap();
    assert_eq!((rescued[0].run, rescued[0].became), (run, RunStatus::Queued));
    world.skip_pause().await;
    let new = world.lease().await;
    assert_eq!((new.run, new.attempt, new.epoch.0), (run, 2, old.epoch.0 + 1));

    let worker = &world.db.worker;
    let blob = PublicationBlob::in_store(descriptor("x", MediaType::OCI_LAYER_GZIP), "trusted-local");
    let entry = CacheEntry { layer: None, description: String::new(), made_at: 0 };
    let keys = ["0".repeat(64)];
    let refused = [
        worker.append_log(run, old.epoch, &old.token, 1, 0, b"late").await.unwrap_err(),
        worker.append_log(run, new.epoch, &old.token, 2, 0, b"late").await.unwrap_err(),
        worker.announce_blob(run, old.epoch, &old.token, &blob).await.unwrap_err(),
        worker.cache_record(run, old.epoch, &old.token, &keys, &entry).await.unwrap_err(),
        worker.cache_lookup(run, old.epoch, &old.token, &keys).await.unwrap_err(),
        worker.source_chunk(run, old.epoch, &old.token, 0).await.unwrap_err(),
        worker.record_vertices(run, old.epoch, &old.token, &[started(1, "RUN late")]).await.unwrap_err(),
        worker.record_vertices(run, new.epoch, &old.token, &[]).await.unwrap_err(),
        world.finish(&old, Outcome::Publishing { image: image(), revision: None }).await.unwrap_err(),
        world.finish(&old, Outcome::Cancelled).await.unwrap_err(),
    ];
    assert!(refused.iter().all(database::Error::is_lease_lost), "{refused:?}");
    let held = |leased: &database::LeasedRun| Held {
        run,
        epoch: leased.epoch,
        token: leased.token.clone(),
        progress: json!({}),
    };
    let verdicts = worker.renew_leases(world.worker, &[held(&old)]).await.unwrap();
    assert_eq!(verdicts[0].verdict, Verdict::Lost);
    let verdicts = worker.renew_leases(world.worker, &[held(&new)]).await.unwrap();
    assert_eq!(verdicts[0].verdict, Verdict::Continue);
    assert_eq!(world.run(run).await.status, RunStatus::Started);
}

#[tokio::test]
async fn a_failure_of_the_service_is_tried_again_and_a_users_is_not() {
    let world = World::new().await;
    let run = world.submit().await;
    for attempt in 1..=3 {
        let leased = world.lease().await;
        assert_eq!(leased.attempt, attempt);
        let outcome = Outcome::Failed { failure: service_failure(), revision: None };
        let status = world.finish(&leased, outcome).await.unwrap();
        assert_eq!(status, if attempt < 3 { RunStatus::Queued } else { RunStatus::Failed });
        assert!(world.db.worker.lease_next(world.worker).await.unwrap().is_none(), "there is a pause first");
        world.skip_pause().await;
    }
    let failure = world.run(run).await.failure.unwrap();
    assert_eq!(failure.kind, "cell_died");
    assert_eq!(failure.message, "The cell ended without a result. The run was tried 3 times.");

    let run = world.submit().await;
    let leased = world.lease().await;
    let outcome = Outcome::Failed { failure: user_failure(), revision: None };
    assert_eq!(world.finish(&leased, outcome).await.unwrap(), RunStatus::Failed);
    assert_eq!(world.run(run).await.failure, Some(user_failure()));
}

#[tokio::test]
async fn a_run_that_pushes_nothing_ends_with_its_build() {
    let world = World::new().await;
    let mut new = new_run("local");
    new.spec.images.clear();
    let run = world.submit_as(new).await;
    let leased = world.lease().await;
    let outcome = Outcome::Succeeded { image: image(), revision: None };
    assert_eq!(world.finish(&leased, outcome).await.unwrap(), RunStatus::Succeeded);
    let row = world.run(run).await;
    assert_eq!((row.digest, row.failure), (Some(digest("manifest")), None));
    assert!(row.finished_at.is_some());
}

#[tokio::test]
async fn a_step_is_remembered_for_its_store_alone() {
    let world = World::new().await;
    world.submit().await;
    let leased = world.lease().await;
    let keys = ["a".repeat(64), "b".repeat(64), "c".repeat(64)];
    let layer = CacheLayer { diff_id: digest("d"), blob: descriptor("l", MediaType::OCI_LAYER_GZIP) };
    let entry = CacheEntry { layer: Some(layer), description: "RUN make".into(), made_at: 1_700_000_000 };
    let worker = &world.db.worker;
    worker.cache_record(leased.run, leased.epoch, &leased.token, &keys[..2], &entry).await.unwrap();
    let found = worker.cache_lookup(leased.run, leased.epoch, &leased.token, &keys).await.unwrap();
    assert_eq!(found, [Some(entry.clone()), Some(entry), None]);

    world.db.execute("UPDATE slipway.attempts SET store = gen_random_uuid()").await;
    let found = worker.cache_lookup(leased.run, leased.epoch, &leased.token, &keys).await.unwrap();
    assert_eq!(found, [None, None, None]);
}
