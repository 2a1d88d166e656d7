//! What can be wrong with a source, and how it is told to the person who named it.

use std::io;
use std::path::PathBuf;

use model::{Failure, Location};

/// Everything that ends a checkout, an unpacking or the reading of a file in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("The repository has no ref `{reference}`.")]
    RefNotFound { reference: String, hint: String },
    #[error("The repository has no commits.")]
    RepositoryEmpty,
    #[error("The repository has no commit {commit}{tip}.")]
    CommitNotFound { commit: String, tip: String },
    #[error("`{reference}` does not lead to a commit.")]
    NotACommit { reference: String },
    #[error("The repository's tree can't be checked out: {what}.")]
    RepositoryUnsafe { what: String },
    #[error("The source has no folder `{path}`{why}.")]
    SubdirectoryNotFound { path: String, why: String },
    #[error("The archive holds an entry that is refused: {what}.")]
    ArchiveUnsafe { what: String },
    #[error("The upload is not a tar archive this service can read: {why}.")]
    ArchiveInvalid { why: String },
    #[error("The source is too large: {what}.")]
    TooLarge { what: String },
    #[error("The source has no file `{path}`{why}.")]
    DockerfileNotFound { path: String, why: String, hint: String },
    #[error("`{path}` can't be read as a Dockerfile: {why}.")]
    DockerfileInvalid { path: String, why: String },
    #[error("`{path}` holds a pattern that is not one: {why}.")]
    IgnoreInvalid { path: String, why: String, location: Option<Box<Location>> },
    #[error("The repository did not speak git as expected: {0}.")]
    Git(String),
    #[error("The source can't be written to `{}`: {error}.", path.display())]
    Disk { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Outside(#[from] Box<Failure>),
}

impl Error {
    /// For `map_err` on what is done to our own disk.
    pub(crate) fn disk(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        |error| Self::Disk { path: path.into(), error }
    }

    /// The same failure in the words of the world outside.
    pub(crate) fn into_failure(self) -> Failure {
        let message = self.to_string();
        match self {
            Self::RefNotFound { hint, .. } => Failure::user("ref_not_found", message, hint),
            Self::RepositoryEmpty => {
                Failure::user("repository_empty", message, "Push a commit to it, then start the run again.")
            }
            Self::CommitNotFound { .. } => Failure::user(
                "commit_not_found",
                message,
                "It may have been removed by a forced push, or may belong to a fork. Name a commit that a branch still holds.",
            ),
            Self::NotACommit { .. } => {
                Failure::user("ref_not_found", message, "Name a branch, or a tag of a commit.")
            }
            Self::RepositoryUnsafe { .. } => Failure::user(
                "repository_unsafe",
                message,
                "No usual git client makes such a tree; rename the entry and commit again.",
            ),
            Self::SubdirectoryNotFound { .. } => Failure::user(
                "subdirectory_not_found",
                message,
                "Write what follows `:` as a path from the root of the source.",
            ),
            Self::ArchiveUnsafe { .. } => Failure::user(
                "archive_unsafe",
                message,
                "Pack regular files, folders and links only, with names relative to the context's root.",
            ),
            Self::ArchiveInvalid { .. } => Failure::user(
                "archive_invalid",
                message,
                "Pack it as `tar -czf context.tar.gz -C FOLDER .` does.",
            ),
            Self::TooLarge { .. } => {
                Failure::limits("source_too_large", message, "Leave out what the build does not need.")
            }
            Self::DockerfileNotFound { hint, .. } => Failure::user("dockerfile_not_found", message, hint),
            Self::DockerfileInvalid { .. } => {
                Failure::user("dockerfile_invalid", message, "A Dockerfile is UTF-8 text of at most 1 MiB.")
            }
            Self::IgnoreInvalid { location, .. } => {
                let hint =
                    "Patterns are those of Go's filepath.Match: close every `[` and end none with `\\`.";
                let failure = Failure::user("dockerignore_invalid", message, hint);
                Failure { location, ..failure }
            }
            Self::Git(_) => Failure::service("git_protocol", message, "See whether `git clone` of it works."),
            Self::Disk { ref error, .. } if is_full(error) => {
                Failure::service("disk_full", message, "Free space on the worker's disk.")
            }
            Self::Disk { .. } => Failure::service("source_disk", message, "See the worker's disk."),
            Self::Outside(failure) => *failure,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
