//! What a worker may do. Every call but the first three carries the lease it is made under.

use std::time::Duration;

use model::{
    BuildSpec, BuiltImage, Descriptor, Epoch, Failure, GitRevision, LayerSource, LeaseToken, Platform, RunId,
    RunStatus, StoreId, WorkerId, WorkerLimits,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::error::{json as to_json, parse, read, storable};
use crate::{Database, Error};

/// The area of a store that holds base images' blobs.
const SHARED: &str = "shared";

/// A worker that introduces itself.
#[derive(Debug, Clone)]
pub struct NewWorker {
    pub id: WorkerId,
    pub store: StoreId,
    /// For lists.
    pub name: String,
    /// What it builds for.
    pub platform: Platform,
    /// Runs at the same time, at least 1.
    pub slots: i32,
    /// Whether its runs have limits.
    pub limits: WorkerLimits,
}

/// A run and the lease on it.
#[derive(Debug, Clone)]
pub struct LeasedRun {
    pub run: RunId,
    pub attempt: i32,
    pub epoch: Epoch,
    pub token: LeaseToken,
    pub registry_name: String,
    /// `host[:port]`.
    pub registry_address: String,
    pub plain_http: bool,
    pub spec: BuildSpec,
    /// Trust scope of everything the run makes.
    pub scope: String,
    /// When its time is over.
    pub deadline: OffsetDateTime,
    /// How long it had been in the queue.
    pub waited: Duration,
}

/// A lease to be renewed.
#[derive(Debug, Clone)]
pub struct Held {
    pub run: RunId,
    pub epoch: Epoch,
    pub token: LeaseToken,
    /// Shown to whoever looks at the run.
    pub progress: Value,
}

/// Whether a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Continue,
    /// Somebody asked for its end.
    Cancel,
    /// It is somebody else's now: write nothing more.
    Lost,
    TimedOut,
}

/// The answer to a [`Held`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed {
    pub run: RunId,
    pub verdict: Verdict,
}

/// A blob that the publisher has to see in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicationBlob {
    pub blob: Descriptor,
    /// The store's area that has it, if any.
    pub scope: Option<String>,
    /// `host/repository` that has it, if any.
    pub source: Option<String>,
}

/// How a run's work in its worker ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Built; now it has to be pushed.
    Publishing {
        image: BuiltImage,
        revision: Option<GitRevision>,
    },
    /// Built, and nothing is to be pushed.
    Succeeded {
        image: BuiltImage,
        revision: Option<GitRevision>,
    },
    Failed {
        failure: Failure,
        revision: Option<GitRevision>,
    },
    Cancelled,
    TimedOut(Failure),
    /// The worker stops: somebody else has to do it, and this attempt does not count.
    HandedBack(Failure),
}

impl PublicationBlob {
    /// A blob that the run made.
    #[must_use]
    pub fn in_store(blob: Descriptor, scope: &str) -> Self {
        Self { blob, scope: Some(scope.to_owned()), source: None }
    }

    fn json(&self) -> Value {
        json!({ "digest": self.blob.digest, "size": self.blob.size, "media_type": self.blob.media_type,
            "scope": self.scope, "source": self.source })
    }
}

/// Everything that an image's manifest names.
fn blobs_of(image: &BuiltImage, scope: &str) -> Value {
    let layers = image.layers.iter().map(|layer| match &layer.source {
        LayerSource::Store => PublicationBlob::in_store(layer.descriptor.clone(), scope),
        LayerSource::Registry { registry, repository } => PublicationBlob {
            blob: layer.descriptor.clone(),
            scope: Some(SHARED.to_owned()),
            source: Some(format!("{registry}/{repository}")),
        },
    });
    let config = PublicationBlob::in_store(image.config.clone(), scope);
    layers.chain([config]).map(|blob| blob.json()).collect()
}

