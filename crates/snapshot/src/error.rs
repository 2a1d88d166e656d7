//! What can go wrong with layers, and who has to act.

use std::io;
use std::path::{Path, PathBuf};

use model::{Digest, Failure};

/// The largest user or group id that a cell maps.
const MAX_ID: u32 = 65_535;

/// A failure of a layer or of the place where layers are kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the store can't be used.
    #[error("{}: {error}", path.display())]
    Path {
        /// The file, as a path on this machine or within its layer.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// overlayfs can't be mounted.
    #[error("overlayfs can't stack {layers} layers: {error}")]
    Mount {
        /// How many lower layers were asked for.
        layers: usize,
        /// What the kernel said.
        error: io::Error,
    },
    /// A layer has an entry that no image may have, or is no tar archive.
    #[error("{0}")]
    Invalid(String),
    /// A layer has more of something than a layer may have.
    #[error("the layer has more {0} than a layer may have")]
    TooLarge(&'static str),
    /// A step left a name that layers give a meaning of their own.
    #[error("`{}` can't be in an image: a name that begins so means that a file was removed", .0.display())]
    Reserved(PathBuf),
    /// An archive is not the one its name promises.
    #[error("the layer {expected} unpacks to {actual}")]
    Digest {
        /// The diff id it was asked for by.
        expected: Digest,
        /// The digest of what was read.
        actual: Digest,
    },
    /// A layer's archive can't be read.
    #[error("the layer can't be read: {0}")]
    Read(io::Error),
    /// A layer's archive can't be written.
    #[error("the layer can't be written: {0}")]
    Write(io::Error),
    /// A file's owner does not exist in this user namespace.
    #[error("{} belongs to {user}:{group}, which this machine can't represent", path.display())]
    Owner {
        /// The file within its layer.
        path: PathBuf,
        /// Its user.
        user: u32,
        /// Its group.
        group: u32,
    },
    /// overlayfs left a reference to a lower layer, which no archive can hold.
    #[error("{} refers to a file of a lower layer", .0.display())]
    Redirected(PathBuf),
}

impl Error {
    pub(crate) fn at<E: Into<io::Error>>(path: impl AsRef<Path>) -> impl FnOnce(E) -> Self {
        move |error| Self::Path { path: path.as_ref().to_owned(), error: error.into() }
    }

    pub(crate) fn invalid(path: &Path, what: &str) -> Self {
        Self::Invalid(format!("`{}` {what}", path.display()))
    }

    /// As the world outside sees it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        // What crossed the stream as a failure stays what it was.
        if let Self::Read(error) = self
            && let Some(failure) = error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>())
        {
            return failure.clone();
        }
        let message = format!("A layer failed: {self}.");
        if self.disk_full() {
            return Failure::service("disk_full", message, "Free space on the worker's disk.");
        }
        match self {
            Self::Invalid(_) => Failure::user("layer_invalid", message, "Build or push the image again."),
            Self::TooLarge(_) => Failure::limits(
                "layer_too_large",
                message,
                "Choose another base image: a small blob may unpack to more than any disk has.",
            ),
            Self::Reserved(_) => Failure::user(
                "name_reserved",
                message,
                "Rename or remove it in the same step; what a COPY takes can be kept out with `.dockerignore`.",
            ),
            Self::Digest { .. } => {
                Failure::user("digest_mismatch", message, "Build or push the image again.")
            }
            Self::Mount { .. } => Failure::service(
                "overlay_unavailable",
                message,
                "Run `slipway doctor` on the worker: it tells what the kernel lacks.",
            ),
            Self::Owner { user, group, .. } if (*user).max(*group) > MAX_ID => Failure::limits(
                "id_too_large",
                message,
                format!("Builds have the ids 0 to {MAX_ID}: give the file an owner up to that."),
            ),
            Self::Owner { .. } => Failure::service(
                "store_unusable",
                message,
                "Give the worker more subordinate ids (/etc/subuid, /etc/subgid).",
            ),
            Self::Path { .. } | Self::Read(_) | Self::Write(_) | Self::Redirected(_) => {
                Failure::service("store_unusable", message, "See `slipway doctor` and the worker's log.")
            }
        }
    }

    fn disk_full(&self) -> bool {
        match self {
            Self::Path { error, .. } | Self::Mount { error, .. } | Self::Read(error) | Self::Write(error) => {
                matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_that_no_build_has_is_the_images_fault_and_a_lack_of_ids_the_services() {
        let kind = |user, group| Error::Owner { path: "bin/x".into(), user, group }.failure().kind;
        assert_eq!((kind(70_000, 0), kind(0, 70_000)), ("id_too_large".into(), "id_too_large".into()));
        assert_eq!(kind(1000, MAX_ID), "store_unusable");
    }
}
