//! The only place that opens connections to where strangers point: git hosts and base images'
//! registries. In: limits. Out: an HTTP client, or a bare connection. Deliberately absent: credentials,
//! redirects (whoever asks follows them knowingly), proxies from the environment.

mod tcp;

pub use tcp::connect;

use std::time::Duration;

use model::Failure;

/// Limits of a client.
#[derive(Debug, Clone)]
pub struct Options {
    /// For a connection, TLS included.
    pub connect_timeout: Duration,
    /// For an answer to begin, and between two parts of it.
    pub read_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(10), read_timeout: Duration::from_secs(30) }
    }
}

/// A pool of connections; cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
}

/// The client can't be made.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client can be made: {0}")]
pub struct Error(#[from] reqwest::Error);

impl Error {
    /// As a run's failure.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let hint = "Are the system's certificates installed (Debian's package `ca-certificates`)?";
        Failure::service("http_client_unusable", format!("{self}."), hint)
    }
}

impl Client {
    /// Names are looked up and addresses connected to as the host does. A resolver and connector that
    /// deny private, link-local and metadata addresses belong here, and nowhere else.
    ///
    /// # Errors
    /// The system's certificates can't be read.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect_timeout)
            .read_timeout(options.read_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .no_gzip()
            .build()?;
        Ok(Self { http })
    }

    /// To make requests with.
    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }
}
