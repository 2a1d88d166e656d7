//! Why nothing came, and whose it is to mend. A refusal names what was asked for, never the address it has.

use std::fmt;
use std::io;

use model::Failure;

use crate::Origin;

/// Where a connection was not made, or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no HTTP client can be made: {0}")]
    Unusable(reqwest::Error),
    #[error("{0}")]
    Denied(Box<Denied>),
    /// Connecting, sending or reading failed.
    #[error("{}", innermost(.0))]
    Http(reqwest::Error),
    #[error("{0}")]
    Connect(io::Error),
    #[error("this host's own addresses can't be read: {0}")]
    Interfaces(io::Error),
}

/// An address that is not reached without being configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    pub(crate) origin: Origin,
    pub(crate) for_strangers: bool,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.origin.host_and_port();
        write!(
            f,
            "the address of {host} is not one that is reached from here: private, loopback and link-local ones are refused unless an administrator lets them"
        )
    }
}

impl std::error::Error for Denied {}

impl Denied {
    /// What an administrator writes to let it.
    #[must_use]
    pub fn hint(&self) -> String {
        let (host, origin) = (self.origin.host_and_port(), &self.origin);
        match self.for_strangers {
            true => format!(
                "To let every build reach it, an administrator starts `slipway up`, or the worker, with `--egress-allow {host}` (or SLIPWAY_EGRESS_ALLOW={host})."
            ),
            false => format!(
                "If this host is yours, an administrator starts `slipway up`, or server, worker and publisher, with `--origin {origin}` (or SLIPWAY_ORIGINS={origin})."
            ),
        }
    }

    /// As a run's failure.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let message = self.to_string();
        Failure::user("address_denied", format!("T{}.", &message[1..]), self.hint())
    }
}

impl Error {
    /// A refusal by the policy, if it is one.
    #[must_use]
    pub fn denied(&self) -> Option<&Denied> {
        match self {
            Self::Denied(denied) => Some(denied),
            _ => None,
        }
    }

    /// As a run's failure, where nobody knows better what was asked for.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let message = format!("{self}.");
        match self {
            Self::Denied(denied) => denied.failure(),
            Self::Unusable(_) => Failure::service(
                "http_client_unusable",
                message,
                "Are the system's certificates installed (Debian's package `ca-certificates`)?",
            ),
            Self::Interfaces(_) => {
                Failure::service("host_addresses_unknown", message, "See `slipway doctor`.")
            }
            Self::Http(_) | Self::Connect(_) => Failure::service("host_unreachable", message, ""),
        }
    }

    pub(crate) fn denial(origin: Origin, for_strangers: bool) -> Self {
        Self::Denied(Box::new(Denied { origin, for_strangers }))
    }
}

/// The innermost cause: reqwest's own words only repeat the address.
pub fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
