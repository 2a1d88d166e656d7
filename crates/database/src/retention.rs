//! How long what is over is kept. Every deed removes a part, locks nothing that others wait for, and is repeated until
//! nothing is left to do.

use std::time::Duration;

use crate::{Database, Error};

/// How long, by the database's clock, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Ended runs with everything that is theirs.
    pub runs: Duration,
    /// Their logs.
    pub logs: Duration,
    /// Bytes of all their logs together.
    pub log_bytes: u64,
    /// Deliveries that were worked off, and what others were told.
    pub deliveries: Duration,
    /// Bytes of the deliveries' bodies together.
    pub delivery_bytes: u64,
    /// Uploaded sources that no run waits for.
    pub uploads: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
        Self {
            runs: days(365),
            logs: days(90),
            log_bytes: 20 << 30,
            deliveries: days(30),
            delivery_bytes: 5 << 30,
            uploads: days(1),
        }
    }
}

/// What is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forget {
    Logs,
    Runs,
    Deliveries,
    Reports,
    Uploads,
    /// Steps of stores that are gone.
    Stores,
}

impl Forget {
    pub const ALL: [Self; 6] =
        [Self::Logs, Self::Runs, Self::Deliveries, Self::Reports, Self::Uploads, Self::Stores];

    /// The word in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logs => "log",
            Self::Runs => "run",
            Self::Deliveries => "delivery",
            Self::Reports => "report",
            Self::Uploads => "upload",
            Self::Stores => "cached_step",
        }
    }
}

/// Rows of one statement. It is cut after half a minute; a delivery has up to 25 MiB, a piece of an upload 1 MiB.
const MANY: i32 = 5000;
const SOME: i32 = 100;

impl Database {
    /// Removes a part of what is over for longer than it is kept. Answers how many rows went; 0: nothing is left.
    ///
    /// # Errors
    /// The database is away.
    pub async fn forget(&self, what: Forget, keep: &Keep) -> Result<u64, Error> {
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let gone = match what {
            Forget::Logs => sqlx::query_scalar!(
                r#"SELECT slipway.forget_logs(slipway.logs_until(make_interval(secs => $1), $2), $3) AS "gone!""#,
                keep.logs.as_secs_f64(),
                bytes(keep.log_bytes),
                MANY
            )
            .fetch_one(&self.pool)
            .await?,
            Forget::Runs => sqlx::query_scalar!(
                r#"SELECT slipway.forget_runs(make_interval(secs => $1), $2) AS "gone!""#,
                keep.runs.as_secs_f64(),
                SOME
            )
            .fetch_one(&self.pool)
            .await?,
            Forget::Deliveries => sqlx::query_scalar!(
                r#"SELECT slipway.forget_deliveries(slipway.deliveries_until(make_interval(secs => $1), $2), $3) AS "gone!""#,
                keep.deliveries.as_secs_f64(),
                bytes(keep.delivery_bytes),
                SOME
            )
            .fetch_one(&self.pool)
            .await?,
            Forget::Reports => sqlx::query_scalar!(
                r#"SELECT slipway.forget_reports(make_interval(secs => $1), $2) AS "gone!""#,
                keep.deliveries.as_secs_f64(),
                MANY
            )
            .fetch_one(&self.pool)
            .await?,
            Forget::Uploads => sqlx::query_scalar!(
                r#"SELECT slipway.forget_uploads(make_interval(secs => $1), $2) AS "gone!""#,
                keep.uploads.as_secs_f64(),
                SOME
            )
            .fetch_one(&self.pool)
            .await?,
            Forget::Stores => sqlx::query_scalar!(r#"SELECT slipway.forget_stores($1) AS "gone!""#, MANY)
                .fetch_one(&self.pool)
                .await?,
        };
        Ok(u64::try_from(gone).unwrap_or(0))
    }
}
