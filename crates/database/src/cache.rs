//! What a store remembers of finished build steps. Scope and store of a row come from the lease, never
//! from the caller.

use model::{Descriptor, Digest, Epoch, LeaseToken, RunId};
use serde::{Deserialize, Serialize};

use crate::error::{json, read, storable_text};
use crate::{Database, Error};

/// The layer that a step made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheLayer {
    /// Of the uncompressed tar.
    pub diff_id: Digest,
    /// The compressed tar in the store.
    pub blob: Descriptor,
}

/// A remembered step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// None: the step changed nothing.
    pub layer: Option<CacheLayer>,
    /// What made it, for people.
    pub description: String,
    /// When it was made, in seconds since 1970.
    pub made_at: i64,
}

impl Database {
    /// Looks keys up; the answer has one entry a key, in their order.
    ///
    /// # Errors
    /// The lease is lost, or the database is away.
    pub async fn cache_lookup(
        &self,
        run: RunId,
        epoch: Epoch,
        token: &LeaseToken,
        keys: &[String],
    ) -> Result<Vec<Option<CacheEntry>>, Error> {
        let rows = sqlx::query!(
            r#"SELECT key AS "key!", layer, description AS "description!", made_at AS "made_at!"
               FROM slipway.cache_lookup($1, $2, $3, $4)"#,
            run.0,
            epoch.0,
            token.0,
            keys
        );
        let mut found = std::collections::HashMap::new();
        for row in rows.fetch_all(&self.pool).await? {
            let layer = row.layer.map(|layer| read("a cached layer", layer)).transpose()?;
            found.insert(row.key, CacheEntry { layer, description: row.description, made_at: row.made_at });
        }
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    /// Remembers a step under each of its keys (64 hexadecimal digits).
    ///
    /// # Errors
    /// The lease is lost, or the database is away.
    pub async fn cache_record(
        &self,
        run: RunId,
        epoch: Epoch,
        token: &LeaseToken,
        keys: &[String],
        entry: &CacheEntry,
    ) -> Result<(), Error> {
        let layer = entry.layer.as_ref().map(json).transpose()?;
        sqlx::query!(
            "SELECT slipway.cache_record($1, $2, $3, $4, $5, $6, $7)",
            run.0,
            epoch.0,
            token.0,
            keys,
            layer,
            storable_text(entry.description.clone()),
            entry.made_at
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }
}
