//! What a publisher may do.

use model::{
    BuildSpec, Descriptor, Digest, Epoch, Failure, LeaseToken, PublicationId, RunId, SignIn, StoreId, Trust,
};
use serde::Deserialize;
use uuid::Uuid;

use crate::error::{json, parse, read};
use crate::{Database, Error, Under};

/// What every write of a publication's holder carries.
#[derive(Debug, Clone)]
pub struct PublicationLease {
    pub id: PublicationId,
    pub epoch: Epoch,
    pub token: LeaseToken,
}

/// A publication and the lease on it.
#[derive(Debug, Clone)]
pub struct LeasedPublication {
    pub lease: PublicationLease,
    pub run: RunId,
    pub attempt: i32,
    pub registry_name: String,
    /// `host[:port]`.
    pub registry_address: String,
    pub plain_http: bool,
    pub sign_in: SignIn,
    /// Of the run.
    pub trust: Trust,
    /// The store's area that holds the manifest.
    pub scope: String,
    pub images: Vec<PublicationImage>,
}

/// A name the image gets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PublicationImage {
    pub repository: String,
    pub tag: String,
}

/// A tag that a manifest may be put under, or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestTag {
    pub repository: String,
    pub tag: String,
    /// A run whose source is newer has it, or one that is trusted where this one is not.
    pub superseded_by: Option<RunId>,
    /// False: that run's own push is under way and may fail, so nothing is decided yet.
    pub is_settled: bool,
}

/// What a worker asks the publisher about: the run it proved to hold.
#[derive(Debug, Clone)]
pub struct LeasedSource {
    run: RunId,
    epoch: Epoch,
    token: LeaseToken,
    pub registry_name: String,
    /// `host[:port]`.
    pub registry_address: String,
    pub plain_http: bool,
    pub sign_in: SignIn,
    pub spec: BuildSpec,
    pub trust: Trust,
    /// Names the image will get.
    pub images: Vec<String>,
}

impl LeasedSource {
    /// The lease that it was asked under.
    #[must_use]
    pub fn lease(&self) -> Under<'_> {
        Under::Run { run: self.run, epoch: self.epoch, token: &self.token }
    }
}

/// What there is to push so far.
#[derive(Debug, Clone)]
pub struct Work {
    /// Known once the build is done; then `blobs` is whole.
    pub manifest: Option<Descriptor>,
    pub blobs: Vec<WorkBlob>,
}

/// A blob to push.
#[derive(Debug, Clone, Deserialize)]
pub struct WorkBlob {
    #[serde(flatten)]
    pub blob: BlobDescriptor,
    /// The store's area that may have it.
    pub scope: Option<String>,
    /// `host/repository` that has it.
    pub source: Option<String>,
    pub state: BlobState,
}

/// A descriptor as the journal writes it.
#[derive(Debug, Clone, Deserialize)]
pub struct BlobDescriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
}

/// How far a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlobState {
    Announced,
    /// An upload was begun; whether it ended is unknown.
    Uploading,
    /// The registry has it.
    Pushed,
    /// A manifest that names it was read back.
    Verified,
}

impl BlobState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Uploading => "uploading",
            Self::Pushed => "pushed",
            Self::Verified => "verified",
        }
    }
}

impl WorkBlob {
    /// As a manifest names it.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        let BlobDescriptor { media_type, digest, size } = self.blob.clone();
        Descriptor { media_type, digest, size }
    }
}

/// What becomes of a publication after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// It is tried again after a pause.
    Waits,
    /// It has failed.
    Failed,
}

impl Database {
    /// Takes the next publication of a store, if there is one.
    ///
    /// # Errors
    /// The database is away.
    pub async fn lease_publication(
        &self,
        publisher: Uuid,
        store: StoreId,
    ) -> Result<Option<LeasedPublication>, Error> {
        let row = sqlx::query!(
            r#"SELECT publication_id AS "id!", run_id AS "run_id!", attempt AS "attempt!", epoch AS "epoch!",
                   token AS "token!", registry AS "registry!", address AS "address!", plain_http AS "plain_http!",
                   sign_in AS "sign_in!", scope AS "scope!", images AS "images!",
                   slipway.publication_trust(publication_id) AS "trust!"
               FROM slipway.lease_publication($1, $2)"#,
            publisher,
            store.0
        );
        let Some(row) = row.fetch_optional(&self.pool).await? else { return Ok(None) };
        let lease = PublicationLease {
            id: PublicationId(row.id),
            epoch: Epoch(row.epoch),
            token: LeaseToken(row.token),
        };
        Ok(Some(LeasedPublication {
            lease,
            run: RunId(row.run_id),
            attempt: row.attempt,
            registry_name: row.registry,
            registry_address: row.address,
            plain_http: row.plain_http,
            sign_in: read("a sign-in", row.sign_in)?,
            trust: parse(&row.trust)?,
            scope: row.scope,
            images: read("a publication's images", row.images)?,
        }))
    }

    /// Renews a lease. False: it is lost, or the run was cancelled; push nothing more.
    ///
    /// # Errors
    /// The database is away.
    pub async fn renew_publication(&self, lease: &PublicationLease) -> Result<bool, Error> {
        let renewed = sqlx::query_scalar!(
            r#"SELECT slipway.renew_publication($1, $2, $3) AS "renewed!""#,
            lease.id.0,
            lease.epoch.0,
            lease.token.0
        );
        Ok(renewed.fetch_one(&self.pool).await?)
    }

