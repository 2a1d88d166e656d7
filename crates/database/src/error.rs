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
    /// A newer program has changed the tables in a way that this one knows nothing of.
    #[error(
        "the database was migrated by a newer Slipway (migration {found}; this one knows those up to {known}): use that one, or a newer one"
    )]
    Newer { found: i64, known: i64 },
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

    /// Whether PostgreSQL has no room left.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let Self::Sqlx(sqlx::Error::Database(error)) = self else { return false };
        error.code().is_some_and(|code| code == "53100")
    }

    /// As a run's failure.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let kind = match self {
            Self::LeaseLost => "lease_lost",
            _ if self.is_disk_full() => {
                return Failure::service(
                    "disk_full",
                    format!("The database's disk is full: {self}."),
                    "Make room where PostgreSQL keeps its data; nothing that was answered is lost.",
                );
            }
            _ if self.is_unavailable() => "database_unavailable",
            _ => "database_refused",
        };
        Failure::service(kind, format!("The database: {self}."), "See `/readyz` and the database's own log.")
    }
}

/// PostgreSQL, Appendix A: connection exceptions, shutdowns, no room, too many connections, read-only (a standby
/// was promoted meanwhile), a cancelled statement, serialization failures and deadlocks.
fn is_passing(code: &str) -> bool {
    code.starts_with("08")
        || matches!(
            code,
            "57P01" | "57P02" | "57P03" | "53100" | "53300" | "25006" | "57014" | "40001" | "40P01"
        )
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
    serde_json::to_value(value).map(storable).map_err(|error| Error::Unreadable(error.to_string()))
}

/// Without the one character that PostgreSQL has no place for (its manual, "Character Types"): what a
/// stranger's step printed may hold it, and must not keep a run from ending.
pub(crate) fn storable(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(storable_text(text)),
        Value::Array(values) => Value::Array(values.into_iter().map(storable).collect()),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (storable_text(name), storable(value))).collect()
        }
        other => other,
    }
}

/// As [`storable`].
pub(crate) fn storable_text(text: String) -> String {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_character_without_a_place_is_replaced_wherever_it_stands() {
        let value = serde_json::json!({ "a\0": ["x\0y", { "b": "\0" }, 1, null] });
        let stored = serde_json::json!({ "a\u{fffd}": ["x\u{fffd}y", { "b": "\u{fffd}" }, 1, null] });
        assert_eq!(storable(value), stored);
    }
}
