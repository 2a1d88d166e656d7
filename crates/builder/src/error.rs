//! What ends a build, and how it is told.

use std::io;
use std::path::Path;

use model::Failure;

/// The largest user or group id that a cell maps.
pub(crate) const MAX_ID: u32 = 65_535;

/// Why a vertex could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path named by COPY or ADD is not in its source.
    #[error("`{path}` was not found in {place}.")]
    SourceNotFound {
        /// As written.
        path: String,
        /// `the build context` or `the stage's files`.
        place: &'static str,
        /// What to look at: a similar name, the ignore file.
        hint: String,
    },
    /// A pattern that Go's `filepath.Match` refuses.
    #[error("`{0}` is not a pattern.")]
    BadPattern(String),
    /// Several files and one name.
    #[error("Several sources can only be copied into a folder, and `{0}` is not one.")]
    DestinationNotFolder(String),
    /// A file where a folder is, or the other way round.
    #[error("{0}")]
    Conflict(String),
    /// A user or group that the image does not know.
    #[error("The {kind} `{name}` is not in the image's {file}.")]
    NoSuchAccount { kind: &'static str, name: String, file: &'static str },
    /// An account file that is none.
    #[error("The image's /{0} is not a regular file of usual size.")]
    BadAccounts(String),
    /// No folder where every RUN has one mounted.
    #[error("The image's /{0} is a link or a file, and a RUN needs a folder there.")]
    MountPlace(&'static str),
    /// An id that builds have not.
    #[error("The id {0} can't be used: builds have the ids 0 to {MAX_ID}.")]
    IdTooLarge(u32),
    /// An archive that can't be unpacked.
    #[error("The archive `{name}` can't be unpacked: {message}.")]
    Archive { name: String, message: String },
    /// An archive that has no end, or none that would fit.
    #[error("The archive `{name}` has more {what} than ADD unpacks.")]
    ArchiveTooLarge { name: String, what: &'static str },
    /// A file operation.
    #[error("{action}: {source}")]
    Io { action: String, source: io::Error },
    /// Another room's failure, or the world's.
    #[error("{0}")]
    Other(Failure),
}

impl Error {
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    /// For rustix's calls.
    pub(crate) fn errno<'a>(
        action: &'a str,
        path: &'a Path,
    ) -> impl FnOnce(rustix::io::Errno) -> Self + use<'a> {
        move |errno| Self::Io { action: format!("{action} {}", path.display()), source: errno.into() }
    }

    /// As the world outside sees it.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        let message = self.to_string();
        match self {
            Self::SourceNotFound { hint, .. } => Failure::user("copy_source_not_found", message, hint),
            Self::BadPattern(_) => Failure::user(
                "copy_bad_pattern",
                message,
                "Close every `[`, and write a backslash before a character that is meant as itself.",
            ),
            Self::DestinationNotFolder(_) => {
                Failure::user("copy_destination_not_folder", message, "End the destination with `/`.")
            }
            Self::Conflict(_) => {
                Failure::user("copy_conflict", message, "Remove one of the two, or rename it.")
            }
            Self::NoSuchAccount { .. } => Failure::user(
                "user_not_found",
                message,
                "Make it in an earlier RUN, or write the number instead of the name.",
            ),
            Self::BadAccounts(_) => Failure::user(
                "accounts_unreadable",
                message,
                "Names of users are looked up there. See what the base image or an earlier step made of it.",
            ),
            Self::MountPlace(_) => Failure::user(
                "mount_place_taken",
                message,
                "Make it a folder in the base image, or take another base image.",
            ),
            Self::IdTooLarge(_) => {
                Failure::limits("id_too_large", message, format!("Use an id up to {MAX_ID}."))
            }
            Self::Archive { .. } => {
                Failure::user("archive_unreadable", message, "COPY takes it as it is; ADD unpacks it.")
            }
            Self::ArchiveTooLarge { .. } => {
                Failure::limits("archive_too_large", message, "COPY it, and unpack what is needed in a RUN.")
            }
            Self::Io { source, .. } => io_failure(&source, message),
            Self::Other(failure) => failure,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

/// A full disk has its own kind; a failure that crossed a stream keeps what it was.
pub(crate) fn io_failure(source: &io::Error, message: String) -> Failure {
    if let Some(failure) = source.get_ref().and_then(|inner| inner.downcast_ref::<Failure>()) {
        return failure.clone();
    }
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => disk_full(message),
        _ => Failure::service("build_io", message, ""),
    }
}

pub(crate) fn disk_full(message: String) -> Failure {
    Failure::service("disk_full", message, "Free space on the worker's disk, or give its store a larger one.")
}
