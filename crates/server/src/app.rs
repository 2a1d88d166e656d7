//! What every handler shares, and the limits it holds to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use database::Database;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use vault::Vault;

use crate::duties::changes::Changes;
use crate::http::intake::Intake;
use crate::http::limit::{Limits, Rate};
use crate::routes::metrics::Metrics;
use crate::tls::TlsFiles;

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
    /// Where the service is reached from outside, without a `/` at the end: hooks' addresses and reports
    /// hold it. The listening address when absent, which on loopback is one that hooks may have.
    pub public_url: Option<String>,
    /// Speak TLS with this certificate.
    pub tls: Option<TlsFiles>,
    /// How often a renewed certificate is looked for.
    pub tls_look: Duration,
    /// Whether a proxy in front of it speaks TLS.
    pub behind_proxy: bool,
    /// Requests of one token.
    pub token_rate: Rate,
    /// Deliveries of one hook.
    pub hook_rate: Rate,
    /// Attempts to sign in at the page's form, of one address.
    pub login_rate: Rate,
    /// Bytes of a delivery.
    pub delivery_limit: usize,
    /// Bytes of large deliveries that are held at a time; one fits in any case. With its copies on the way to the
    /// database a delivery takes up to five times its bytes.
    pub delivery_budget: usize,
    /// Time for a delivery to arrive and to be answered.
    pub delivery_timeout: Duration,
    /// How often the inbox and the outbox are looked at, however many hints come.
    pub work_every: Duration,
    /// Where commit statuses and webhooks may be sent.
    pub policy: egress::Policy,
    /// How long what is over is kept.
    pub keep: database::Keep,
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
            public_url: None,
            tls: None,
            tls_look: Duration::from_secs(5),
            behind_proxy: false,
            token_rate: Rate::new(100, 500),
            hook_rate: Rate::new(500, 2000),
            login_rate: Rate::new(1, 10),
            delivery_limit: 25 * 1024 * 1024,
            delivery_budget: 25 * 1024 * 1024,
            delivery_timeout: Duration::from_secs(30),
            work_every: Duration::from_secs(1),
            policy: egress::Policy::default(),
            keep: database::Keep::default(),
        }
    }
}

/// The shared state; a clone is a reference.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    config: Config,
    /// Where it listens.
    own: SocketAddr,
    pub(crate) database: Database,
    pub(crate) metrics: Metrics,
    pub(crate) changes: Changes,
    pub(crate) limits: Limits,
    pub(crate) intake: Intake,
    pub(crate) vault: Vault,
    /// Rung when a delivery may wait to be worked off.
    pub(crate) inbox: Notify,
    /// Rung when something may wait to be sent.
    pub(crate) outbox: Notify,
    /// Cancelled when the server has to end.
    pub(crate) stop: CancellationToken,
}

impl App {
    pub(crate) fn new(
        config: Config,
        own: SocketAddr,
        database: Database,
        vault: Vault,
        stop: CancellationToken,
    ) -> Self {
        let (metrics, changes) = (Metrics::new(), Changes::new());
        let limits = Limits::new(config.token_rate, config.hook_rate, config.login_rate);
        let intake = Intake::new(config.delivery_limit, config.delivery_budget);
        let (inbox, outbox) = (Notify::new(), Notify::new());
        Self(Arc::new(Shared {
            config,
            own,
            database,
            metrics,
            changes,
            limits,
            intake,
            vault,
            inbox,
            outbox,
            stop,
        }))
    }

    /// An address below the service's own, as others reach it.
    pub(crate) fn public(&self, path: &str) -> String {
        match &self.config.public_url {
            Some(url) => format!("{url}{path}"),
            None => {
                let scheme = if self.config.tls.is_some() { "https" } else { "http" };
                format!("{scheme}://{}{path}", self.own)
            }
        }
    }

    /// Whether a git host knows the way to [`App::public`]: on loopback it is on this machine, elsewhere somebody has
    /// to say what the service is called.
    pub(crate) fn is_reached(&self) -> bool {
        self.config.public_url.is_some() || self.own.ip().to_canonical().is_loopback()
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