    /// What there is to push so far.
    ///
    /// # Errors
    /// The lease is lost, or the database is away.
    pub async fn publication_work(&self, lease: &PublicationLease) -> Result<Work, Error> {
        let row = sqlx::query!(
            r#"SELECT manifest, blobs AS "blobs!" FROM slipway.publication_work($1, $2, $3)"#,
            lease.id.0,
            lease.epoch.0,
            lease.token.0
        );
        let row = row.fetch_one(&self.pool).await?;
        Ok(Work {
            manifest: row.manifest.map(|manifest| read("a manifest's descriptor", manifest)).transpose()?,
            blobs: read("a publication's blobs", row.blobs)?,
        })
    }

    /// Writes down how far a blob is.
    ///
    /// # Errors
    /// The lease is lost, or the database is away.
    pub async fn blob_state(
        &self,
        lease: &PublicationLease,
        digest: &Digest,
        state: BlobState,
    ) -> Result<(), Error> {
        sqlx::query!(
            "SELECT slipway.blob_state($1, $2, $3, $4, $5)",
            lease.id.0,
            lease.epoch.0,
            lease.token.0,
            digest.as_str(),
            state.as_str()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }

    /// Says that the manifest will be pushed now: from here on a cancel comes too late. Answers which
    /// tags are the run's. Where one is not settled, nothing has begun and the lease is given back: the
    /// publication is leased again after a pause.
    ///
    /// # Errors
    /// The lease is lost (or the run was cancelled), or the database is away.
    pub async fn begin_manifest(&self, lease: &PublicationLease) -> Result<Vec<ManifestTag>, Error> {
        let rows = sqlx::query!(
            r#"SELECT repository AS "repository!", tag AS "tag!", superseded_by, is_settled AS "is_settled!"
               FROM slipway.begin_manifest($1, $2, $3)"#,
            lease.id.0,
            lease.epoch.0,
            lease.token.0
        );
        let rows = rows.fetch_all(&self.pool).await?;
        let tags = rows.into_iter().map(|row| ManifestTag {
            repository: row.repository,
            tag: row.tag,
            superseded_by: row.superseded_by.map(RunId),
            is_settled: row.is_settled,
        });
        Ok(tags.collect())
    }

    /// The run that a worker holds, as far as its questions go.
    ///
    /// # Errors
    /// The lease is not that worker's (any more), or the database is away.
    pub async fn leased_run(
        &self,
        run: RunId,
        epoch: Epoch,
        token: &LeaseToken,
    ) -> Result<LeasedSource, Error> {
        let row = sqlx::query!(
            r#"SELECT registry AS "registry!", address AS "address!", plain_http AS "plain_http!", sign_in AS "sign_in!",
                   spec AS "spec!", trust AS "trust!", images AS "images!" FROM slipway.leased_run($1, $2, $3)"#,
            run.0,
            epoch.0,
            token.0
        );
        let row = row.fetch_one(&self.pool).await?;
        Ok(LeasedSource {
            run,
            epoch,
            token: token.clone(),
            registry_name: row.registry,
            registry_address: row.address,
            plain_http: row.plain_http,
            sign_in: read("a sign-in", row.sign_in)?,
            spec: read("a run's spec", row.spec)?,
            trust: parse(&row.trust)?,
            images: read("a run's images", row.images)?,
        })
    }

    /// Ends publication and run, with the digest that was read back.
    ///
    /// # Errors
    /// The lease is lost, or the database is away.
    pub async fn published(&self, lease: &PublicationLease, digest: &Digest) -> Result<(), Error> {
        sqlx::query!(
            "SELECT slipway.published($1, $2, $3, $4)",
            lease.id.0,
            lease.epoch.0,
            lease.token.0,
            digest.as_str()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives a publication back with what went wrong.
    ///
    /// # Errors
    /// The lease is lost, or the database is away.
    pub async fn publication_failed(
        &self,
        lease: &PublicationLease,
        failure: &Failure,
    ) -> Result<AfterFailure, Error> {
        let word = sqlx::query_scalar!(
            r#"SELECT slipway.publication_failed($1, $2, $3, $4) AS "word!""#,
            lease.id.0,
            lease.epoch.0,
            lease.token.0,
            json(failure)?
        );
        match word.fetch_one(&self.pool).await?.as_str() {
            "waits" => Ok(AfterFailure::Waits),
            _ => Ok(AfterFailure::Failed),
        }
    }

    /// Gives up a publication whose store lacks a blob, or has damaged it: what made the blob is forgotten, and the
    /// run is tried again.
    ///
    /// # Errors
    /// The lease is lost, or the database is away.
    pub async fn publication_lacks_blob(
        &self,
        lease: &PublicationLease,
        digest: &Digest,
        failure: &Failure,
    ) -> Result<AfterFailure, Error> {
        sqlx::query_scalar!(
            r#"SELECT slipway.publication_lacks_blob($1, $2, $3, $4, $5) AS "word!""#,
            lease.id.0,
            lease.epoch.0,
            lease.token.0,
            digest.as_str(),
            json(failure)?
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(AfterFailure::Failed)
    }

    /// Appends lines to the run's log, once its worker has written the last of its own; before that
    /// they are dropped.
    ///
    /// # Errors
    /// The lease is lost, or the database is away.
    pub async fn append_publication_log(&self, lease: &PublicationLease, lines: &str) -> Result<(), Error> {
        sqlx::query!(
            "SELECT slipway.append_publication_log($1, $2, $3, $4)",
            lease.id.0,
            lease.epoch.0,
            lease.token.0,
            lines.as_bytes()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }
}
