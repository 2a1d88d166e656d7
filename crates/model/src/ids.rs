//! Identifiers. A run's id sorts by its time of creation (UUID version 7).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// One execution of a task, or a quick build.
    RunId
);
id!(
    /// One image to be pushed for a run.
    PublicationId
);
id!(
    /// One worker process, from its start to its end.
    WorkerId
);
id!(
    /// One content store: a folder on one machine.
    StoreId
);
id!(
    /// One uploaded source archive.
    SourceId
);

id!(
    /// One saved definition.
    TaskId
);
id!(
    /// One address that a git host delivers to. It can't be guessed: version 4.
    HookId
);
id!(
    /// One delivery of a hook.
    DeliveryId
);
id!(
    /// One access token.
    TokenId
);

/// Counts the leases of a row. Every later write of a lease's holder carries it, so a holder that
/// lost its lease can change nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub i64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The secret half of a lease: 32 random bytes as 64 hexadecimal digits. The database keeps its
/// SHA-256 only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseToken(pub String);

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseToken(…)")
    }
}
