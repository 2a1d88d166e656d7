//! A run's log on the page: its last part as plain text, for whoever has no script, and the whole of it as a
//! file. The script reads the API's event stream instead.

mod plain;
mod tail;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;

pub(crate) use tail::{Tail, tail};

use crate::App;
use crate::http::extract::{PathOf, QueryOf};
use crate::http::problem::Problem;
use crate::routes::logs::{known_attempt, still_there};
use crate::routes::lookup::{RunPath, find_run};

/// Bytes that are read at a time.
const PIECE: i64 = 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WholeQuery {
    attempt: Option<i32>,
}

/// `GET /registries/{registry}/runs/{run}/log`: all there is, as text.
pub(crate) async fn whole(
    State(app): State<App>,
    PathOf(path): PathOf<RunPath>,
    QueryOf(query): QueryOf<WholeQuery>,
) -> Result<Response, Problem> {
    let (_, run) = find_run(&app, &path).await?;
    let attempt = known_attempt(query.attempt, run.attempt)?.unwrap_or(run.attempt);
    still_there(&run)?;
    // Up to where it ends now: a download that follows would not end.
    let end = app.database.read_log(run.id, Some(attempt), i64::MAX, 1).await?.next_offset;
    let pieces = stream::try_unfold(0, move |offset| {
        let app = app.clone();
        async move {
            let left = end - offset;
            if left <= 0 {
                return Ok::<_, database::Error>(None);
            }
            let piece = app.database.read_log(run.id, Some(attempt), offset, left.min(PIECE)).await?;
            let is_over = piece.bytes.is_empty();
            Ok((!is_over).then(|| (Bytes::from(piece.bytes), piece.next_offset)))
        }
    });
    let name = format!("inline; filename=\"{}-{attempt}.log\"", run.id);
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}
