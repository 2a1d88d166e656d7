//! Why there is no cluster.

use std::io;
use std::path::PathBuf;

/// A cluster that can't be made or started; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No binaries.
    #[error(
        "PostgreSQL is not installed: no folder /usr/lib/postgresql/*/bin holds `postgres` and `initdb`. \
         Install Debian's package `postgresql`, or give --database-url"
    )]
    NotInstalled,
    /// The data was written by another major version.
    #[error(
        "{} was made by PostgreSQL {version}, which is not installed. Install `postgresql-{version}`, or \
         upgrade the folder with `pg_upgradecluster`'s steps", data.display()
    )]
    OtherVersion { data: PathBuf, version: String },
    /// `initdb` refused.
    #[error("initdb failed: {0}")]
    Initdb(String),
    /// It was started and does not answer.
    #[error("PostgreSQL does not come up; its own words are above. The last attempt to connect: {0}")]
    NotUp(sqlx::Error),
    /// The first statements failed.
    #[error("the private database can't be prepared: {0}")]
    Sql(sqlx::Error),
    /// A file or process.
    #[error("{deed}: {error}")]
    Io { deed: String, error: io::Error },
}

impl ClusterError {
    pub(super) fn io(deed: impl Into<String>, error: io::Error) -> Self {
        Self::Io { deed: deed.into(), error }
    }
}
