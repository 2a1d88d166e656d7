//! Lists with filters do not read what they do not show.

use std::time::{Duration, Instant};

use database::{DeliveryStatus, RunFilter};
use model::RunStatus;

use crate::world::World;

/// Beside one run, without the triggers, which would queue them.
const FILL: &str = "
    SET session_replication_role = replica;
    INSERT INTO slipway.runs (id, registry, spec, status, max_attempts, started_at, finished_at, digest, task)
    SELECT gen_random_uuid(), 'local', r.spec, 'succeeded', 3, now(), now(), 'sha256:' || repeat('0', 64), 'busy'
    FROM (SELECT spec FROM slipway.runs LIMIT 1) r, generate_series(1, 20000);
    UPDATE slipway.runs SET task = 'rare' WHERE id = (SELECT run_id FROM slipway.run_queue);
    INSERT INTO slipway.hooks (id, registry, name, host, sealed) VALUES (gen_random_uuid(), 'local', 'hub', 'github', '');
    INSERT INTO slipway.deliveries (id, registry, hook_id, sender_id, event, headers, body, status)
    SELECT gen_random_uuid(), 'local', h.id, n::text, 'push', '[]', '{}', 'ignored' FROM slipway.hooks h, generate_series(1, 20000) n;
    SET session_replication_role = DEFAULT;
    ANALYZE;";

#[tokio::test]
async fn a_filter_that_matches_little_reads_little() {
    let world = World::new().await;
    let run = world.submit().await;
    world.db.execute(FILL).await;
    let server = &world.db.server;
    let task = RunFilter {
        registry: Some("local".to_owned()),
        task: Some("rare".to_owned()),
        ..RunFilter::default()
    };
    let failed = RunFilter {
        registry: Some("local".to_owned()),
        status: Some(RunStatus::Failed),
        ..RunFilter::default()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut lists = 0;
    // A connection tells what it read within a second or so, and then at its next statement.
    loop {
        let page = server.list_runs(&task, None, 20).await.unwrap();
        assert_eq!(page.runs.iter().map(|run| run.id).collect::<Vec<_>>(), [run]);
        assert!(server.list_runs(&failed, None, 20).await.unwrap().runs.is_empty());
        let none =
            server.list_deliveries("local", Some(DeliveryStatus::Failed), None, None, 20).await.unwrap();
        assert!(none.is_empty());
        lists += 1;
        let read = world
            .db
            .text(
                "SELECT count(*) FILTER (WHERE indexrelname IN ('runs_of_task_name', 'runs_of_status', 'deliveries_of_status')
                         AND idx_scan > 0) || ' ' || sum(idx_tup_read) FILTER (WHERE relname IN ('runs', 'deliveries'))
                 FROM pg_stat_user_indexes",
            )
            .await
            .unwrap();
        let (used, tuples) = read.split_once(' ').unwrap();
        // The trigger of moves and the queue read single runs too.
        assert!(tuples.parse::<i64>().unwrap() < 1000 + 10 * lists, "{read} after {lists} lists");
        if used == "3" {
            return;
        }
        assert!(Instant::now() < deadline, "{read}: one of the three indexes is not used");
    }
}
