//! What worker and publisher serve to Prometheus: `GET /metrics` on an address of its own, in plain http.
//! In: the process' own registry of numbers. Out: text format 0.0.4. Deliberately absent: a token. There is
//! no id, name or address in the numbers; the address is meant for loopback or a network of the operator's.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use clap::Args;
use prometheus::{TEXT_FORMAT, TextEncoder};
use tokio_util::sync::CancellationToken;

use super::server::inherited;

#[derive(Debug, Clone, Args)]
pub(crate) struct ScrapeArgs {
    /// Serve this role's metrics here, without a token: loopback, or a network of the operator's own
    #[arg(long, env = "SLIPWAY_METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,
    /// The listening socket that the parent has opened
    #[arg(long, hide = true, conflicts_with = "metrics_listen")]
    metrics_descriptor: Option<i32>,
}

impl ScrapeArgs {
    /// The listener, where one is wanted. Before root is given up, and before the runtime.
    pub(crate) fn listener(&self) -> anyhow::Result<Option<TcpListener>> {
        match (self.metrics_descriptor, self.metrics_listen) {
            (Some(descriptor), _) => inherited(descriptor).map(Some),
            (None, Some(address)) => {
                let listener = TcpListener::bind(address);
                Ok(Some(listener.with_context(|| format!("can't listen on {address} for metrics"))?))
            }
            (None, None) => Ok(None),
        }
    }
}

/// Serves until `stop`. A role works without its metrics, too.
pub(crate) fn serve(listener: Option<TcpListener>, stop: CancellationToken) -> anyhow::Result<()> {
    let Some(listener) = listener else { return Ok(()) };
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = Router::new().route("/metrics", get(metrics));
    tokio::spawn(async move {
        let serving = axum::serve(listener, router);
        tokio::select! {
            served = serving => if let Err(error) = served { tracing::warn!(%error, "metrics are served no more") },
            () = stop.cancelled() => {}
        }
    });
    Ok(())
}

async fn metrics() -> ([(axum::http::HeaderName, &'static str); 1], String) {
    let text = TextEncoder::new().encode_to_string(&prometheus::gather()).unwrap_or_default();
    ([(CONTENT_TYPE, TEXT_FORMAT)], text)
}
