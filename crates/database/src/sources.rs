//! Uploaded archives, in pieces.

use model::{Digest, SourceId};
use uuid::Uuid;

use crate::{Database, Error};

impl Database {
    /// Begins an upload for runs of a registry.
    ///
    /// # Errors
    /// The database is away.
    pub async fn create_source(&self, registry: &str) -> Result<SourceId, Error> {
        let id = Uuid::now_v7();
        sqlx::query!("INSERT INTO slipway.sources (id, registry) VALUES ($1, $2)", id, registry)
            .execute(&self.pool)
            .await?;
        Ok(SourceId(id))
    }

    /// Adds a piece; they are numbered from 0.
    ///
    /// # Errors
    /// The database is away.
    pub async fn append_source(&self, source: SourceId, sequence: i32, piece: &[u8]) -> Result<(), Error> {
        sqlx::query!(
            "INSERT INTO slipway.source_chunks (source_id, sequence, bytes) VALUES ($1, $2, $3)",
            source.0,
            sequence,
            piece
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Says that it is complete; from now on runs may name it.
    ///
    /// # Errors
    /// The database is away.
    pub async fn seal_source(&self, source: SourceId, size: u64, digest: &Digest) -> Result<(), Error> {
        sqlx::query!(
            "UPDATE slipway.sources SET sealed_at = now(), size = $2, digest = $3 WHERE id = $1",
            source.0,
            i64::try_from(size).unwrap_or(i64::MAX),
            digest.as_str()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
