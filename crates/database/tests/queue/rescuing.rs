//! Runs whose holder is gone.

use database::Outcome;
use model::RunStatus;

use crate::world::{World, new_run, service_failure};

#[tokio::test]
async fn a_lost_run_is_queued_until_its_attempts_are_used_up() {
    let world = World::new().await;
    let run = world.submit().await;
    for attempt in 1..=3 {
        world.lease().await;
        assert!(world.db.server.requeue_expired().await.unwrap().is_empty(), "the lease is fresh");
        world.expire_leases().await;
        let rescued = world.db.server.requeue_expired().await.unwrap();
        let became = if attempt < 3 { RunStatus::Queued } else { RunStatus::Failed };
        assert_eq!(rescued.iter().map(|r| (r.run, r.became)).collect::<Vec<_>>(), [(run, became)]);
        world.skip_pause().await;
    }
    let failure = world.run(run).await.failure.unwrap();
    assert_eq!(failure.kind, "worker_lost");
    assert!(failure.message.ends_with("The run was tried 3 times."), "{failure}");
    let outcomes =
        world.db.text("SELECT string_agg(outcome, ' ' ORDER BY attempt) FROM slipway.attempts").await;
    assert_eq!(outcomes.as_deref(), Some("lost lost lost"));
}

#[tokio::test]
async fn a_lost_run_beyond_its_time_ends_and_a_cancelled_one_too() {
    let world = World::new().await;
    let late = world.submit().await;
    world.lease().await;
    world.db.execute("UPDATE slipway.run_queue SET deadline = now() - interval '1 second'").await;
    let cancelled = world.submit_as(new_run("local")).await;
    world.lease().await;
    world.db.server.request_cancel(cancelled).await.unwrap();
    world.expire_leases().await;
    world.db.server.requeue_expired().await.unwrap();
    assert_eq!(world.run(late).await.status, RunStatus::TimedOut);
    assert_eq!(world.run(cancelled).await.status, RunStatus::Cancelled);
}

#[tokio::test]
async fn after_a_time_without_the_database_holders_get_time_to_renew() {
    let world = World::new().await;
    world.submit().await;
    world.lease().await;
    world.expire_leases().await;
    world.db.execute("UPDATE slipway.rescuer SET worked_at = now() - interval '1 minute'").await;
    assert!(world.db.server.requeue_expired().await.unwrap().is_empty());
    assert!(world.db.server.requeue_expired().await.unwrap().is_empty(), "also the next time");
    world.db.execute("UPDATE slipway.rescuer SET resumed_at = now() - interval '16 seconds'").await;
    assert_eq!(world.db.server.requeue_expired().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_image_on_a_machine_that_is_gone_is_built_again() {
    let world = World::new().await;
    let run = world.publishing().await.run;
    let old = "now() - interval '6 minutes'";
    world.expire_leases().await;
    world.db.execute(&format!("UPDATE slipway.publications SET created_at = {old}")).await;
    assert!(world.db.server.requeue_expired().await.unwrap().is_empty(), "its worker is alive");
    world.db.execute(&format!("UPDATE slipway.workers SET seen_at = {old}")).await;
    world.db.server.requeue_expired().await.unwrap();
    let row = world.run(run).await;
    assert_eq!((row.status, row.attempt), (RunStatus::Queued, 2));
}

#[tokio::test]
async fn what_is_handed_back_is_queued_at_once_and_does_not_count() {
    let world = World::new().await;
    let run = world.submit().await;
    for attempt in 1..=3 {
        let lease = world.lease().await;
        let back = Outcome::HandedBack(service_failure());
        assert_eq!(world.finish(&lease, back).await.unwrap(), RunStatus::Queued);
        let row = world.run(run).await;
        // Leased again by the next turn of this loop, without a pause.
        assert_eq!((row.attempt, row.max_attempts), (attempt + 1, attempt + 3));
    }
    let lease = world.lease().await;
    world.db.server.request_cancel(run).await.unwrap();
    let back = Outcome::HandedBack(service_failure());
    assert_eq!(world.finish(&lease, back).await.unwrap(), RunStatus::Cancelled, "nobody does it any more");
}
