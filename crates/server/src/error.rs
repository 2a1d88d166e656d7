//! Why the server can't start or go on.

use std::net::SocketAddr;

use model::Failure;

/// Why the server can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address that other machines can reach, without TLS.
    #[error("{0} can be reached from other machines, and access tokens would travel there in the clear")]
    ListenNotLoopback(SocketAddr),
    /// Certificate and key can't be used.
    #[error("TLS can't be spoken: {0}")]
    Tls(String),
    /// The listening socket failed.
    #[error("the listening socket failed: {0}")]
    Listen(#[from] std::io::Error),
}

impl Error {
    /// As the world outside sees it.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let message = self.to_string();
        match self {
            Self::ListenNotLoopback(_) => Failure::user(
                "listen_not_loopback",
                message,
                "Give --tls-cert and --tls-key; or --behind-proxy where a proxy speaks TLS; or listen on 127.0.0.1.",
            ),
            Self::Tls(_) => Failure::user(
                "tls_unusable",
                message,
                "Both files are PEM; the certificate file begins with the server's own.",
            ),
            Self::Listen(_) => {
                Failure::service("listen_failed", message, "Is the address taken by another program?")
            }
        }
    }
}
