//! Hooks: addresses that git hosts deliver to.

use model::{GitHost, HookId};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{json, parse, read};
use crate::{Database, Error};

/// A hook without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookRow {
    pub id: HookId,
    pub registry: String,
    pub name: String,
    pub host: GitHost,
    /// Addresses of repositories whose events it may bring; any when empty.
    pub repositories: Vec<String>,
    /// From 1.
    pub version: i32,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    /// How long the secret before the present one is still good.
    pub before_until: Option<OffsetDateTime>,
}

/// A hook to be made.
#[derive(Debug, Clone)]
pub struct NewHook {
    pub id: HookId,
    pub registry: String,
    pub name: String,
    pub host: GitHost,
    pub repositories: Vec<String>,
    /// As `vault` seals it for `hook/{id}`.
    pub sealed: Vec<u8>,
}

/// What is needed to verify a delivery.
#[derive(Debug, Clone)]
pub struct HookSecrets {
    pub hook: HookRow,
    /// The present one, and while rotating the one before.
    pub sealed: Vec<Vec<u8>>,
    /// The database's clock.
    pub now: OffsetDateTime,
}

struct Row {
    id: Uuid,
    registry: String,
    name: String,
    host: String,
    repositories: Value,
    version: i32,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
    before_until: Option<OffsetDateTime>,
}

impl TryFrom<Row> for HookRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let Row { id, registry, name, host, repositories, version, created_at, updated_at, before_until } =
            row;
        let (id, host, repositories) =
            (HookId(id), parse(&host)?, read("a hook's repositories", repositories)?);
        Ok(Self { id, registry, name, host, repositories, version, created_at, updated_at, before_until })
    }
}

impl Database {
    /// Makes a hook. None: there is one of that name.
    ///
    /// # Errors
    /// The name is not allowed, or the database is away.
    pub async fn create_hook(&self, new: &NewHook) -> Result<Option<HookRow>, Error> {
        let row = sqlx::query_as!(
            Row,
            "INSERT INTO slipway.hooks (id, registry, name, host, repositories, sealed) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (registry, name) DO NOTHING
             RETURNING id, registry, name, host, repositories, version, created_at, updated_at, before_until",
            new.id.0,
            new.registry,
            new.name,
            new.host.as_str(),
            json(&new.repositories)?,
            new.sealed
        );
        row.fetch_optional(&self.pool).await?.map(HookRow::try_from).transpose()
    }

    /// Gives a hook a new secret; the present one stays good for `grace_seconds`. While one before is good still, that
    /// one stays so, and the present one is replaced: nobody may have seen it. Without a grace all others end.
    ///
    /// # Errors
    /// The database is away.
    pub async fn rotate_hook(
        &self,
        hook: HookId,
        sealed: &[u8],
        grace_seconds: i32,
    ) -> Result<Option<HookRow>, Error> {
        let row = sqlx::query_as!(
            Row,
            "UPDATE slipway.hooks SET sealed = $2, updated_at = now(), version = version + 1,
                 sealed_before = CASE WHEN $3 > 0::float8 AND before_until > now() THEN sealed_before ELSE sealed END,
                 before_until = CASE WHEN $3 > 0::float8
                     THEN greatest(before_until, now() + make_interval(secs => $3)) ELSE now() END
             WHERE id = $1 RETURNING id, registry, name, host, repositories, version, created_at, updated_at, before_until",
            hook.0,
            sealed,
            f64::from(grace_seconds)
        );
        row.fetch_optional(&self.pool).await?.map(HookRow::try_from).transpose()
    }

    /// Changes which repositories' events a hook may bring, if it still has the version `seen`. None: it has not, or is
    /// gone.
    ///
    /// # Errors
    /// The database is away.
    pub async fn update_hook(
        &self,
        hook: HookId,
        seen: i32,
        repositories: &[String],
    ) -> Result<Option<HookRow>, Error> {
        let row = sqlx::query_as!(
            Row,
            "UPDATE slipway.hooks SET repositories = $2, updated_at = now(), version = version + 1
             WHERE id = $1 AND version = $3
             RETURNING id, registry, name, host, repositories, version, created_at, updated_at, before_until",
            hook.0,
            json(&repositories)?,
            seen
        );
        row.fetch_optional(&self.pool).await?.map(HookRow::try_from).transpose()
    }

    /// The hook of that name.
    ///
    /// # Errors
    /// The database is away.
    pub async fn get_hook(&self, registry: &str, name: &str) -> Result<Option<HookRow>, Error> {
        let row = sqlx::query_as!(
            Row,
            "SELECT id, registry, name, host, repositories, version, created_at, updated_at, before_until
             FROM slipway.hooks WHERE registry = $1 AND name = $2",
            registry,
            name
        );
        row.fetch_optional(&self.pool).await?.map(HookRow::try_from).transpose()
    }

    /// A registry's hooks, by name.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list_hooks(&self, registry: &str) -> Result<Vec<HookRow>, Error> {
        let rows = sqlx::query_as!(
            Row,
            "SELECT id, registry, name, host, repositories, version, created_at, updated_at, before_until
             FROM slipway.hooks WHERE registry = $1 ORDER BY name",
            registry
        );
        rows.fetch_all(&self.pool).await?.into_iter().map(HookRow::try_from).collect()
    }

    /// A hook by its address, with the secrets that are good now.
    ///
    /// # Errors
    /// The database is away.
    pub async fn hook_secrets(&self, hook: HookId) -> Result<Option<HookSecrets>, Error> {
        let row = sqlx::query!(
            r#"SELECT id, registry, name, host, repositories, version, created_at, updated_at, before_until, sealed,
                   CASE WHEN before_until > now() THEN sealed_before END AS sealed_before,
                   now() AS "now!"
               FROM slipway.hooks WHERE id = $1"#,
            hook.0
        );
        let Some(row) = row.fetch_optional(&self.pool).await? else { return Ok(None) };
        let sealed = [Some(row.sealed), row.sealed_before].into_iter().flatten().collect();
        let hook = Row {
            id: row.id,
            registry: row.registry,
            name: row.name,
            host: row.host,
            repositories: row.repositories,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
            before_until: row.before_until,
        };
        Ok(Some(HookSecrets { hook: hook.try_into()?, sealed, now: row.now }))
    }

    /// Removes a hook, with its deliveries; with `seen`, if it still has that version. False: it has not, or is gone.
    ///
    /// # Errors
    /// The database is away.
    pub async fn delete_hook(&self, hook: HookId, seen: Option<i32>) -> Result<bool, Error> {
        let gone = sqlx::query!(
            "DELETE FROM slipway.hooks WHERE id = $1 AND ($2::integer IS NULL OR version = $2)",
            hook.0,
            seen
        );
        Ok(gone.execute(&self.pool).await?.rows_affected() == 1)
    }
}
