//! The journal of pushes.

use std::collections::BTreeMap;

use database::{AfterFailure, BlobState, LeasedPublication, Outcome, PublicationBlob};
use model::{MediaType, RunStatus, StoreId};
use uuid::Uuid;

use crate::world::{World, descriptor, digest, image, service_failure, user_failure};

impl World {
    async fn lease_publication(&self) -> Option<LeasedPublication> {
        self.db.publisher.lease_publication(Uuid::now_v7(), self.store).await.unwrap()
    }
}

#[tokio::test]
async fn a_push_begins_before_the_build_ends_and_ends_with_the_run() {
    let world = World::new().await;
    let run = world.submit().await;
    let leased = world.lease().await;
    let made = PublicationBlob::in_store(descriptor("made", MediaType::OCI_LAYER_GZIP), &leased.scope);
    world.db.worker.announce_blob(run, leased.epoch, &leased.token, &made).await.unwrap();
    world.db.worker.announce_blob(run, leased.epoch, &leased.token, &made).await.unwrap();

    let publisher = &world.db.publisher;
    assert!(publisher.lease_publication(Uuid::now_v7(), StoreId(Uuid::now_v7())).await.unwrap().is_none());
    let publication = world.lease_publication().await.unwrap();
    assert_eq!(publication.images[0].repository, "team/app");
    assert_eq!(publication.images[0].tag, "1");
    assert!(world.lease_publication().await.is_none(), "it is leased");
    let lease = &publication.lease;
    let work = publisher.publication_work(lease).await.unwrap();
    assert_eq!((work.manifest, work.blobs.len()), (None, 1));
    publisher.blob_state(lease, &digest("made"), BlobState::Pushed).await.unwrap();
    publisher.append_publication_log(lease, "too early\n").await.unwrap();
    assert!(publisher.begin_manifest(lease).await.is_err(), "there is none yet");
    assert!(publisher.published(lease, &digest("manifest")).await.is_err());

    let log = world.db.worker.append_log(run, leased.epoch, &leased.token, 1, 0, b"built\n");
    log.await.unwrap();
    world.finish(&leased, Outcome::Publishing { image: image(), revision: None }).await.unwrap();
    let work = publisher.publication_work(lease).await.unwrap();
    assert_eq!(work.manifest.unwrap().digest, digest("manifest"));
    let blobs: BTreeMap<_, _> = work.blobs.iter().map(|blob| (blob.blob.digest.clone(), blob)).collect();
    assert_eq!(blobs[&digest("made")].state, BlobState::Pushed);
    assert_eq!(blobs[&digest("config")].scope.as_deref(), Some("trusted-local"));
    assert_eq!(blobs[&digest("base")].source.as_deref(), Some("base.example/library/debian"));

    publisher.append_publication_log(lease, "pushed\n").await.unwrap();
    assert!(publisher.published(lease, &digest("manifest")).await.is_err(), "the manifest was not begun");
    publisher.begin_manifest(lease).await.unwrap();
    publisher.published(lease, &digest("manifest")).await.unwrap();
    let row = world.run(run).await;
    assert_eq!((row.status, row.digest), (RunStatus::Succeeded, Some(digest("manifest"))));
    let log = world.db.server.read_log(run, None, 0, 100).await.unwrap();
    assert_eq!((log.bytes.as_slice(), log.complete), (&b"built\npushed\n"[..], true));
    let steps = "SELECT string_agg(kind || ' ' || status, ', ' ORDER BY kind) FROM slipway.step_runs";
    assert_eq!(world.db.text(steps).await.as_deref(), Some("build succeeded, push succeeded"));
}

#[tokio::test]
async fn another_publisher_goes_on_where_a_killed_one_was() {
    let world = World::new().await;
    let run = world.publishing().await.run;
    let killed = world.lease_publication().await.unwrap().lease;
    world.db.publisher.blob_state(&killed, &digest("base"), BlobState::Pushed).await.unwrap();
    world.db.publisher.begin_manifest(&killed).await.unwrap();
    world.expire_leases().await;
    let next = world.lease_publication().await.unwrap().lease;
    let late = world.db.publisher.published(&killed, &digest("manifest")).await.unwrap_err();
    assert!(late.is_lease_lost());
    let work = world.db.publisher.publication_work(&next).await.unwrap();
    assert!(work.blobs.iter().any(|blob| blob.state == BlobState::Pushed));
    world.db.publisher.begin_manifest(&next).await.unwrap();
    world.db.publisher.published(&next, &digest("manifest")).await.unwrap();
    assert_eq!(world.run(run).await.status, RunStatus::Succeeded);
}

#[tokio::test]
async fn a_push_that_the_user_must_mend_fails_the_run() {
    let world = World::new().await;
    let run = world.publishing().await.run;
    let lease = world.lease_publication().await.unwrap().lease;
    let after = world.db.publisher.publication_failed(&lease, &user_failure()).await.unwrap();
    assert_eq!(after, AfterFailure::Failed);
    let row = world.run(run).await;
    assert_eq!((row.status, row.failure), (RunStatus::Failed, Some(user_failure())));
}

#[tokio::test]
async fn a_push_that_fails_while_the_build_goes_on_fails_the_run_at_its_end() {
    let world = World::new().await;
    let run = world.submit().await;
    let leased = world.lease().await;
    let made = PublicationBlob::in_store(descriptor("made", MediaType::OCI_LAYER_GZIP), &leased.scope);
    world.db.worker.announce_blob(run, leased.epoch, &leased.token, &made).await.unwrap();
    let lease = world.lease_publication().await.unwrap().lease;
    world.db.publisher.publication_failed(&lease, &user_failure()).await.unwrap();
    assert_eq!(world.run(run).await.status, RunStatus::Started);
    let outcome = Outcome::Publishing { image: image(), revision: None };
    assert_eq!(world.finish(&leased, outcome).await.unwrap(), RunStatus::Failed);
    assert_eq!(world.run(run).await.failure, Some(user_failure()));
}

#[tokio::test]
async fn a_registry_that_is_away_is_tried_five_times_and_then_the_run_again() {
    let world = World::new().await;
    let run = world.publishing().await.run;
    for attempt in 1..=5 {
        let lease = world.lease_publication().await.unwrap().lease;
        let after = world.db.publisher.publication_failed(&lease, &service_failure()).await.unwrap();
        assert_eq!(after, if attempt < 5 { AfterFailure::Waits } else { AfterFailure::Failed });
        assert!(world.lease_publication().await.is_none(), "there is a pause first");
        world.skip_pause().await;
    }
    let row = world.run(run).await;
    assert_eq!((row.status, row.attempt), (RunStatus::Queued, 2));
}
