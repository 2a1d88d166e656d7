//! Why the server can't start or go on.

use std::net::SocketAddr;

use model::Failure;

/// Why the server can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address that other machines can reach.
    #[error(
        "{0} can be reached from other machines, and Slipway has no access tokens yet: \
         whoever reaches it could push images"
    )]
    ListenNotLoopback(SocketAddr),
    /// The listening socket failed.
    #[error("the listening socket failed: {0}")]
    Listen(#[from] std::io::Error),
}

impl Error {
    /// As the world outside sees it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self {
            Self::ListenNotLoopback(_) => Failure::user(
                "listen_not_loopback",
                self.to_string(),
                "Listen on 127.0.0.1 or [::1], for instance 127.0.0.1:7420, and reach it from afar by `ssh -L`.",
            ),
            Self::Listen(_) => Failure::service(
                "listen_failed",
                self.to_string(),
                "Is the address taken by another program?",
            ),
        }
    }
}
