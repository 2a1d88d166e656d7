//! What is over is not kept for ever: by age, by size, in parts, and nothing that somebody still waits for.

use std::time::Duration;

use database::{Forget, Keep, LeasedRun, NewRun, Outcome};
use model::{BuildSpec, RunId};

use crate::world::{World, new_run, spec, user_failure};

/// Two of each kind, one of them of long ago, and one that still waits.
const FILL: &str = "
    INSERT INTO slipway.hooks (id, registry, name, host, sealed, sealed_before, before_until) VALUES
        (gen_random_uuid(), 'local', 'rotated', 'github', 'new', 'old', now() - interval '1 second'),
        (gen_random_uuid(), 'local', 'rotating', 'github', 'new', 'old', now() + interval '1 hour');
    INSERT INTO slipway.deliveries (id, registry, hook_id, sender_id, event, headers, body, status, received_at)
    SELECT gen_random_uuid(), 'local', h.id, d.name, 'push', '[]', repeat('b', 1000)::bytea, d.status, now() - d.age FROM slipway.hooks h,
        (VALUES ('old', 'matched', interval '31 days'), ('young', 'matched', interval '29 days'),
            ('newest', 'ignored', interval '1 hour'), ('waits', 'received', interval '31 days')) d (name, status, age)
    WHERE h.name = 'rotated';
    INSERT INTO slipway.outbox (run_id, registry, kind, event, target, status, finished_at)
    SELECT r.id, 'local', 'webhook', o.name, '{}', o.status, now() - o.age FROM slipway.runs r,
        (VALUES ('old', 'sent', interval '31 days'), ('refused', 'given_up', interval '31 days'),
            ('young', 'sent', interval '29 days'), ('waits', 'waiting', interval '31 days')) o (name, status, age);";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl World {
    /// Everything that is over; answers how many times it took.
    async fn forget(&self, what: Forget, keep: &Keep) -> usize {
        let mut parts = 0;
        while self.db.server.forget(what, keep).await.unwrap() > 0 {
            parts += 1;
        }
        parts
    }

    /// A run that has ended that long ago, with a log.
    async fn ended(&self, days: i32, log: &[u8]) -> RunId {
        let spec = BuildSpec { images: Vec::new(), ..spec() };
        self.submit_as(NewRun { spec, ..new_run("local") }).await;
        let LeasedRun { run, epoch, token, attempt, .. } = &self.lease().await;
        self.db.worker.append_log(*run, *epoch, token, *attempt, 0, log).await.unwrap();
        let outcome = Outcome::Failed { failure: user_failure(), revision: None };
        self.db.worker.finish(*run, *epoch, token, "trusted-local", &outcome).await.unwrap();
        let age = format!(
            "UPDATE slipway.runs SET finished_at = now() - interval '{days} days' WHERE id = '{run}'"
        );
        self.db.execute(&age).await;
        *run
    }

    async fn runs_with(&self, from: &str) -> Vec<RunId> {
        let query = format!("SELECT string_agg(DISTINCT {from}::text, ' ') FROM");
        let query = if from == "id" {
            format!("{query} slipway.runs")
        } else {
            format!("{query} slipway.log_chunks")
        };
        let text = self.db.text(&query).await.unwrap_or_default();
        text.split_whitespace().map(|id| RunId(id.parse().unwrap())).collect()
    }
}

#[tokio::test]
async fn what_is_over_for_a_month_is_forgotten_and_what_waits_is_not() {
    let world = World::new().await;
    world.submit().await;
    world.db.execute(FILL).await;
    world.db.server.tidy().await.unwrap();
    for what in Forget::ALL {
        world.forget(what, &Keep::default()).await;
    }
    let left = async |query: &str| world.db.text(query).await.unwrap_or_default();
    let names = "SELECT string_agg(sender_id, ' ' ORDER BY sender_id) FROM slipway.deliveries";
    assert_eq!(left(names).await, "newest waits young");
    let events = "SELECT string_agg(event, ' ' ORDER BY event) FROM slipway.outbox WHERE kind = 'webhook'";
    assert_eq!(left(events).await, "waits young");
    let secrets = "SELECT string_agg(name, ' ') FROM slipway.hooks WHERE sealed_before IS NOT NULL";
    assert_eq!(left(secrets).await, "rotating");
    // By size the oldest goes first.
    let keep = Keep { delivery_bytes: 1500, ..Keep::default() };
    world.forget(Forget::Deliveries, &keep).await;
    assert_eq!(left(names).await, "newest waits");
}

