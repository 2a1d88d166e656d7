//! Numbers for `/metrics`, `/readyz` and `/v1/statistics`.

use time::OffsetDateTime;

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

/// What whoever runs the service asks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// When this was so.
    pub at: OffsetDateTime,
    pub queued: i64,
    pub started: i64,
    pub publishing: i64,
    /// Seconds that the oldest queued run has waited; 0 when none waits.
    pub oldest_seconds: i64,
    /// Workers that gave a sign of life within the last lease length.
    pub workers: i64,
    /// Their slots.
    pub slots: i64,
    /// Reports that wait to be sent.
    pub outbox: i64,
    pub outbox_oldest_seconds: i64,
    /// Deliveries that wait to be worked off.
    pub inbox: i64,
    pub inbox_oldest_seconds: i64,
    /// Runs that were asked for within the last 24 hours, and how they ended.
    pub asked: i64,
    pub succeeded: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub timed_out: i64,
}

impl Database {
    /// The database's clock, by which everything it holds is dated.
    ///
    /// # Errors
    /// The database is away.
    pub async fn now(&self) -> Result<OffsetDateTime, Error> {
        Ok(sqlx::query_scalar!(r#"SELECT now() AS "now!""#).fetch_one(&self.pool).await?)
    }

    /// Counts, of one registry or of all. Workers belong to none: they are all counted.
    ///
    /// # Errors
    /// The database is away.
    pub async fn statistics(&self, registry: Option<&str>) -> Result<Statistics, Error> {
        // An id of version 7 begins with its time: the primary key finds the last day's.
        let statistics = sqlx::query_as!(
            Statistics,
            r#"SELECT now() AS "at!", q.*, w.*, o.*, d.*, r.*
               FROM (SELECT count(*) FILTER (WHERE status = 'queued') AS "queued!",
                       count(*) FILTER (WHERE status = 'started') AS "started!",
                       count(*) FILTER (WHERE status = 'publishing') AS "publishing!",
                       coalesce(extract(epoch FROM now() - min(queued_at) FILTER (WHERE status = 'queued'))::bigint, 0)
                           AS "oldest_seconds!"
                   FROM slipway.run_queue WHERE $1::text IS NULL OR registry = $1) q,
               (SELECT count(*) AS "workers!", coalesce(sum(slots), 0) AS "slots!"
                   FROM slipway.workers WHERE seen_at > now() - slipway.lease_length()) w,
               (SELECT count(*) AS "outbox!", coalesce(extract(epoch FROM now() - min(created_at))::bigint, 0)
                       AS "outbox_oldest_seconds!"
                   FROM slipway.outbox WHERE status = 'waiting' AND ($1::text IS NULL OR registry = $1)) o,
               (SELECT count(*) AS "inbox!", coalesce(extract(epoch FROM now() - min(received_at))::bigint, 0)
                       AS "inbox_oldest_seconds!"
                   FROM slipway.deliveries WHERE status = 'received' AND ($1::text IS NULL OR registry = $1)) d,
               (SELECT count(*) AS "asked!", count(*) FILTER (WHERE status = 'succeeded') AS "succeeded!",
                       count(*) FILTER (WHERE status = 'failed') AS "failed!",
                       count(*) FILTER (WHERE status = 'cancelled') AS "cancelled!",
                       count(*) FILTER (WHERE status = 'timed_out') AS "timed_out!"
                   FROM slipway.runs WHERE ($1::text IS NULL OR registry = $1) AND id > (lpad(to_hex(
                       (extract(epoch FROM now() - interval '24 hours') * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid) r"#,
            registry
        );
        Ok(statistics.fetch_one(&self.pool).await?)
    }

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
