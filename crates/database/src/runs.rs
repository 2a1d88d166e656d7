//! Runs as the server sees them: made, looked at, listed, cancelled.

use model::{BuildSpec, Digest, Failure, GitRevision, RunId, RunStatus, SourceSpec};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{json, parse, read};
use crate::{Database, Error};

/// A run to be made.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// A registry's name.
    pub registry: String,
    pub spec: BuildSpec,
    /// The client's key, and the SHA-256 of what it was sent with.
    pub idempotency: Option<(String, [u8; 32])>,
    /// Higher ones first, within a registry.
    pub priority: i32,
    /// 1 to 10.
    pub max_attempts: i32,
}

/// What became of a [`NewRun`].
#[derive(Debug, Clone)]
pub enum CreateRun {
    Created(RunRow),
    /// An earlier request with this key made it.
    Replayed(RunRow),
    /// The key came with something else before; nothing was made.
    KeyReused,
}

/// A run.
#[derive(Debug, Clone)]
pub struct RunRow {
    pub id: RunId,
    pub registry: String,
    pub spec: BuildSpec,
    pub status: RunStatus,
    /// From 1.
    pub attempt: i32,
    pub max_attempts: i32,
    pub cancel_requested: bool,
    pub created_at: OffsetDateTime,
    pub started_at: Option<OffsetDateTime>,
    pub finished_at: Option<OffsetDateTime>,
    pub revision: Option<GitRevision>,
    pub digest: Option<Digest>,
    pub failure: Option<Failure>,
}

/// Some runs, newest first.
#[derive(Debug, Clone)]
pub struct RunPage {
    pub runs: Vec<RunRow>,
    /// Where the next page begins: after this run.
    pub next: Option<RunId>,
}

/// What a cancel led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// It will be cancelled, or is by now.
    Requested,
    /// It had ended before.
    Done(RunStatus),
    /// Its manifest is on its way to the registry.
    TooLate,
    NotFound,
}

struct Row {
    id: Uuid,
    registry: String,
    spec: Value,
    status: String,
    attempt: i32,
    max_attempts: i32,
    cancel_requested: bool,
    created_at: OffsetDateTime,
    started_at: Option<OffsetDateTime>,
    finished_at: Option<OffsetDateTime>,
    revision: Option<Value>,
    digest: Option<String>,
    failure: Option<Value>,
}

impl TryFrom<Row> for RunRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        Ok(Self {
            id: RunId(row.id),
            registry: row.registry,
            spec: read("a run's spec", row.spec)?,
            status: parse(&row.status)?,
            attempt: row.attempt,
            max_attempts: row.max_attempts,
            cancel_requested: row.cancel_requested,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            revision: row.revision.map(|revision| read("a run's revision", revision)).transpose()?,
            digest: row.digest.map(|digest| parse(&digest)).transpose()?,
            failure: row.failure.map(|failure| read("a run's failure", failure)).transpose()?,
        })
    }
}

