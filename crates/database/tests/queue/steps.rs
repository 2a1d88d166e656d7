//! Attempts, steps and vertices: what is written by whoever holds the lease, and read by the server.

use std::time::Duration;

use database::{AttemptRow, LeasedRun, Outcome, VertexRecord, VertexRow};
use model::{AttemptOutcome, RunStatus, StepKind, StepStatus, VertexResult};

use crate::world::{World, image, service_failure, started};

fn ended(record: &VertexRecord, result: VertexResult, at: u64) -> VertexRecord {
    VertexRecord { ended: Some((result, Duration::from_millis(at))), ..record.clone() }
}

async fn record(world: &World, leased: &LeasedRun, vertices: &[VertexRecord]) -> Result<(), database::Error> {
    world.db.worker.record_vertices(leased.run, leased.epoch, &leased.token, vertices).await
}

async fn attempts(world: &World, leased: &LeasedRun) -> Vec<AttemptRow> {
    world.db.server.run_steps(leased.run).await.unwrap()
}

fn results(vertices: &[VertexRow]) -> Vec<&str> {
    vertices.iter().map(|vertex| vertex.result.as_str()).collect()
}

/// Everything lies in what it is a part of, and nothing ends before it began.
fn assert_nested(attempt: &AttemptRow) {
    for step in &attempt.steps {
        assert!(step.started_at >= attempt.started_at, "{attempt:?}");
        assert!(
            step.finished_at.is_none()
                || attempt.finished_at.is_none()
                || step.finished_at <= attempt.finished_at
        );
        for vertex in &step.vertices {
            assert!(vertex.started_at >= step.started_at, "{vertex:?} in {step:?}");
            assert!(vertex.finished_at.is_none_or(|end| end >= vertex.started_at), "{vertex:?}");
            assert!(
                step.finished_at.is_none() || vertex.finished_at <= step.finished_at,
                "{vertex:?} in {step:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_written_in_batches_is_read_as_one_story() {
    let world = World::new().await;
    world.submit().await;
    let leased = world.lease().await;
    let ago = "SET started_at = started_at - interval '1 minute'";
    world.db.execute(&format!("UPDATE slipway.attempts {ago}; UPDATE slipway.step_runs {ago}")).await;
    let (from, run) = (started(1, "FROM base"), started(2, "RUN make"));
    let run = VertexRecord { stage: Some("build".into()), ..run };
    record(&world, &leased, &[ended(&from, VertexResult::Executed, 1), run.clone()]).await.unwrap();
    let before = attempts(&world, &leased).await;
    assert_eq!((before[0].worker.as_str(), before[0].outcome), ("w", None));
    assert_eq!(results(&before[0].steps[0].vertices), ["executed", "running"]);
    assert_eq!(before[0].steps[0].vertices[1].finished_at, None);

    // A clock that runs fast tells of what is yet to come: it ends now.
    let copy = ended(&started(3, "COPY\0 a b"), VertexResult::Cached, 3_600_000);
    for _ in 0..2 {
        // An answer that was lost: the same once more.
        record(&world, &leased, &[ended(&run, VertexResult::Executed, 42), copy.clone()]).await.unwrap();
    }
    let outcome = Outcome::Publishing { image: image(), revision: None };
    world.finish(&leased, outcome).await.unwrap();
    let after = attempts(&world, &leased).await;
    assert_nested(&after[0]);
    let steps: Vec<_> = after[0].steps.iter().map(|step| (step.kind, step.status)).collect();
    assert_eq!(steps, [(StepKind::Build, StepStatus::Succeeded), (StepKind::Push, StepStatus::Started)]);
    let vertices = &after[0].steps[0].vertices;
    assert_eq!(results(vertices), ["executed", "executed", "cached"]);
    assert_eq!(vertices[2].name, "COPY\u{fffd} a b");
    let VertexRow { number, stage, line, started_at, .. } = &vertices[1];
    assert_eq!((*number, stage.as_deref(), *line), (2, Some("build"), Some(2)));
    assert_eq!(*started_at - after[0].started_at, time::Duration::milliseconds(2));
    assert_eq!(vertices[1].finished_at.unwrap() - after[0].started_at, time::Duration::milliseconds(42));
    assert!(after[0].steps[1].vertices.is_empty());
}

#[tokio::test]
async fn what_ran_when_an_attempt_ended_was_interrupted() {
    let world = World::new().await;
    world.submit().await;
    let lost = world.lease().await;
    record(
        &world,
        &lost,
        &[ended(&started(1, "FROM base"), VertexResult::Executed, 1), started(2, "RUN make")],
    )
    .await
    .unwrap();
    world.expire_leases().await;
    world.db.server.requeue_expired().await.unwrap();
    world.skip_pause().await;
    let again = world.lease().await;
    record(&world, &again, &[started(1, "FROM base")]).await.unwrap();
    world.db.server.request_cancel(again.run).await.unwrap();
    assert_eq!(world.finish(&again, Outcome::Cancelled).await.unwrap(), RunStatus::Cancelled);

    let both = attempts(&world, &lost).await;
    let outcomes: Vec<_> = both.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [Some(AttemptOutcome::Lost), Some(AttemptOutcome::Cancelled)]);
    assert_eq!(both[0].failure.as_ref().map(|failure| failure.kind.as_str()), Some("worker_lost"));
    assert_eq!(results(&both[0].steps[0].vertices), ["executed", "interrupted"]);
    assert_eq!(results(&both[1].steps[0].vertices), ["interrupted"]);
    for attempt in &both {
        assert_nested(attempt);
        let last = attempt.steps[0].vertices.last().unwrap();
        assert_eq!(last.finished_at, attempt.steps[0].finished_at);
    }
}

#[tokio::test]
async fn an_attempt_has_no_row_beyond_the_limits() {
    let world = World::new().await;
    world.submit().await;
    let leased = world.lease().await;
    let most: Vec<_> = (1..=database::MAX_VERTICES).map(|number| started(number, &"ä".repeat(200))).collect();
    record(&world, &leased, &most).await.unwrap();
    for wrong in [started(database::MAX_VERTICES + 1, "RUN"), started(0, "RUN"), started(1, &"ä".repeat(201))]
    {
        let error = record(&world, &leased, &[wrong]).await.unwrap_err();
        assert!(!error.is_unavailable() && !error.is_lease_lost(), "trying again is of no use: {error}");
    }
}

#[tokio::test]
async fn vertices_go_with_their_run_and_a_workers_name_stays() {
    let world = World::new().await;
    world.submit().await;
    let leased = world.lease().await;
    record(&world, &leased, &[started(1, "FROM base")]).await.unwrap();
    let outcome = Outcome::Failed { failure: service_failure(), revision: None };
    world.finish(&leased, outcome).await.unwrap();
    world.db.execute("DELETE FROM slipway.workers").await;
    assert_eq!(attempts(&world, &leased).await[0].worker, "w");
    world.db.execute("DELETE FROM slipway.runs").await;
    assert!(attempts(&world, &leased).await.is_empty());
    assert_eq!(world.db.text("SELECT count(*)::text FROM slipway.vertex_runs").await.as_deref(), Some("0"));
}
