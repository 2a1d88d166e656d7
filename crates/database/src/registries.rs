//! Registries by name.

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
}

impl Database {
    /// Adds a registry, or changes the address of one that is there.
    ///
    /// # Errors
    /// The name is not lower-case letters, digits and `-`, or the database is away.
    pub async fn upsert_registry(&self, name: &str, address: &str, plain_http: bool) -> Result<(), Error> {
        sqlx::query!(
            "INSERT INTO slipway.registries (name, address, plain_http) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET address = EXCLUDED.address, plain_http = EXCLUDED.plain_http",
            name,
            address,
            plain_http
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The registry of that name.
    ///
    /// # Errors
    /// The database is away.
    pub async fn get_registry(&self, name: &str) -> Result<Option<Registry>, Error> {
        let row = sqlx::query_as!(
            Registry,
            "SELECT name, address, plain_http FROM slipway.registries WHERE name = $1",
            name
        );
        Ok(row.fetch_optional(&self.pool).await?)
    }

    /// Every name, sorted.
    ///
    /// # Errors
    /// The database is away.
    pub async fn registry_names(&self) -> Result<Vec<String>, Error> {
        Ok(sqlx::query_scalar!("SELECT name FROM slipway.registries ORDER BY name")
            .fetch_all(&self.pool)
            .await?)
    }
}