impl Database {
    /// Introduces a worker.
    ///
    /// # Errors
    /// The database is away.
    pub async fn register_worker(&self, new: &NewWorker) -> Result<(), Error> {
        sqlx::query!(
            "SELECT slipway.register_worker($1, $2, $3, $4, $5, $6)",
            new.id.0,
            new.store.0,
            new.name,
            new.platform.to_string(),
            new.slots,
            new.limits.as_str()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes the next run, if there is one for this worker.
    ///
    /// # Errors
    /// The database is away.
    pub async fn lease_next(&self, worker: WorkerId) -> Result<Option<LeasedRun>, Error> {
        let row = sqlx::query!(
            r#"SELECT run_id AS "run_id!", attempt AS "attempt!", epoch AS "epoch!", token AS "token!",
                   registry AS "registry!", address AS "address!", plain_http AS "plain_http!", spec AS "spec!",
                   scope AS "scope!", deadline AS "deadline!", slipway.queue_wait(run_id) AS waited
               FROM slipway.lease_next($1)"#,
            worker.0
        );
        let Some(row) = row.fetch_optional(&self.pool).await? else { return Ok(None) };
        Ok(Some(LeasedRun {
            run: RunId(row.run_id),
            attempt: row.attempt,
            epoch: Epoch(row.epoch),
            token: LeaseToken(row.token),
            registry_name: row.registry,
            registry_address: row.address,
            plain_http: row.plain_http,
            spec: read("a run's spec", row.spec)?,
            scope: row.scope,
            deadline: row.deadline,
            waited: Duration::try_from_secs_f64(row.waited.unwrap_or_default()).unwrap_or_default(),
        }))
    }

    /// The heartbeat: renews leases, brings progress out and verdicts back. Also without a lease it is
    /// the worker's sign of life.
    ///
    /// # Errors
    /// The database is away.
    pub async fn renew_leases(&self, worker: WorkerId, held: &[Held]) -> Result<Vec<Renewed>, Error> {
        let runs: Vec<_> = held.iter().map(|held| held.run.0).collect();
        let epochs: Vec<_> = held.iter().map(|held| held.epoch.0).collect();
        let tokens: Vec<_> = held.iter().map(|held| held.token.0.clone()).collect();
        let progress: Vec<_> = held.iter().map(|held| storable(held.progress.clone())).collect();
        let rows = sqlx::query!(
            r#"SELECT run_id AS "run_id!", verdict AS "verdict!" FROM slipway.renew_leases($1, $2, $3, $4, $5)"#,
            worker.0,
            &runs,
            &epochs,
            &tokens,
            &progress
        );
        let rows = rows.fetch_all(&self.pool).await?;
        rows.into_iter()
            .map(|row| Ok(Renewed { run: RunId(row.run_id), verdict: parse(&row.verdict)? }))
            .collect()
    }

    /// Appends to the attempt's log at `offset`, which has to be its end. The same again does nothing.
    ///
    /// # Errors
    /// The lease is lost, the offset is another, or the database is away.
    pub async fn append_log(
        &self,
        run: RunId,
        epoch: Epoch,
        token: &LeaseToken,
        attempt: i32,
        offset: i64,
        bytes: &[u8],
    ) -> Result<(), Error> {
        sqlx::query!(
            "SELECT slipway.append_log($1, $2, $3, $4, $5, $6)",
            run.0,
            epoch.0,
            token.0,
            attempt,
            offset,
            bytes
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }

    /// Tells the publisher of a blob before the image is whole.
    ///
    /// # Errors
    /// The lease is lost, or the database is away.
    pub async fn announce_blob(
        &self,
        run: RunId,
        epoch: Epoch,
        token: &LeaseToken,
        blob: &PublicationBlob,
    ) -> Result<(), Error> {
        sqlx::query!(
            "SELECT slipway.announce_blob($1, $2, $3, $4, $5, $6, $7, $8)",
            run.0,
            epoch.0,
            token.0,
            blob.blob.digest.as_str(),
            i64::try_from(blob.blob.size).unwrap_or(i64::MAX),
            blob.blob.media_type,
            blob.scope,
            blob.source
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }

    /// Says which commit the source is, as soon as it is known.
    ///
    /// # Errors
    /// The lease is lost, it is no commit, or the database is away.
    pub async fn source_found(
        &self,
        run: RunId,
        epoch: Epoch,
        token: &LeaseToken,
        revision: &GitRevision,
    ) -> Result<(), Error> {
        sqlx::query!(
            "SELECT slipway.source_found($1, $2, $3, $4)",
            run.0,
            epoch.0,
            token.0,
            to_json(revision)?
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }

    /// A piece of the uploaded archive that the run is built from; none after the last.
    ///
    /// # Errors
    /// The lease is lost, or the database is away.
    pub async fn source_chunk(
        &self,
        run: RunId,
        epoch: Epoch,
        token: &LeaseToken,
        sequence: i32,
    ) -> Result<Option<Vec<u8>>, Error> {
        let chunk = sqlx::query_scalar!(
            "SELECT slipway.source_chunk($1, $2, $3, $4)",
            run.0,
            epoch.0,
            token.0,
            sequence
        );
        Ok(chunk.fetch_one(&self.pool).await?)
    }

    /// The worker's last word. A failure of the service queues the run again while attempts are left.
    /// Answers what became of the run.
    ///
    /// # Errors
    /// The lease is lost, or the database is away.
    pub async fn finish(
        &self,
        run: RunId,
        epoch: Epoch,
        token: &LeaseToken,
        scope: &str,
        outcome: &Outcome,
    ) -> Result<RunStatus, Error> {
        let (word, image, failure, revision) = match outcome {
            Outcome::Publishing { image, revision } => ("publishing", Some(image), None, revision.as_ref()),
            Outcome::Succeeded { image, revision } => ("succeeded", Some(image), None, revision.as_ref()),
            Outcome::Failed { failure, revision } => ("failed", None, Some(failure), revision.as_ref()),
            Outcome::Cancelled => ("cancelled", None, None, None),
            Outcome::TimedOut(failure) => ("timed_out", None, Some(failure), None),
            Outcome::HandedBack(failure) => return self.hand_back(run, epoch, token, failure).await,
        };
        let status = sqlx::query_scalar!(
            r#"SELECT slipway.finish($1, $2, $3, $4, $5, $6, $7, $8)::text AS "status!""#,
            run.0,
            epoch.0,
            token.0,
            word,
            failure.map(to_json).transpose()?,
            revision.map(to_json).transpose()?,
            image.map(|image| to_json(&image.manifest)).transpose()?,
            image.map(|image| blobs_of(image, scope))
        );
        parse(&status.fetch_one(&self.pool).await?)
    }

    async fn hand_back(
        &self,
        run: RunId,
        epoch: Epoch,
        token: &LeaseToken,
        failure: &Failure,
    ) -> Result<RunStatus, Error> {
        let status = sqlx::query_scalar!(
            r#"SELECT slipway.hand_back($1, $2, $3, $4)::text AS "status!""#,
            run.0,
            epoch.0,
            token.0,
            to_json(failure)?
        );
        parse(&status.fetch_one(&self.pool).await?)
    }
}

impl std::str::FromStr for Verdict {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "continue" => Ok(Self::Continue),
            "cancel" => Ok(Self::Cancel),
            "lost" => Ok(Self::Lost),
            "timed_out" => Ok(Self::TimedOut),
            other => Err(format!("`{other}` is not a verdict")),
        }
    }
}
