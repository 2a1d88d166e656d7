//! The request id: taken from `X-Request-Id` where the client sent a sane one, else made; sent back,
//! and part of every line that is logged while the request is answered.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use uuid::Uuid;

use crate::App;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken from a client.
const LONGEST: usize = 128;

#[derive(Clone, Debug, Default)]
pub(crate) struct RequestId(pub(crate) String);

impl RequestId {
    fn of(request: &Request) -> Self {
        let sent = request.headers().get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
        let sane = |id: &&str| {
            (1..=LONGEST).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        Self(sent.filter(sane).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned))
    }
}

/// A path as the log has it: a hook's address is known to its git host alone.
fn shown(path: &str) -> &str {
    if path.starts_with("/hooks/") { "/hooks/…" } else { path }
}

/// Names the request, logs its answer once and counts it.
pub(crate) async fn name_and_log(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", request_id = %id.0, %method, path = shown(request.uri().path()), run = tracing::field::Empty, token = tracing::field::Empty);
    request.extensions_mut().insert(id.clone());
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    app.metrics.answered(&method, &route, status, started.elapsed());
    let _entered = span.enter();
    let milliseconds = started.elapsed().as_millis();
    // Asked every few seconds by machines, and an answer that the caller reads.
    if matches!(route.as_str(), "/healthz" | "/readyz" | "/metrics") {
        tracing::debug!(status = status.as_u16(), milliseconds, "answered");
    } else if status.is_server_error() {
        tracing::warn!(status = status.as_u16(), milliseconds, "answered");
    } else {
        tracing::info!(status = status.as_u16(), milliseconds, "answered");
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hooks_address_is_not_in_the_log() {
        for address in ["/hooks/5f0c", "/hooks/5f0c/", "/hooks/5f0c/x"] {
            assert_eq!(shown(address), "/hooks/…");
        }
        assert_eq!(shown("/v1/registries/local/hooks/hub"), "/v1/registries/local/hooks/hub");
    }
}
