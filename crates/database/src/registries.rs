//! Registries by name.

use model::{Notify, SignIn};
use serde_json::Value;
use time::OffsetDateTime;

use crate::error::{json, read};
use crate::{Database, Error};

/// Where runs push to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// As in `/v1/registries/{name}`.
    pub name: String,
    /// `host[:port]`.
    pub address: String,
    /// http instead of https.
    pub plain_http: bool,
    pub sign_in: SignIn,
    /// Outgoing webhooks of every run here.
    pub notify: Vec<Notify>,
    /// Of all of this, from 1.
    pub version: i32,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// A registry to be written.
#[derive(Debug, Clone)]
pub struct NewRegistry {
    pub name: String,
    pub address: String,
    pub plain_http: bool,
    pub sign_in: SignIn,
    pub notify: Vec<Notify>,
}

/// What became of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    Yes,
    NotFound,
    /// Something needs it: what, or how much of what.
    InUse(Vec<String>),
    /// Somebody else changed it first.
    Outdated,
}

struct Row {
    name: String,
    address: String,
    plain_http: bool,
    sign_in: Value,
    notify: Value,
    version: i32,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<Row> for Registry {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let Row { name, address, plain_http, sign_in, notify, version, created_at, updated_at } = row;
        let (sign_in, notify) = (read("a sign-in", sign_in)?, read("a list of webhooks", notify)?);
        Ok(Self { name, address, plain_http, sign_in, notify, version, created_at, updated_at })
    }
}

impl Database {
    /// Adds a registry, or changes the address of one that is there.
    ///
    /// # Errors
    /// The name is not lower-case letters, digits and `-`, or the database is away.
    pub async fn upsert_registry(&self, name: &str, address: &str, plain_http: bool) -> Result<(), Error> {
        sqlx::query!(
            "INSERT INTO slipway.registries (name, address, plain_http) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET address = EXCLUDED.address, plain_http = EXCLUDED.plain_http,
                 version = registries.version + 1",
            name,
            address,
            plain_http
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Adds a registry. False: there is one of that name.
    ///
    /// # Errors
    /// The name is not allowed, or the database is away.
    pub async fn create_registry(&self, new: &NewRegistry) -> Result<bool, Error> {
        let made = sqlx::query!(
            "INSERT INTO slipway.registries (name, address, plain_http, sign_in, notify) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING",
            new.name,
            new.address,
            new.plain_http,
            json(&new.sign_in)?,
            json(&new.notify)?
        );
        Ok(made.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// Changes all of a registry but its name; with `seen`, if it still has that version. False: it has not, or is gone.
    ///
    /// # Errors
    /// The database is away.
    pub async fn update_registry(&self, new: &NewRegistry, seen: Option<i32>) -> Result<bool, Error> {
        let changed = sqlx::query!(
            "UPDATE slipway.registries SET address = $2, plain_http = $3, sign_in = $4, notify = $5, updated_at = now(),
                 version = version + 1
             WHERE name = $1 AND ($6::integer IS NULL OR version = $6)",
            new.name,
            new.address,
            new.plain_http,
            json(&new.sign_in)?,
            json(&new.notify)?,
            seen
        );
        Ok(changed.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// Removes a registry that has no runs, tasks, hooks and credentials, with its tokens; with `seen`, if it still has
    /// that version.
    ///
    /// # Errors
    /// The database is away.
    pub async fn delete_registry(&self, name: &str, seen: Option<i32>) -> Result<Deleted, Error> {
        self.pool.whole(self.delete_unused(name, seen)).await
    }

    async fn delete_unused(&self, name: &str, seen: Option<i32>) -> Result<Deleted, Error> {
        let mut transaction = self.pool.begin().await?;
        // Nothing new comes to it meanwhile: whatever names it wants it locked.
        let version =
            sqlx::query_scalar!("SELECT version FROM slipway.registries WHERE name = $1 FOR UPDATE", name);
        match version.fetch_optional(&mut *transaction).await? {
            None => return Ok(Deleted::NotFound),
            Some(version) if seen.is_some_and(|seen| seen != version) => return Ok(Deleted::Outdated),
            Some(_) => {}
        }
        let has = sqlx::query!(
            r#"SELECT (SELECT count(*) FROM (SELECT FROM slipway.runs WHERE registry = $1 LIMIT 1000) AS found) AS "runs!",
                   (SELECT count(*) FROM slipway.tasks WHERE registry = $1) AS "tasks!",
                   (SELECT count(*) FROM slipway.hooks WHERE registry = $1) AS "hooks!",
                   (SELECT count(*) FROM slipway.credentials WHERE registry = $1) AS "credentials!""#,
            name
        );
        let has = has.fetch_one(&mut *transaction).await?;
        let counts =
            [(has.tasks, "task"), (has.hooks, "hook"), (has.credentials, "credential"), (has.runs, "run")];
        let counts: Vec<_> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, noun)| format!("{count} {noun}{}", if count == 1 { "" } else { "s" }))
            .collect();
        if !counts.is_empty() {
            return Ok(Deleted::InUse(counts));
        }
        sqlx::query!("DELETE FROM slipway.registries WHERE name = $1", name)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Deleted::Yes)
    }

    /// The registry of that name.
    ///
    /// # Errors
    /// The database is away.
    pub async fn get_registry(&self, name: &str) -> Result<Option<Registry>, Error> {
        let row = sqlx::query_as!(
            Row,
            "SELECT name, address, plain_http, sign_in, notify, version, created_at, updated_at
             FROM slipway.registries WHERE name = $1",
            name
        );
        row.fetch_optional(&self.pool).await?.map(Registry::try_from).transpose()
    }

    /// Every one, by name.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list_registries(&self) -> Result<Vec<Registry>, Error> {
        let rows = sqlx::query_as!(
            Row,
            "SELECT name, address, plain_http, sign_in, notify, version, created_at, updated_at
             FROM slipway.registries ORDER BY name"
        );
        rows.fetch_all(&self.pool).await?.into_iter().map(Registry::try_from).collect()
    }
}
