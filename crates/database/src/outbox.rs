//! What others are to be told: rows that the database writes as runs move, and that a duty sends.

use model::RunId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::read;
use crate::{Database, Error};

/// How often something is tried before it is given up.
pub const OUTBOX_TRIES: i32 = 10;

/// What a row is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The run's state, at the git host that its cause names.
    CommitStatus,
    /// A signed webhook.
    Webhook {
        url: String,
        /// Name of a credential of kind `webhook`.
        credential: String,
    },
}

/// Something to be sent.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// The same at every try.
    pub id: Uuid,
    pub run: RunId,
    pub registry: String,
    /// `run.queued`, `run.started` or `run.finished`.
    pub event: String,
    pub report: Report,
    /// `host[:port]` that it goes to.
    pub host: String,
    /// Before this one.
    pub tries: i32,
    /// Of the run, when this was read: it may have moved on since.
    pub changes: i32,
    pub created_at: OffsetDateTime,
    /// By the database's clock.
    pub taken_at: OffsetDateTime,
}

/// A receiver that answered 410 Gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoneReceiver {
    pub url: String,
    pub since: OffsetDateTime,
}

/// What became of telling somebody of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// `commit_status` or `webhook`.
    pub kind: String,
    /// `run.queued`, `run.started` or `run.finished`.
    pub event: String,
    /// `host[:port]` that it goes to.
    pub host: String,
    /// `waiting`, `sent` or `given_up`.
    pub status: String,
    /// Tries that were not heard.
    pub tries: i32,
    pub last_error: Option<String>,
    pub next_try_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
}

/// So many of a run's reports are shown.
const SHOWN: i64 = 100;

#[derive(serde::Deserialize)]
struct Target {
    url: String,
    credential: String,
}

impl Database {
    /// Takes what has been due longest, but for what goes to `busy` hosts; its next try is `pause` seconds away,
    /// whatever becomes of this one.
    ///
    /// # Errors
    /// The database is away.
    pub async fn take_report(&self, busy: &[String], pause: i32) -> Result<Option<OutboxRow>, Error> {
        let row = sqlx::query!(
            r#"UPDATE slipway.outbox SET next_try_at = now() + make_interval(secs => $2)
             WHERE id = (SELECT id FROM slipway.outbox WHERE status = 'waiting' AND next_try_at <= now() AND host <> ALL($1)
                 ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED)
             RETURNING id, run_id, registry, kind, event, target, host, tries, changes, created_at, now() AS "taken_at!""#,
            busy,
            f64::from(pause)
        );
        let Some(row) = row.fetch_optional(&self.pool).await? else { return Ok(None) };
        let report = match row.kind.as_str() {
            "commit_status" => Report::CommitStatus,
            _ => {
                let Target { url, credential } = read("an outbox target", row.target)?;
                Report::Webhook { url, credential }
            }
        };
        let (id, run, tries, changes) = (row.id, RunId(row.run_id), row.tries, row.changes);
        let (registry, event, host) = (row.registry, row.event, row.host);
        let (created_at, taken_at) = (row.created_at, row.taken_at);
        Ok(Some(OutboxRow { id, run, registry, event, report, host, tries, changes, created_at, taken_at }))
    }

    /// It arrived. A run that moved meanwhile is told once more. Answers the seconds since it happened.
    ///
    /// # Errors
    /// The database is away.
    pub async fn outbox_sent(&self, row: &OutboxRow) -> Result<f64, Error> {
        let lag = sqlx::query_scalar!(
            r#"UPDATE slipway.outbox SET status = CASE WHEN changes = $2 THEN 'sent' ELSE 'waiting' END, finished_at = now(),
                 last_error = NULL, next_try_at = now() WHERE id = $1
               RETURNING extract(epoch FROM now() - happened_at)::double precision AS "lag!""#,
            row.id,
            row.changes
        );
        // The run may have been removed meanwhile.
        Ok(lag.fetch_optional(&self.pool).await?.unwrap_or_default())
    }

    /// It did not; the next try is in `pause` seconds, or there is none.
    ///
    /// # Errors
    /// The database is away.
    pub async fn outbox_failed(&self, row: &OutboxRow, error: &str, pause: Option<i32>) -> Result<(), Error> {
        sqlx::query!(
            "UPDATE slipway.outbox SET tries = tries + 1, last_error = $2,
                 status = CASE WHEN $3::integer IS NULL AND changes = $4 THEN 'given_up' ELSE 'waiting' END,
                 finished_at = CASE WHEN $3::integer IS NULL THEN now() END,
                 next_try_at = now() + make_interval(secs => coalesce($3::integer, 0)) WHERE id = $1",
            row.id,
            error,
            pause,
            row.changes
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A receiver of webhooks wants nothing any more: whatever waits for it is given up, and nothing new is written
    /// down. Answers how many waited.
    ///
    /// # Errors
    /// The database is away.
    pub async fn receiver_gone(&self, registry: &str, url: &str, why: &str) -> Result<u64, Error> {
        self.pool.whole(self.give_up(registry, url, why)).await
    }

    async fn give_up(&self, registry: &str, url: &str, why: &str) -> Result<u64, Error> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query!(
            "INSERT INTO slipway.gone_receivers (registry, url) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            registry,
            url
        )
        .execute(&mut *transaction)
        .await?;
        let given_up = sqlx::query!(
            "UPDATE slipway.outbox SET status = 'given_up', last_error = $3, finished_at = now()
             WHERE registry = $1 AND kind = 'webhook' AND status = 'waiting' AND target ->> 'url' = $2",
            registry,
            url,
            why
        );
        let given_up = given_up.execute(&mut *transaction).await?.rows_affected();
        transaction.commit().await?;
        Ok(given_up)
    }

    /// These are told again.
    ///
    /// # Errors
    /// The database is away.
    pub async fn receivers_named(&self, registry: &str, urls: &[String]) -> Result<(), Error> {
        sqlx::query!(
            "DELETE FROM slipway.gone_receivers WHERE registry = $1 AND url = ANY($2)",
            registry,
            urls
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Receivers of a registry that are told nothing, by address.
    ///
    /// # Errors
    /// The database is away.
    pub async fn gone_receivers(&self, registry: &str) -> Result<Vec<GoneReceiver>, Error> {
        let rows = sqlx::query_as!(
            GoneReceiver,
            "SELECT url, since FROM slipway.gone_receivers WHERE registry = $1 ORDER BY url LIMIT 100",
            registry
        );
        Ok(rows.fetch_all(&self.pool).await?)
    }

    /// Who was told of a run and who was not, the first event first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn reports_of(&self, run: RunId) -> Result<Vec<ReportRow>, Error> {
        let rows = sqlx::query_as!(
            ReportRow,
            "SELECT kind, event, host, status, tries, last_error, next_try_at, finished_at FROM slipway.outbox
             WHERE run_id = $1 ORDER BY created_at, id LIMIT $2",
            run.0,
            SHOWN
        );
        Ok(rows.fetch_all(&self.pool).await?)
    }

    /// Rows that wait, and seconds that the oldest has waited.
    ///
    /// # Errors
    /// The database is away.
    pub async fn outbox_age(&self) -> Result<(i64, i64), Error> {
        let row = sqlx::query!(
            r#"SELECT count(*) AS "waiting!", coalesce(extract(epoch FROM now() - min(created_at))::bigint, 0) AS "age!"
               FROM slipway.outbox WHERE status = 'waiting'"#
        );
        let row = row.fetch_one(&self.pool).await?;
        Ok((row.waiting, row.age))
    }
}
