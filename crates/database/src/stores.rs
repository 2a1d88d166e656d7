//! What a store's cleaner needs to know, and what it makes the database forget.

use std::collections::HashMap;

use model::{Digest, RunId, StoreId};

use crate::error::parse;
use crate::{Database, Error};

/// An attempt whose publication has not ended, and what of the store it may still need: scopes and digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedPublication {
    pub run: RunId,
    pub attempt: i32,
    pub blobs: Vec<(String, Digest)>,
}

impl Database {
    /// Publications of a store that have not ended.
    ///
    /// # Errors
    /// The database is away.
    pub async fn unfinished_publications(&self, store: StoreId) -> Result<Vec<UnfinishedPublication>, Error> {
        let rows = sqlx::query!(
            r#"SELECT run_id AS "run_id!", attempt AS "attempt!", scope AS "scope!", digest AS "digest!"
               FROM slipway.unfinished_publications($1)"#,
            store.0
        );
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        for row in rows.fetch_all(&self.pool).await? {
            let blobs = found.entry((RunId(row.run_id), row.attempt)).or_default();
            blobs.push((row.scope, parse(&row.digest)?));
        }
        let of = |((run, attempt), blobs)| UnfinishedPublication { run, attempt, blobs };
        Ok(found.into_iter().map(of).collect())
    }

    /// Forgets the steps whose layers are these blobs of a store.
    ///
    /// # Errors
    /// The database is away.
    pub async fn forget_blobs(&self, store: StoreId, blobs: &[(String, Digest)]) -> Result<(), Error> {
        let (scopes, digests): (Vec<String>, Vec<String>) =
            blobs.iter().map(|(scope, digest)| (scope.clone(), digest.as_str().to_owned())).unzip();
        sqlx::query!("SELECT slipway.forget_blobs($1, $2, $3)", store.0, &scopes, &digests)
            .fetch_one(&self.pool)
            .await?;
        Ok(())
    }
}
