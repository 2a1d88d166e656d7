//! What every handler shares, and the limits it holds to.

use std::sync::Arc;
use std::time::Duration;

use database::Database;
use tokio_util::sync::CancellationToken;

use crate::duties::changes::Changes;
use crate::routes::metrics::Metrics;

/// Limits and rhythms. The defaults are the documented ones; tests shorten them.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bytes of a JSON body.
    pub body_limit: usize,
    /// Bytes of an uploaded source archive.
    pub source_limit: u64,
    /// Longest pause between two pieces of an upload.
    pub upload_pause: Duration,
    /// Time for a request's head.
    pub head_timeout: Duration,
    /// Time for an answer to begin; longer than the longest `Prefer: wait`.
    pub answer_timeout: Duration,
    /// The longest `Prefer: wait`.
    pub longest_wait: Duration,
    /// Rhythm of the comments that keep a silent log stream alive.
    pub ping: Duration,
    /// How often a waiting request looks itself, however many hints come.
    pub poll: Duration,
    /// Rhythm of the rescuer.
    pub rescue_every: Duration,
    /// Rhythm of the tidier.
    pub tidy_every: Duration,
    /// How long the end waits for requests under way.
    pub drain: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            body_limit: 1024 * 1024,
            source_limit: 256 * 1024 * 1024,
            upload_pause: Duration::from_secs(30),
            head_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(75),
            longest_wait: Duration::from_secs(60),
            ping: Duration::from_secs(15),
            poll: Duration::from_secs(1),
            rescue_every: Duration::from_secs(5),
            tidy_every: Duration::from_secs(3600),
            drain: Duration::from_secs(10),
        }
    }
}

/// The shared state; a clone is a reference.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    config: Config,
    pub(crate) database: Database,
    pub(crate) metrics: Metrics,
    pub(crate) changes: Changes,
    /// Cancelled when the server has to end.
    pub(crate) stop: CancellationToken,
}

impl App {
    pub(crate) fn new(config: Config, database: Database, stop: CancellationToken) -> Self {
        let (metrics, changes) = (Metrics::new(), Changes::new());
        Self(Arc::new(Shared { config, database, metrics, changes, stop }))
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
