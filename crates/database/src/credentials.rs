//! Credentials: sealed before they come here, and opened by whoever has the key.

use model::{CredentialKind, Epoch, LeaseToken, RunId};
use time::OffsetDateTime;

use crate::error::parse;
use crate::{Database, Deleted, Error, PublicationLease};

/// A credential without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRow {
    pub name: String,
    pub kind: CredentialKind,
    pub username: Option<String>,
    /// Lines of known_hosts(5), for git over ssh.
    pub known_hosts: Option<String>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// A credential to be written.
#[derive(Debug, Clone)]
pub struct NewCredential {
    pub registry: String,
    pub name: String,
    pub kind: CredentialKind,
    pub username: Option<String>,
    pub known_hosts: Option<String>,
    /// As `vault` seals it for `credential/{registry}/{name}`.
    pub sealed: Vec<u8>,
}

/// What became of a credential that was to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutCredential {
    Kept(CredentialRow),
    /// Something needs the one of that name as it is.
    InUse,
}

/// So many of those that need a credential are named.
const NAMED: i64 = 5;

/// What is needed to use one.
#[derive(Debug, Clone)]
pub struct SealedCredential {
    pub kind: CredentialKind,
    pub username: Option<String>,
    pub known_hosts: Option<String>,
    pub sealed: Vec<u8>,
}

/// Under which lease a publisher asks for a secret.
#[derive(Debug, Clone, Copy)]
pub enum Under<'a> {
    /// That of a run, which a worker proves to hold.
    Run { run: RunId, epoch: Epoch, token: &'a LeaseToken },
    /// The publisher's own.
    Publication(&'a PublicationLease),
}

struct Sealed {
    kind: String,
    username: Option<String>,
    known_hosts: Option<String>,
    sealed: Vec<u8>,
}

impl TryFrom<Sealed> for SealedCredential {
    type Error = Error;

    fn try_from(row: Sealed) -> Result<Self, Error> {
        let Sealed { kind, username, known_hosts, sealed } = row;
        Ok(Self { kind: parse(&kind)?, username, known_hosts, sealed })
    }
}

struct Row {
    name: String,
    kind: String,
    username: Option<String>,
    known_hosts: Option<String>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<Row> for CredentialRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let Row { name, kind, username, known_hosts, created_at, updated_at } = row;
        Ok(Self { name, kind: parse(&kind)?, username, known_hosts, created_at, updated_at })
    }
}

impl Database {
    /// Writes a credential, over one of that name. One that is needed keeps its kind, and as a registry's its user.
    ///
    /// # Errors
    /// The name is not allowed, or the database is away.
    pub async fn put_credential(&self, new: &NewCredential) -> Result<PutCredential, Error> {
        let row = sqlx::query_as!(
            Row,
            "INSERT INTO slipway.credentials AS c (registry, name, kind, username, known_hosts, sealed)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (registry, name) DO UPDATE SET kind = EXCLUDED.kind, username = EXCLUDED.username,
                 known_hosts = EXCLUDED.known_hosts, sealed = EXCLUDED.sealed, updated_at = now()
             WHERE slipway.users_of_credential(c.registry, c.name) = 0 OR (c.kind = EXCLUDED.kind
                 AND (c.kind <> 'registry' OR c.username IS NULL OR EXCLUDED.username IS NOT NULL))
             RETURNING name, kind, username, known_hosts, created_at, updated_at",
            new.registry,
            new.name,
            new.kind.as_str(),
            new.username,
            new.known_hosts,
            new.sealed
        );
        match row.fetch_optional(&self.pool).await? {
            Some(row) => Ok(PutCredential::Kept(row.try_into()?)),
            None => Ok(PutCredential::InUse),
        }
    }

