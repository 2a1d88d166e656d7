//! Extractors of axum whose refusals are problems.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Json, Path, Query};
use axum::http::StatusCode;

use super::kind;
use super::problem::Problem;

/// The path's parameters.
#[derive(Debug, FromRequestParts)]
#[from_request(via(Path), rejection(Problem))]
pub(crate) struct PathOf<T>(pub(crate) T);

/// The query's parameters.
#[derive(Debug, FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
pub(crate) struct QueryOf<T>(pub(crate) T);

/// The body, as JSON.
#[derive(Debug, FromRequest)]
#[from_request(via(Json), rejection(Problem))]
pub(crate) struct JsonOf<T>(pub(crate) T);

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(
            &kind::PARAMETER_INVALID,
            rejection.body_text(),
            "Ids are UUIDs, as POST answered them; /openapi.json has the rest.",
        )
        .in_field("path")
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(&kind::PARAMETER_INVALID, rejection.body_text(), "GET /openapi.json says what is taken.")
            .in_field("query")
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let (kind, hint) = match rejection.status() {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                (&kind::MEDIA_TYPE_UNSUPPORTED, "Send the header `Content-Type: application/json`.")
            }
            StatusCode::PAYLOAD_TOO_LARGE => (&kind::BODY_TOO_LARGE, "A description has at most 1 MiB."),
            _ => (&kind::JSON_INVALID, "GET /openapi.json shows the schema of this address."),
        };
        Self::new(kind, rejection.body_text(), hint).in_field("body")
    }
}
