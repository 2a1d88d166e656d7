//! What can go wrong before, around and instead of the process.

use std::io;

use model::Failure;

/// Why a process could not be run. A process that ran and failed is no error: see [`crate::Exit`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No OCI runtime is installed.
    #[error("No OCI runtime was found (looked for {looked_for}).")]
    RuntimeMissing {
        /// The names that were tried.
        looked_for: String,
    },
    /// The runtime would not start the process.
    #[error("{runtime} would not start the process: {message}")]
    Refused {
        /// Its path.
        runtime: String,
        /// Its own words.
        message: String,
    },
    /// The command does not exist in the root folder, or can't be executed there.
    #[error("{message}")]
    NotExecutable {
        /// The runtime's own words.
        message: String,
    },
    /// [`crate::Stop::stop`] was called.
    #[error("The process was stopped.")]
    Stopped,
    /// The host's files or the runtime's program.
    #[error("{action}: {source}")]
    Io {
        /// What was being done.
        action: String,
        source: io::Error,
    },
    /// The host would not give the sandbox what it needs.
    #[error("{action}: {message}")]
    Host { action: &'static str, message: String },
}

impl Error {
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }

    /// As the world outside sees it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let message = self.to_string();
        match self {
            Self::RuntimeMissing { .. } => Failure::service(
                "runtime_missing",
                message,
                "Install the package `crun` (or `runc`) on the worker.",
            ),
            Self::Refused { .. } => Failure::service(
                "runtime_refused",
                message,
                "`slipway doctor` on the worker says which runtime works there.",
            ),
            Self::NotExecutable { .. } => Failure::user(
                "run_failed",
                format!("The command could not be started: {message}"),
                "Is it installed in the image, executable, and for this platform?",
            ),
            Self::Stopped => Failure::service("stopped", message, ""),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Failure::service("disk_full", message, "Free space on the worker's disk.")
            }
            Self::Io { .. } | Self::Host { .. } => Failure::service("sandbox_failed", message, ""),
        }
    }
}
