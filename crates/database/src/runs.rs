//! Runs as the server sees them: made, looked at, cancelled. The list is in `run_list`.

use model::{
    BuildSpec, Cause, Digest, Failure, GitRevision, Notify, RunId, RunStatus, SourceSpec, TaskId, Trust,
};
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{json, parse, read};
use crate::{Database, Error};

/// A run to be made.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// New: version 7.
    pub id: RunId,
    /// A registry's name.
    pub registry: String,
    pub spec: BuildSpec,
    /// Names of images with the run's fields filled in, where the spec's hold any.
    pub images: Option<Vec<String>>,
    /// The task it is a run of, and its name.
    pub task: Option<(TaskId, String)>,
    pub cause: Cause,
    /// A task has one run for each of these.
    pub cause_key: Option<String>,
    /// May be lowered, not raised: what started the run decides.
    pub trust: Trust,
    /// Outgoing webhooks.
    pub notify: Vec<Notify>,
    /// The client's key, and the SHA-256 of what it was sent with.
    pub idempotency: Option<(String, [u8; 32])>,
    /// Higher ones first, within a registry.
    pub priority: i32,
    /// 1 to 10.
    pub max_attempts: i32,
}

impl NewRun {
    /// A build that somebody asked for, with no task.
    #[must_use]
    pub fn quick(registry: &str, spec: BuildSpec) -> Self {
        Self {
            id: RunId(Uuid::now_v7()),
            registry: registry.to_owned(),
            spec,
            images: None,
            task: None,
            cause: Cause::Manual { by: None, rerun: None },
            cause_key: None,
            trust: Trust::Trusted,
            notify: Vec::new(),
            idempotency: None,
            priority: 0,
            max_attempts: 3,
        }
    }
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
    /// In the order in which runs were asked for.
    pub number: i64,
    pub registry: String,
    pub spec: BuildSpec,
    /// Names of images with the run's fields filled in.
    pub images: Vec<String>,
    /// The registry's address as it was when they were pushed; absent before.
    pub address: Option<String>,
    /// The task's name when it was made.
    pub task: Option<String>,
    pub cause: Cause,
    pub trust: Trust,
    /// Tags that were left alone for a newer run's sake.
    pub skipped: Vec<SkippedTag>,
    pub status: RunStatus,
    /// From 1.
    pub attempt: i32,
    pub max_attempts: i32,
    pub cancel_requested: bool,
    pub created_at: OffsetDateTime,
    pub started_at: Option<OffsetDateTime>,
    pub finished_at: Option<OffsetDateTime>,
    /// When its log was removed for its age or size.
    pub log_removed_at: Option<OffsetDateTime>,
    pub revision: Option<GitRevision>,
    pub digest: Option<Digest>,
    pub failure: Option<Failure>,
}

/// A tag that a newer run of the same task has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SkippedTag {
    pub repository: String,
    pub tag: String,
    pub superseded_by: RunId,
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

#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    id: Uuid,
    number: i64,
    registry: String,
    spec: Value,
    images: Option<Value>,
    address: Option<String>,
    task: Option<String>,
    cause: Value,
    trust: String,
    skipped: Option<Value>,
    status: String,
    attempt: i32,
    max_attempts: i32,
    cancel_requested: bool,
    created_at: OffsetDateTime,
    started_at: Option<OffsetDateTime>,
    finished_at: Option<OffsetDateTime>,
    log_removed_at: Option<OffsetDateTime>,
    revision: Option<Value>,
    digest: Option<String>,
    failure: Option<Value>,
}