impl Database {
    /// Makes a run and queues it, in one transaction.
    ///
    /// # Errors
    /// The spec names an upload that is not there, or the database is away.
    pub async fn create_run(&self, new: NewRun) -> Result<CreateRun, Error> {
        let id = Uuid::now_v7();
        let mut transaction = self.pool.begin().await?;
        if let Some((key, request)) = &new.idempotency {
            let inserted = sqlx::query!(
                "INSERT INTO slipway.idempotency_keys (registry, key, request_hash, run_id) VALUES ($1, $2, $3, $4)
                 ON CONFLICT DO NOTHING",
                new.registry,
                key,
                request,
                id
            );
            if inserted.execute(&mut *transaction).await?.rows_affected() == 0 {
                transaction.rollback().await?;
                return self.replay(&new.registry, key, request).await;
            }
        }
        if let SourceSpec::Upload { id: source } = &new.spec.source {
            let sealed = sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT FROM slipway.sources WHERE id = $1 AND sealed_at IS NOT NULL) AS "sealed!""#,
                source.0
            );
            if !sealed.fetch_one(&mut *transaction).await? {
                return Err(Error::SourceNotFound(*source));
            }
        }
        sqlx::query!(
            "INSERT INTO slipway.runs (id, registry, spec, max_attempts) VALUES ($1, $2, $3, $4)",
            id,
            new.registry,
            json(&new.spec)?,
            new.max_attempts
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!(
            "INSERT INTO slipway.run_queue (run_id, registry, platform, priority, timeout_seconds)
             VALUES ($1, $2, $3, $4, $5)",
            id,
            new.registry,
            new.spec.platform.to_string(),
            new.priority,
            i32::try_from(new.spec.timeout_seconds).unwrap_or(i32::MAX)
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let run = self.get_run(RunId(id)).await?;
        run.map(CreateRun::Created).ok_or_else(|| Error::Unreadable("a run vanished".to_owned()))
    }

    async fn replay(&self, registry: &str, key: &str, request: &[u8]) -> Result<CreateRun, Error> {
        let row = sqlx::query!(
            "SELECT request_hash, run_id FROM slipway.idempotency_keys WHERE registry = $1 AND key = $2",
            registry,
            key
        );
        let row = row.fetch_one(&self.pool).await?;
        if row.request_hash != request {
            return Ok(CreateRun::KeyReused);
        }
        let run = self.get_run(RunId(row.run_id)).await?;
        run.map(CreateRun::Replayed).ok_or_else(|| Error::Unreadable("a run vanished".to_owned()))
    }

    /// The run of that id.
    ///
    /// # Errors
    /// The database is away.
    pub async fn get_run(&self, run: RunId) -> Result<Option<RunRow>, Error> {
        let row = sqlx::query_as!(
            Row,
            r#"SELECT id, registry, spec, status::text AS "status!", attempt, max_attempts,
                   cancel_requested_at IS NOT NULL AS "cancel_requested!", created_at, started_at, finished_at,
                   revision, digest, failure
               FROM slipway.runs WHERE id = $1"#,
            run.0
        );
        row.fetch_optional(&self.pool).await?.map(RunRow::try_from).transpose()
    }

    /// A page of a registry's runs, newest first, after the run `cursor`.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list_runs(
        &self,
        registry: &str,
        status: Option<RunStatus>,
        cursor: Option<RunId>,
        limit: u32,
    ) -> Result<RunPage, Error> {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT id, registry, spec, status::text AS "status!", attempt, max_attempts,
                   cancel_requested_at IS NOT NULL AS "cancel_requested!", created_at, started_at, finished_at,
                   revision, digest, failure
               FROM slipway.runs
               WHERE registry = $1 AND ($2::text IS NULL OR status = $2::text::slipway.run_status)
                   AND ($3::uuid IS NULL OR id < $3)
               ORDER BY id DESC LIMIT $4"#,
            registry,
            status.map(RunStatus::as_str),
            cursor.map(|cursor| cursor.0),
            i64::from(limit) + 1
        );
        let mut runs = rows
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(RunRow::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        let more = runs.len() > limit as usize;
        runs.truncate(limit as usize);
        let next = runs.last().map(|run| run.id).filter(|_| more);
        Ok(RunPage { runs, next })
    }

    /// Asks for a run's end. A queued one, and one whose push has not come to its manifest, end at once.
    ///
    /// # Errors
    /// The database is away.
    pub async fn request_cancel(&self, run: RunId) -> Result<Cancel, Error> {
        let word = sqlx::query_scalar!(r#"SELECT slipway.request_cancel($1) AS "word!""#, run.0);
        match word.fetch_one(&self.pool).await?.as_str() {
            "requested" => Ok(Cancel::Requested),
            "too_late" => Ok(Cancel::TooLate),
            "not_found" => Ok(Cancel::NotFound),
            ended => Ok(Cancel::Done(parse(ended)?)),
        }
    }
}
