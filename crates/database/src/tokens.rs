//! Access tokens, of which the database has hashes only.

use model::{Role, TokenId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::parse;
use crate::{Database, Error};

/// A token without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    pub id: TokenId,
    pub name: String,
    /// Its first characters.
    pub shown: String,
    pub role: Role,
    /// None: every registry.
    pub registry: Option<String>,
    pub created_at: OffsetDateTime,
    /// Name of the token that made it.
    pub created_by: Option<String>,
    pub expires_at: Option<OffsetDateTime>,
    pub last_used_at: Option<OffsetDateTime>,
    pub is_expired: bool,
}

/// A token to be kept.
#[derive(Debug, Clone)]
pub struct NewToken {
    pub name: String,
    /// SHA-256 of its text.
    pub hash: [u8; 32],
    pub shown: String,
    pub role: Role,
    pub registry: Option<String>,
    pub created_by: Option<String>,
    /// From now, by the database's clock.
    pub expires_in_seconds: Option<u32>,
}

struct Row {
    id: Uuid,
    name: String,
    shown: String,
    role: String,
    registry: Option<String>,
    created_at: OffsetDateTime,
    created_by: Option<String>,
    expires_at: Option<OffsetDateTime>,
    last_used_at: Option<OffsetDateTime>,
    is_expired: bool,
}

impl TryFrom<Row> for TokenRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let Row {
            id,
            name,
            shown,
            role,
            registry,
            created_at,
            created_by,
            expires_at,
            last_used_at,
            is_expired,
        } = row;
        let (id, role) = (TokenId(id), parse(&role)?);
        Ok(Self {
            id,
            name,
            shown,
            role,
            registry,
            created_at,
            created_by,
            expires_at,
            last_used_at,
            is_expired,
        })
    }
}

impl Database {
    /// Keeps a token.
    ///
    /// # Errors
    /// The registry does not exist, or the database is away.
    pub async fn create_token(&self, new: &NewToken) -> Result<TokenRow, Error> {
        let row = sqlx::query_as!(
            Row,
            r#"INSERT INTO slipway.tokens (id, name, hash, shown, role, registry, created_by, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(secs => $8))
               RETURNING id, name, shown, role, registry, created_at, created_by, expires_at, last_used_at,
                   false AS "is_expired!""#,
            Uuid::now_v7(),
            new.name,
            &new.hash,
            new.shown,
            new.role.as_str(),
            new.registry,
            new.created_by,
            new.expires_in_seconds.map(f64::from)
        );
        row.fetch_one(&self.pool).await?.try_into()
    }

    /// The token of that hash, with a note of its use, once a minute at most.
    ///
    /// # Errors
    /// The database is away.
    pub async fn use_token(&self, hash: &[u8; 32]) -> Result<Option<TokenRow>, Error> {
        let row = sqlx::query_as!(
            Row,
            r#"SELECT id, name, shown, role, registry, created_at, created_by, expires_at, last_used_at,
                   coalesce(expires_at <= now(), false) AS "is_expired!"
               FROM slipway.tokens WHERE hash = $1"#,
            hash
        );
        let Some(row) = row.fetch_optional(&self.pool).await? else { return Ok(None) };
        sqlx::query!(
            "UPDATE slipway.tokens SET last_used_at = now()
             WHERE id = $1 AND coalesce(last_used_at < now() - interval '1 minute', true)",
            row.id
        )
        .execute(&self.pool)
        .await?;
        row.try_into().map(Some)
    }

    /// Every token, of one registry or all, the oldest first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list_tokens(&self, registry: Option<&str>) -> Result<Vec<TokenRow>, Error> {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT id, name, shown, role, registry, created_at, created_by, expires_at, last_used_at,
                   coalesce(expires_at <= now(), false) AS "is_expired!"
               FROM slipway.tokens WHERE $1::text IS NULL OR registry = $1 ORDER BY id"#,
            registry
        );
        rows.fetch_all(&self.pool).await?.into_iter().map(TokenRow::try_from).collect()
    }

    /// The token of that id.
    ///
    /// # Errors
    /// The database is away.
    pub async fn get_token(&self, token: TokenId) -> Result<Option<TokenRow>, Error> {
        let row = sqlx::query_as!(
            Row,
            r#"SELECT id, name, shown, role, registry, created_at, created_by, expires_at, last_used_at,
                   coalesce(expires_at <= now(), false) AS "is_expired!"
               FROM slipway.tokens WHERE id = $1"#,
            token.0
        );
        row.fetch_optional(&self.pool).await?.map(TokenRow::try_from).transpose()
    }

    /// Whether a token that is made now, for so many seconds or for ever, would outlive this one.
    ///
    /// # Errors
    /// The database is away.
    pub async fn would_outlive(&self, token: TokenId, seconds: Option<u32>) -> Result<bool, Error> {
        let outlives = sqlx::query_scalar!(
            r#"SELECT coalesce(now() + make_interval(secs => $2) > expires_at, expires_at IS NOT NULL) AS "outlives!"
               FROM slipway.tokens WHERE id = $1"#,
            token.0,
            seconds.map(f64::from)
        );
        Ok(outlives.fetch_optional(&self.pool).await?.unwrap_or(true))
    }

    /// Ends a token at once.
    ///
    /// # Errors
    /// The database is away.
    pub async fn delete_token(&self, token: TokenId) -> Result<bool, Error> {
        let gone = sqlx::query!("DELETE FROM slipway.tokens WHERE id = $1", token.0);
        Ok(gone.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// Whether there is a token that may make others, for every registry.
    ///
    /// # Errors
    /// The database is away.
    pub async fn has_administrator(&self) -> Result<bool, Error> {
        let found = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM slipway.tokens WHERE role = 'administrator' AND registry IS NULL
                   AND coalesce(expires_at > now(), true)) AS "found!""#
        );
        Ok(found.fetch_one(&self.pool).await?)
    }
}
