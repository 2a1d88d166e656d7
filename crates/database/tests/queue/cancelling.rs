//! Cancel, at every place of a run's life.

use database::{Cancel, Held, Outcome, Verdict};
use model::{RunId, RunStatus};
use uuid::Uuid;

use crate::world::{World, image};

#[tokio::test]
async fn a_queued_run_ends_at_once_and_is_never_leased() {
    let world = World::new().await;
    let run = world.submit().await;
    assert_eq!(world.db.server.request_cancel(run).await.unwrap(), Cancel::Requested);
    assert_eq!(world.run(run).await.status, RunStatus::Cancelled);
    assert!(world.db.worker.lease_next(world.worker).await.unwrap().is_none());
    assert_eq!(world.db.server.request_cancel(run).await.unwrap(), Cancel::Done(RunStatus::Cancelled));
    let nobody = RunId(Uuid::now_v7());
    assert_eq!(world.db.server.request_cancel(nobody).await.unwrap(), Cancel::NotFound);
}

#[tokio::test]
async fn a_started_run_hears_of_it_and_can_no_longer_succeed() {
    let world = World::new().await;
    let run = world.submit().await;
    let leased = world.lease().await;
    assert_eq!(world.db.server.request_cancel(run).await.unwrap(), Cancel::Requested);
    let held =
        Held { run, epoch: leased.epoch, token: leased.token.clone(), progress: serde_json::json!({}) };
    let renewed = world.db.worker.renew_leases(world.worker, &[held]).await.unwrap();
    assert_eq!(renewed[0].verdict, Verdict::Cancel);
    let outcome = Outcome::Publishing { image: image(), revision: None };
    assert_eq!(world.finish(&leased, outcome).await.unwrap(), RunStatus::Cancelled);
    assert_eq!(world.db.text("SELECT count(*)::text FROM slipway.run_queue").await.as_deref(), Some("0"));
}

#[tokio::test]
async fn a_push_is_cancelled_until_its_manifest_is_begun() {
    let world = World::new().await;
    let publisher = &world.db.publisher;
    let run = world.publishing().await.run;
    let leased = publisher.lease_publication(Uuid::now_v7(), world.store).await.unwrap().unwrap();
    assert_eq!(world.db.server.request_cancel(run).await.unwrap(), Cancel::Requested);
    assert_eq!(world.run(run).await.status, RunStatus::Cancelled);
    assert!(!publisher.renew_publication(&leased.lease).await.unwrap());
    assert!(publisher.begin_manifest(&leased.lease).await.unwrap_err().is_lease_lost());

    let run = world.publishing().await.run;
    let leased = publisher.lease_publication(Uuid::now_v7(), world.store).await.unwrap().unwrap();
    publisher.begin_manifest(&leased.lease).await.unwrap();
    assert_eq!(world.db.server.request_cancel(run).await.unwrap(), Cancel::TooLate);
    assert_eq!(world.run(run).await.status, RunStatus::Publishing);
    assert!(!world.run(run).await.cancel_requested);
}
