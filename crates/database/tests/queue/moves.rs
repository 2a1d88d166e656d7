//! The table of moves.

use model::RunStatus;

use crate::world::World;

#[tokio::test]
async fn the_database_allows_exactly_the_moves_of_the_model() {
    let world = World::new().await;
    for from in RunStatus::ALL {
        for to in RunStatus::ALL {
            for next_attempt in [false, true] {
                if from == to && !next_attempt {
                    continue;
                }
                let run = world.submit().await;
                // Rows are put where they start without the trigger, which only lets moves pass.
                let finished = |status: &RunStatus| if status.is_end() { "now()" } else { "NULL" };
                let change = format!(
                    "ALTER TABLE slipway.runs DISABLE TRIGGER moves;
                     UPDATE slipway.runs SET status = '{from}', started_at = now(), finished_at = {}, failure = '{{}}' WHERE id = '{run}';
                     ALTER TABLE slipway.runs ENABLE TRIGGER moves;",
                    finished(from)
                );
                world.db.execute(&change).await;
                let step = i32::from(next_attempt);
                let moved = sqlx::query(sqlx::AssertSqlSafe(format!(
                    "UPDATE slipway.runs SET status = '{to}', attempt = attempt + {step}, finished_at = {} WHERE id = '{run}'",
                    finished(to)
                )))
                .execute(&world.db.admin)
                .await;
                let allowed = from.can_move_to(*to, next_attempt);
                assert_eq!(moved.is_ok(), allowed, "{from} → {to}, next attempt: {next_attempt}: {moved:?}");
            }
        }
    }
}
