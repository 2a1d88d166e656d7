//! What can go wrong between a role and its database, and what that means for a run.

use model::Failure;

/// A refusal of the database, or none of its answers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's lease has run out or was given to somebody else: it may write nothing more.
    #[error("the lease is lost")]
    LeaseLost,
    /// A run names an upload that is not there, or not complete.
    #[error("there is no complete source upload {0}")]
    SourceNotFound(model::SourceId),
    /// A row that this program can't read: it was written by another version.
    #[error("a row can't be read: {0}")]
    Unreadable(String),
    /// Everything else.
    #[error(transparent)]
    Sqlx(sqlx::Error),
    /// Migrations could not be applied.
    #[error("the migrations can't be applied: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl Error {
    /// Whether the caller must stop writing.
    #[must_use]
    pub fn is_lease_lost(&self) -> bool {
        matches!(self, Self::LeaseLost)
    }

    /// Whether the same call may succeed later: the database is away, starting, or out of connections.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Sqlx(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_)) => true,
            // A connection that ended in the middle of a message.
            Self::Sqlx(sqlx::Error::Protocol(_)) => true,
            Self::Sqlx(sqlx::Error::Database(error)) => error.code().is_some_and(|code| is_passing(&code)),
            _ => false,
        }
    }

    /// As a run's failure.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let kind = match self {
            Self::LeaseLost => "lease_lost",
            _ if self.is_unavailable() => "database_unavailable",
            _ => "database_refused",
        };
        Failure::service(kind, format!("The database: {self}."), "See `/readyz` and the database's own log.")
    }
}

/// PostgreSQL, Appendix A: connection exceptions, shutdowns, too many connections, read-only (a standby
/// was promoted meanwhile), a cancelled statement, serialization failures and deadlocks.
fn is_passing(code: &str) -> bool {
    code.starts_with("08")
        || matches!(code, "57P01" | "57P02" | "57P03" | "53300" | "25006" | "57014" | "40001" | "40P01")
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        match code.as_deref() {
            // Raised by the functions in migrations/.
            Some("SW001") => Self::LeaseLost,
            _ => Self::Sqlx(error),
        }
    }
}

/// Reads a value out of a column.
pub(crate) fn read<T: serde::de::DeserializeOwned>(what: &str, value: serde_json::Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| Error::Unreadable(format!("{what}: {error}")))
}

/// Reads a word out of a column.
pub(crate) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|error: T::Err| Error::Unreadable(error.to_string()))
}

/// Writes a value for a column.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<serde_json::Value, Error> {
    serde_json::to_value(value).map_err(|error| Error::Unreadable(error.to_string()))
}
