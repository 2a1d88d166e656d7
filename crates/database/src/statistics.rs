//! Numbers for `/metrics` and `/readyz`.

use crate::{Database, Error};

/// The queue and its workers at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueStatistics {
    pub queued: i64,
    pub started: i64,
    pub publishing: i64,
    /// Seconds that the oldest queued run has waited; 0 when none waits.
    pub oldest_seconds: i64,
    /// Runs whose holder's lease ran out, and that nobody has taken from it yet.
    pub expired: i64,
    /// Workers that gave a sign of life within the last lease length.
    pub workers: i64,
    /// Their slots.
    pub slots: i64,
}

impl Database {
    /// Counts.
    ///
    /// # Errors
    /// The database is away.
    pub async fn queue_statistics(&self) -> Result<QueueStatistics, Error> {
        let statistics = sqlx::query_as!(
            QueueStatistics,
            r#"SELECT count(*) FILTER (WHERE q.status = 'queued') AS "queued!",
                   count(*) FILTER (WHERE q.status = 'started') AS "started!",
                   count(*) FILTER (WHERE q.status = 'publishing') AS "publishing!",
                   coalesce(extract(epoch FROM now() - min(q.queued_at) FILTER (WHERE q.status = 'queued'))::bigint, 0)
                       AS "oldest_seconds!",
                   count(*) FILTER (WHERE q.lease_expires_at < now()) AS "expired!",
                   (SELECT count(*) FROM slipway.workers w WHERE w.seen_at > now() - slipway.lease_length()) AS "workers!",
                   (SELECT coalesce(sum(w.slots), 0) FROM slipway.workers w WHERE w.seen_at > now() - slipway.lease_length())
                       AS "slots!"
               FROM slipway.run_queue q"#
        );
        Ok(statistics.fetch_one(&self.pool).await?)
    }
}
