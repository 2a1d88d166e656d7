//! Versions of things as `ETag` and `If-Match` (RFC 9110, 8.8.3 and 13.1.1).

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::http::kind;
use crate::http::problem::Problem;

/// A thing with its version.
pub(crate) fn tagged(status: StatusCode, version: i32, body: impl Serialize) -> Response {
    let mut response = (status, Json(body)).into_response();
    if let Ok(tag) = HeaderValue::from_str(&tag(version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Lets through who has seen this version, or does not say. Answers the version, where it has to be this one still
/// when something is done.
///
/// # Errors
/// `outdated`
pub(crate) fn check_seen(headers: &HeaderMap, version: i32) -> Result<Option<i32>, Problem> {
    let mut seen = headers.get_all(header::IF_MATCH).iter().peekable();
    if seen.peek().is_none() {
        return Ok(None);
    }
    let mut tags = seen.flat_map(|value| value.to_str().unwrap_or_default().split(',')).map(str::trim);
    match tags.any(|seen| seen == "*" || seen == tag(version)) {
        true => Ok(Some(version)),
        false => Err(outdated().in_field("If-Match")),
    }
}

pub(crate) fn outdated() -> Problem {
    Problem::new(
        &kind::OUTDATED,
        "Somebody else changed it meanwhile: it has another version by now than the one that was seen.",
        "Look at it as it is now (its page, `slipway … show`; by REST, GET for the ETag), and ask again.",
    )
}

fn tag(version: i32) -> String {
    format!("\"{version}\"")
}
