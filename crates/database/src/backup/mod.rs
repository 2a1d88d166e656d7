//! A whole service in one stream of bytes. In: a database at work. Out: what it was at one moment, which another
//! database can become. Deliberately absent: leases, uploads and workers, which mean nothing later; blobs, which are
//! in stores and registries; files.
//!
//! The stream: a line that says what it is, a line of JSON ([`About`]), for each table a line of JSON and its rows as
//! COPY writes them, in parts with their length before them; at the end the digest of all that.

mod restore;
mod stream;
mod take;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use restore::{Restored, check, restore};
pub use take::take;

/// The first line.
const MAGIC: &str = "slipway backup 1";

/// What a backup is of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct About {
    #[serde(with = "time::serde::rfc3339")]
    pub taken_at: OffsetDateTime,
    /// The newest migration that the database had.
    pub migration: i64,
    /// Of the program that took it.
    pub version: String,
    /// The key that opens its secrets, if it was asked for.
    pub key: Option<String>,
}

/// A table and its columns; its rows follow.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Table {
    name: String,
    columns: Vec<String>,
}

/// Why there is no backup, or why it can't be restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("the backup is damaged: {0}")]
    Damaged(&'static str),
    #[error("the backup can't be read or written: {0}")]
    Io(#[from] std::io::Error),
    #[error("{0} still works with this database: stop every server, worker and publisher first")]
    InUse(String),
    #[error("this database has a service's tables already: --replace removes them, with everything in them")]
    NotEmpty,
    #[error(transparent)]
    Database(#[from] crate::Error),
}

impl From<sqlx::Error> for BackupError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}