#[tokio::test]
async fn runs_and_their_logs_are_kept_for_as_long_and_as_much_as_was_said() {
    let world = World::new().await;
    let waiting = world.submit().await;
    world.db.execute("UPDATE slipway.run_queue SET not_before = now() + interval '1 day'").await;
    let (old, middle, young) = (
        world.ended(20, &[b'o'; 100]).await,
        world.ended(10, &[b'm'; 100]).await,
        world.ended(1, &[b'y'; 100]).await,
    );
    let keep = Keep { runs: 15 * DAY, logs: 15 * DAY, ..Keep::default() };
    // A report that waits holds its run.
    world.db.execute(&format!(
        "INSERT INTO slipway.outbox (run_id, registry, kind, event, target) VALUES ('{old}', 'local', 'webhook', 'run.finished', '{{}}')"
    )).await;
    world.forget(Forget::Runs, &keep).await;
    assert_eq!(world.runs_with("run_id").await.len(), 2, "its log has gone");
    assert!(world.runs_with("id").await.contains(&old));
    world.db.execute("UPDATE slipway.outbox SET status = 'sent', finished_at = now()").await;
    world.forget(Forget::Runs, &keep).await;
    let mut left = world.runs_with("id").await;
    left.sort();
    let mut expected = vec![waiting, middle, young];
    expected.sort();
    assert_eq!(left, expected, "with attempts, steps and reports");
    // Logs by their size: the oldest first, and what is within it stays.
    world.forget(Forget::Logs, &Keep { log_bytes: 200, ..keep }).await;
    assert_eq!(world.runs_with("run_id").await.len(), 2);
    world.forget(Forget::Logs, &Keep { log_bytes: 199, ..keep }).await;
    assert_eq!(world.runs_with("run_id").await, [young]);
    world.forget(Forget::Logs, &Keep { logs: Duration::from_secs(60), ..keep }).await;
    assert_eq!(world.runs_with("run_id").await, []);
    assert!(world.runs_with("id").await.contains(&young), "the run itself stays");
}

#[tokio::test]
async fn much_is_forgotten_in_parts_and_past_what_somebody_has_locked() {
    let world = World::new().await;
    world.db.execute(FILL).await;
    world
        .db
        .execute(
            "INSERT INTO slipway.deliveries (id, registry, hook_id, sender_id, event, headers, body, status, received_at)
             SELECT gen_random_uuid(), 'local', h.id, n::text, 'push', '[]', '{}', 'ignored', now() - interval '40 days'
             FROM slipway.hooks h, generate_series(1, 260) n WHERE h.name = 'rotating'",
        )
        .await;
    let mut held = world.db.admin.begin().await.unwrap();
    sqlx::query("SELECT FROM slipway.deliveries WHERE sender_id = '7' FOR UPDATE")
        .execute(&mut *held)
        .await
        .unwrap();
    assert_eq!(
        world.forget(Forget::Deliveries, &Keep::default()).await,
        3,
        "261 rows, 100 at once, but for one"
    );
    held.rollback().await.unwrap();
    assert_eq!(world.forget(Forget::Deliveries, &Keep::default()).await, 1);
    let left = world.db.text("SELECT count(*)::text FROM slipway.deliveries").await;
    assert_eq!(left.as_deref(), Some("3"));
}

#[tokio::test]
async fn what_a_store_of_long_ago_remembered_is_forgotten_and_a_stores_own_stays() {
    let world = World::new().await;
    let rows = "INSERT INTO slipway.cache_entries (scope, store, key, description, created_at)
        SELECT 'trusted-local', s.store, repeat(s.digit, 64), 'RUN make', now() - s.age FROM (VALUES
            (gen_random_uuid(), '1', interval '31 days'), (gen_random_uuid(), '2', interval '29 days'),
            ((SELECT store FROM slipway.workers), '3', interval '31 days')) s(store, digit, age)";
    world.db.execute(rows).await;
    world.forget(Forget::Stores, &Keep::default()).await;
    let left = "SELECT string_agg(left(key, 1), '' ORDER BY key) FROM slipway.cache_entries";
    assert_eq!(world.db.text(left).await.as_deref(), Some("23"));
}