impl TryFrom<Row> for RunRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let spec: BuildSpec = read("a run's spec", row.spec)?;
        let images = row.images.map(|images| read("a run's images", images)).transpose()?;
        Ok(Self {
            id: RunId(row.id),
            number: row.number,
            registry: row.registry,
            images: images.unwrap_or_else(|| spec.images.clone()),
            spec,
            address: row.address,
            task: row.task,
            cause: read("a run's cause", row.cause)?,
            trust: parse(&row.trust)?,
            skipped: row
                .skipped
                .map(|skipped| read("skipped tags", skipped))
                .transpose()?
                .unwrap_or_default(),
            status: parse(&row.status)?,
            attempt: row.attempt,
            max_attempts: row.max_attempts,
            cancel_requested: row.cancel_requested,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            log_removed_at: row.log_removed_at,
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
        self.pool.whole(self.make_run(new)).await
    }

    async fn make_run(&self, new: NewRun) -> Result<CreateRun, Error> {
        let id = new.id;
        let mut transaction = self.pool.begin().await?;
        if let Some((key, request)) = &new.idempotency {
            let inserted = sqlx::query!(
                "INSERT INTO slipway.idempotency_keys (registry, key, request_hash, run_id) VALUES ($1, $2, $3, $4)
                 ON CONFLICT DO NOTHING",
                new.registry,
                key,
                request,
                id.0
            );
            if inserted.execute(&mut *transaction).await?.rows_affected() == 0 {
                transaction.rollback().await?;
                let made = self.replay(&new.registry, key, request).await?;
                return made.ok_or_else(|| Error::Unreadable("an idempotency key vanished".to_owned()));
            }
        }
        if let SourceSpec::Upload { id: source } = &new.spec.source {
            let sealed = sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT FROM slipway.sources WHERE id = $1 AND registry = $2 AND sealed_at IS NOT NULL) AS "sealed!""#,
                source.0,
                new.registry
            );
            if !sealed.fetch_one(&mut *transaction).await? {
                return Err(Error::SourceNotFound(*source));
            }
        }
        let made = insert_run(&mut transaction, &new).await?;
        transaction.commit().await?;
        let run = self.get_run(made).await?;
        if made != id {
            return run
                .map(CreateRun::Replayed)
                .ok_or_else(|| Error::Unreadable("a run vanished".to_owned()));
        }
        run.map(CreateRun::Created).ok_or_else(|| Error::Unreadable("a run vanished".to_owned()))
    }

    /// What an earlier request with this key made, if there was one: asked before anything of a new request is
    /// checked, for what it names may be gone since.
    ///
    /// # Errors
    /// The database is away.
    pub async fn replay(
        &self,
        registry: &str,
        key: &str,
        request: &[u8; 32],
    ) -> Result<Option<CreateRun>, Error> {
        let row = sqlx::query!(
            "SELECT request_hash, run_id FROM slipway.idempotency_keys WHERE registry = $1 AND key = $2",
            registry,
            key
        );
        let Some(row) = row.fetch_optional(&self.pool).await? else { return Ok(None) };
        if row.request_hash != request {
            return Ok(Some(CreateRun::KeyReused));
        }
        let run = self.get_run(RunId(row.run_id)).await?;
        run.map(|run| Some(CreateRun::Replayed(run)))
            .ok_or_else(|| Error::Unreadable("a run vanished".to_owned()))
    }

    /// The run of that id.
    ///
    /// # Errors
    /// The database is away.
    pub async fn get_run(&self, run: RunId) -> Result<Option<RunRow>, Error> {
        let row = sqlx::query_as!(
            Row,
            r#"SELECT id, number, registry, spec, images, task, cause, trust, status::text AS "status!", attempt, max_attempts,
                   cancel_requested_at IS NOT NULL AS "cancel_requested!", created_at, started_at, finished_at, log_removed_at,
                   revision, digest, failure,
                   (SELECT p.address FROM slipway.publications p WHERE p.run_id = r.id AND p.attempt = r.attempt) AS address,
                   (SELECT jsonb_agg(jsonb_build_object('repository', i.repository, 'tag', i.tag, 'superseded_by', i.superseded_by)
                        ORDER BY i.repository, i.tag)
                    FROM slipway.publications p JOIN slipway.publication_images i ON i.publication_id = p.id
                    WHERE p.run_id = r.id AND p.attempt = r.attempt AND i.superseded_by IS NOT NULL) AS skipped
               FROM slipway.runs r WHERE id = $1"#,
            run.0
        );
        row.fetch_optional(&self.pool).await?.map(RunRow::try_from).transpose()
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

/// Makes a run and queues it. Answers its id, or that of the run which is there for the same cause.
pub(crate) async fn insert_run(connection: &mut PgConnection, new: &NewRun) -> Result<RunId, Error> {
    let task = new.task.as_ref();
    let made = sqlx::query!(
        "INSERT INTO slipway.runs (id, registry, spec, images, task_id, task, cause, cause_key, trust, notify, max_attempts)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (task_id, cause_key) WHERE cause_key IS NOT NULL DO NOTHING",
        new.id.0,
        new.registry,
        json(&new.spec)?,
        new.images.as_ref().map(json).transpose()?,
        task.map(|(id, _)| id.0),
        task.map(|(_, name)| name.as_str()),
        json(&new.cause)?,
        new.cause_key,
        new.trust.as_str(),
        json(&new.notify)?,
        new.max_attempts
    );
    if made.execute(&mut *connection).await?.rows_affected() == 0 {
        let there = sqlx::query_scalar!(
            "SELECT id FROM slipway.runs WHERE task_id = $1 AND cause_key = $2",
            task.map(|(id, _)| id.0),
            new.cause_key
        );
        return Ok(RunId(there.fetch_one(&mut *connection).await?));
    }
    sqlx::query!(
        "INSERT INTO slipway.run_queue (run_id, registry, platform, priority, timeout_seconds)
         VALUES ($1, $2, $3, $4, $5)",
        new.id.0,
        new.registry,
        new.spec.platform.to_string(),
        new.priority,
        i32::try_from(new.spec.timeout_seconds).unwrap_or(i32::MAX)
    )
    .execute(connection)
    .await?;
    Ok(new.id)
}
