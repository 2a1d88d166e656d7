//! Notifications. They only make things sooner: whoever waits also looks for itself, so one that is lost
//! loses nothing.

use std::time::Duration;

use model::{RunId, RunStatus};
use serde::Deserialize;
use sqlx::postgres::PgListener;

use crate::Database;
use crate::pool::{Pool, within};

/// How long to wait before a lost connection is made again.
const PAUSE: Duration = Duration::from_secs(1);

/// After so much silence the connection is asked whether it lives.
const QUIET: Duration = Duration::from_secs(30);

/// Where a run stands now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Moved {
    pub run: RunId,
    /// Its registry's name.
    pub registry: String,
    pub status: RunStatus,
}

/// Something that may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// A run was made or moved.
    Run(Moved),
    /// Somebody asked for a started run to be cancelled.
    Cancel(RunId),
    /// A run's log grew.
    Log(RunId),
    /// A publication was made or moved.
    Publication,
    /// Hints may have been missed: look at everything.
    Unknown,
}

/// An ear at the database.
#[derive(Debug)]
pub struct Hints {
    pool: Pool,
    listener: Option<PgListener>,
    pub(crate) quiet: Duration,
}

impl Database {
    /// Listens from the first call of [`Hints::next`] on.
    #[must_use]
    pub fn hints(&self) -> Hints {
        Hints { pool: self.pool.clone(), listener: None, quiet: QUIET }
    }
}

impl Hints {
    /// The next hint. Never fails: while the database is away it waits.
    pub async fn next(&mut self) -> Hint {
        loop {
            let Some(listener) = &mut self.listener else {
                self.connect().await;
                return Hint::Unknown;
            };
            let Ok(heard) = tokio::time::timeout(self.quiet, listener.try_recv()).await else {
                // Nothing to say, or nobody there any more.
                let limit = self.pool.patience().ping;
                if let Err(error) = within(limit, sqlx::query("SELECT 1").execute(listener)).await {
                    tracing::debug!(%error, "the connection for hints is dead");
                    self.listener = None;
                    return Hint::Unknown;
                }
                continue;
            };
            match heard {
                Ok(Some(notification)) => return read(notification.payload()),
                // The connection was lost: what was said meanwhile is unknown.
                Ok(None) => return Hint::Unknown,
                Err(error) => {
                    tracing::debug!(%error, "the connection for hints is lost");
                    self.listener = None;
                }
            }
        }
    }

    async fn connect(&mut self) {
        loop {
            match self.try_connect().await {
                Ok(listener) => {
                    self.listener = Some(listener);
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "no connection for hints");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn try_connect(&self) -> Result<PgListener, sqlx::Error> {
        let mut listener = PgListener::connect_with(self.pool.connections()).await?;
        within(self.pool.patience().ping, listener.listen("slipway")).await?;
        Ok(listener)
    }
}

fn read(payload: &str) -> Hint {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Payload {
        Run(Moved),
        Cancel {
            cancel: RunId,
        },
        Log {
            log: RunId,
        },
        Publication {
            #[serde(rename = "publication")]
            _publication: uuid::Uuid,
        },
    }
    match serde_json::from_str(payload) {
        Ok(Payload::Run(moved)) => Hint::Run(moved),
        Ok(Payload::Cancel { cancel }) => Hint::Cancel(cancel),
        Ok(Payload::Log { log }) => Hint::Log(log),
        Ok(Payload::Publication { .. }) => Hint::Publication,
        Err(_) => Hint::Unknown,
    }
}
