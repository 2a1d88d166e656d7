//! Runs whose holder is gone, and rows that nobody asks for any more, however old the rest is.

use model::{RunId, RunStatus};

use crate::error::parse;
use crate::{Database, Error};

/// A run that was taken from a holder that gave no sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rescued {
    pub run: RunId,
    /// Queued again, or ended.
    pub became: RunStatus,
}

impl Database {
    /// Removes what nobody asks for any more. Once an hour is enough.
    ///
    /// # Errors
    /// The database is away.
    pub async fn tidy(&self) -> Result<(), Error> {
        sqlx::query!("SELECT slipway.tidy()").fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Requeues or ends every run whose lease has run out. Any number of rescuers do no harm.
    ///
    /// # Errors
    /// The database is away.
    pub async fn requeue_expired(&self) -> Result<Vec<Rescued>, Error> {
        let rows =
            sqlx::query!(r#"SELECT run_id AS "run_id!", became AS "became!" FROM slipway.requeue_expired()"#);
        let rows = rows.fetch_all(&self.pool).await?;
        rows.into_iter()
            .map(|row| Ok(Rescued { run: RunId(row.run_id), became: parse(&row.became)? }))
            .collect()
    }
}
