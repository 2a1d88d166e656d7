//! What a store can't do.

use std::io;
use std::path::PathBuf;

use model::Failure;

/// Every failure of the store is the service's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("another worker uses the store {}", .0.display())]
    InUse(PathBuf),
    #[error("{} is not usable: {error}", path.display())]
    Path { path: PathBuf, error: io::Error },
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Error {
    pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Path { path, error }
    }

    /// As the world outside sees it: a full disk has a kind of its own.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let message = format!("The content store failed: {self}.");
        match self {
            Self::InUse(_) => {
                Failure::service("store_in_use", message, "Stop the other worker, or give this one --store.")
            }
            Self::Io(error) | Self::Path { error, .. } if error.kind() == io::ErrorKind::StorageFull => {
                Failure::service("disk_full", message, "Free space on the worker's disk.")
            }
            _ => Failure::service("store_unusable", message, "See `slipway doctor` and the worker's log."),
        }
    }
}