    /// A registry's credentials, by name.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list_credentials(&self, registry: &str) -> Result<Vec<CredentialRow>, Error> {
        let rows = sqlx::query_as!(
            Row,
            "SELECT name, kind, username, known_hosts, created_at, updated_at FROM slipway.credentials
             WHERE registry = $1 ORDER BY name",
            registry
        );
        rows.fetch_all(&self.pool).await?.into_iter().map(CredentialRow::try_from).collect()
    }

    /// The credential of that name.
    ///
    /// # Errors
    /// The database is away.
    pub async fn get_credential(&self, registry: &str, name: &str) -> Result<Option<CredentialRow>, Error> {
        let row = sqlx::query_as!(
            Row,
            "SELECT name, kind, username, known_hosts, created_at, updated_at FROM slipway.credentials
             WHERE registry = $1 AND name = $2",
            registry,
            name
        );
        row.fetch_optional(&self.pool).await?.map(CredentialRow::try_from).transpose()
    }

    /// A secret for a publisher, as it lies there: one that the run names, or its registry's sign-in.
    ///
    /// # Errors
    /// The lease is lost, or the database is away.
    pub async fn credential_under(
        &self,
        lease: Under<'_>,
        name: &str,
    ) -> Result<Option<SealedCredential>, Error> {
        let row = match lease {
            Under::Run { run, epoch, token } => {
                sqlx::query_as!(
                    Sealed,
                    r#"SELECT kind AS "kind!", username, known_hosts, sealed AS "sealed!"
                       FROM slipway.run_credential($1, $2, $3, $4)"#,
                    run.0,
                    epoch.0,
                    token.0,
                    name
                )
                .fetch_optional(&self.pool)
                .await?
            }
            Under::Publication(lease) => {
                sqlx::query_as!(
                    Sealed,
                    r#"SELECT kind AS "kind!", username, known_hosts, sealed AS "sealed!"
                       FROM slipway.publication_credential($1, $2, $3, $4)"#,
                    lease.id.0,
                    lease.epoch.0,
                    lease.token.0,
                    name
                )
                .fetch_optional(&self.pool)
                .await?
            }
        };
        row.map(SealedCredential::try_from).transpose()
    }

    /// The secret, as it lies there: for the server.
    ///
    /// # Errors
    /// The database is away.
    pub async fn sealed_credential(
        &self,
        registry: &str,
        name: &str,
    ) -> Result<Option<SealedCredential>, Error> {
        let row = sqlx::query_as!(
            Sealed,
            r#"SELECT kind AS "kind!", username, known_hosts, sealed AS "sealed!"
               FROM slipway.sealed_credential($1, $2)"#,
            registry,
            name
        );
        row.fetch_optional(&self.pool).await?.map(SealedCredential::try_from).transpose()
    }

    /// Removes a credential that nothing needs.
    ///
    /// # Errors
    /// The database is away.
    pub async fn delete_credential(&self, registry: &str, name: &str) -> Result<Deleted, Error> {
        let deleted = sqlx::query!(
            r#"WITH needed AS MATERIALIZED (SELECT slipway.users_of_credential($1, $2) AS users),
                 gone AS (DELETE FROM slipway.credentials USING needed WHERE registry = $1 AND name = $2 AND users = 0 RETURNING 1)
               SELECT users AS "users!", EXISTS (SELECT FROM gone) AS "gone!" FROM needed"#,
            registry,
            name
        );
        let deleted = deleted.fetch_one(&self.pool).await?;
        Ok(match (deleted.gone, deleted.users) {
            (true, _) => Deleted::Yes,
            (false, 0) => Deleted::NotFound,
            (false, users) => Deleted::InUse(self.users_of_credential(registry, name, users).await?),
        })
    }

    /// Some of what needs a credential, by name, and how many more do.
    async fn users_of_credential(&self, registry: &str, name: &str, all: i64) -> Result<Vec<String>, Error> {
        let named = sqlx::query_scalar!(
            r#"SELECT user_name AS "user_name!" FROM (
                   SELECT 1 AS place, 'the registry''s sign-in' AS user_name FROM slipway.registries g
                       WHERE g.name = $1 AND g.sign_in ->> 'credential' = $2
                   UNION ALL SELECT 2, 'a webhook of the registry' FROM slipway.registries g
                       WHERE g.name = $1 AND EXISTS (SELECT FROM jsonb_array_elements(g.notify) n WHERE n ->> 'credential' = $2)
                   UNION ALL SELECT 3, 'task ' || t.name FROM slipway.tasks t
                       WHERE t.registry = $1 AND (t.spec -> 'build' ->> 'source_credential' = $2
                           OR EXISTS (SELECT FROM jsonb_each_text(coalesce(t.spec -> 'build' -> 'secrets', '{}')) s WHERE s.value = $2)
                           OR EXISTS (SELECT FROM jsonb_array_elements(t.spec -> 'notify') n WHERE n ->> 'credential' = $2))
                   UNION ALL SELECT 4, 'run ' || q.run_id FROM slipway.run_queue q JOIN slipway.runs r ON r.id = q.run_id
                       WHERE q.registry = $1 AND (r.spec ->> 'source_credential' = $2
                           OR EXISTS (SELECT FROM jsonb_each_text(coalesce(r.spec -> 'secrets', '{}')) s WHERE s.value = $2)
                           OR EXISTS (SELECT FROM jsonb_array_elements(r.notify) n WHERE n ->> 'credential' = $2))
                   UNION ALL SELECT 5, 'a report that waits, of run ' || o.run_id FROM slipway.outbox o JOIN slipway.runs r ON r.id = o.run_id
                       WHERE o.status = 'waiting' AND o.registry = $1 AND (o.target ->> 'credential' = $2
                           OR o.kind = 'commit_status' AND r.spec ->> 'source_credential' = $2)
               ) AS users ORDER BY place, user_name LIMIT $3"#,
            registry,
            name,
            NAMED
        );
        let mut named = named.fetch_all(&self.pool).await?;
        let more = all - i64::try_from(named.len()).unwrap_or(i64::MAX);
        if more > 0 {
            named.push(format!("{more} more"));
        }
        Ok(named)
    }
}
