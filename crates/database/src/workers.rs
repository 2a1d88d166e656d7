//! Workers as an operator sees them.

use model::{Platform, RunId, WorkerId, WorkerLimits};
use time::OffsetDateTime;

use crate::error::parse;
use crate::{Database, Error};

/// A worker and what it does.
#[derive(Debug, Clone)]
pub struct WorkerRow {
    pub id: WorkerId,
    pub name: String,
    pub platform: String,
    /// Runs at the same time.
    pub slots: i32,
    /// Whether they have limits there.
    pub limits: WorkerLimits,
    pub registered_at: OffsetDateTime,
    pub seen_at: OffsetDateTime,
    /// Whether it gave a sign of life within the last lease length.
    pub is_alive: bool,
    /// Runs whose lease it holds, with their registry.
    pub runs: Vec<(RunId, String)>,
}

impl Database {
    /// What workers of the last week build for.
    ///
    /// # Errors
    /// The database is away.
    pub async fn platforms(&self) -> Result<Vec<Platform>, Error> {
        let found = sqlx::query_scalar!(
            "SELECT DISTINCT platform FROM slipway.workers WHERE seen_at > now() - interval '7 days' ORDER BY 1"
        );
        found.fetch_all(&self.pool).await?.iter().map(|platform| parse(platform)).collect()
    }

    /// Workers of the last week, those that live first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list_workers(&self) -> Result<Vec<WorkerRow>, Error> {
        let rows = sqlx::query!(
            r#"SELECT w.id, w.name, w.platform, w.slots, w.limits, w.registered_at, w.seen_at,
                   w.seen_at > now() - slipway.lease_length() AS "is_alive!",
                   array(SELECT q.run_id FROM slipway.run_queue q WHERE q.leased_by = w.id ORDER BY q.run_id) AS "runs!",
                   array(SELECT q.registry FROM slipway.run_queue q WHERE q.leased_by = w.id ORDER BY q.run_id) AS "registries!"
               FROM slipway.workers w ORDER BY 7 DESC, w.registered_at DESC LIMIT 500"#
        );
        let rows = rows.fetch_all(&self.pool).await?;
        rows.into_iter()
            .map(|row| {
                Ok(WorkerRow {
                    id: WorkerId(row.id),
                    name: row.name,
                    platform: row.platform,
                    slots: row.slots,
                    limits: parse(&row.limits)?,
                    registered_at: row.registered_at,
                    seen_at: row.seen_at,
                    is_alive: row.is_alive,
                    runs: row.runs.into_iter().map(RunId).zip(row.registries).collect(),
                })
            })
            .collect()
    }
}
