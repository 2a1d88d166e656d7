//! Extractors of axum whose refusals are problems.

use axum::body::{Body, Bytes};
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Json, Path, Query, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

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
#[derive(Debug)]
pub(crate) struct JsonOf<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonOf<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), state).await;
        let bytes = bytes.map_err(|rejection| Problem::from(JsonRejection::from(rejection)))?;
        let whole = Request::from_parts(parts, Body::from(bytes.clone()));
        let Json(value) = Json::<T>::from_request(whole, state).await?;
        // serde reads a struct out of an array as well, by the order of its fields.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            let hint = "`--json` of a `show` command prints what is taken; GET /openapi.json has the schema.";
            return Err(
                Problem::new(&kind::JSON_INVALID, "The body is no JSON object.", hint).in_field("body")
            );
        }
        match holds_nul(&bytes) {
            false => Ok(Self(value)),
            true => Err(nul("body")),
        }
    }
}

/// The body, as JSON that holds a secret: an answer that refuses it repeats nothing of it.
#[derive(Debug)]
pub(crate) struct SecretJsonOf<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for SecretJsonOf<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match JsonOf::<T>::from_request(request, state).await {
            Ok(JsonOf(value)) => Ok(Self(value)),
            Err(problem) if *problem.kind() == kind::JSON_INVALID => Err(Problem::new(
                &kind::JSON_INVALID,
                "The body is not the JSON that was expected; it may hold a secret, so that nothing of it is repeated.",
                "A secret is text in quotes; GET /openapi.json has the schema.",
            )
            .in_field("body")),
            Err(problem) => Err(problem),
        }
    }
}

/// What serde says of a value, without the value: people put secrets into the wrong field.
pub(crate) fn without_values(said: &str) -> String {
    let mut shown = said.to_owned();
    for beginning in ["invalid type: ", "invalid value: "] {
        let Some(at) = shown.find(beginning).map(|at| at + beginning.len()) else { continue };
        let Some(end) = shown.rfind(", expected ").filter(|end| *end > at) else { continue };
        let what = shown[at..end].find(['`', '"']).map_or(end, |quote| at + quote);
        shown.replace_range(what..end, "");
        shown = shown.replace(" , expected ", ", expected ");
    }
    shown
}

/// Refuses an address with the one character that no text of ours may hold.
pub(crate) async fn refuse_nul(request: Request, next: Next) -> Response {
    let uri = request.uri();
    let has = |part: &str| part.contains("%00");
    if has(uri.path()) {
        return nul("path").into_response();
    }
    if uri.query().is_some_and(has) {
        return nul("query").into_response();
    }
    next.run(request).await
}

/// Whether a JSON text holds the character NUL, which it can only write as an escape.
fn holds_nul(json: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = json[at..].iter().position(|byte| *byte == b'\\') {
        let escape = &json[at + found + 1..];
        if escape.starts_with(b"u0000") {
            return true;
        }
        // The escaped character may itself be a backslash.
        at = (at + found + 2).min(json.len());
    }
    false
}

pub(crate) fn nul(field: &str) -> Problem {
    Problem::new(
        &kind::CHARACTER_REFUSED,
        "A text holds the character NUL (U+0000).",
        "Leave it out; no name, address or argument can hold it.",
    )
    .in_field(field)
}

/// Refuses a query where none is known: whoever asks for a part of a list is not shown all of it.
pub(crate) async fn refuse_query(request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    if query.is_empty() {
        return next.run(request).await;
    }
    let name: String = query.split(['=', '&']).next().unwrap_or_default().chars().take(100).collect();
    let detail = format!("`{name}` is no parameter of this address.");
    Problem::new(&kind::PARAMETER_INVALID, detail, "It takes none; /openapi.json says what is taken where.")
        .in_field("query")
        .into_response()
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(
            &kind::PARAMETER_INVALID,
            rejection.body_text(),
            "Ids are UUIDs, as lists have them (`slipway run list`); /openapi.json has the rest.",
        )
        .in_field("path")
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(
            &kind::PARAMETER_INVALID,
            rejection.body_text(),
            "`--help` of the command says what is taken; by REST, GET /openapi.json.",
        )
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
            _ => (
                &kind::JSON_INVALID,
                "`--json` of a `show` command prints what is taken; GET /openapi.json has the schema.",
            ),
        };
        Self::new(kind, without_values(&rejection.body_text()), hint).in_field("body")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serde_says_is_told_without_the_value() {
        use serde_json::from_str;
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "it is never read")]
        struct Body {
            names: Vec<String>,
            count: u8,
        }
        for (json, said) in [
            (r#"{"names":"gehe\"im, expected x"}"#, "invalid type: string, expected a sequence at line"),
            (r#"{"names":[4711]}"#, "invalid type: integer, expected a string at line"),
            (r#"{"names":[],"count":4711}"#, "invalid value: integer, expected u8 at line"),
            (r#"{"names":[],"count":true}"#, "invalid type: boolean, expected u8 at line"),
            (r#"{"names":[],"count":[]}"#, "invalid type: sequence, expected u8 at line"),
            (r#"{"count":1}"#, "missing field `names` at line"),
        ] {
            let shown = without_values(&from_str::<Body>(json).expect_err(json).to_string());
            assert!(shown.starts_with(said), "{json}: {shown}");
        }
    }

    #[test]
    fn an_escaped_backslash_before_zeros_is_no_nul() {
        for (json, holds) in [
            (r#"{"a":"x\u0000"}"#, true),
            (r#"{"a":"x\\u0000"}"#, false),
            (r#"{"a":"x\\\u0000"}"#, true),
            (r#"{"a":"\n\""}"#, false),
            (r#""\"#, false),
        ] {
            assert_eq!(holds_nul(json.as_bytes()), holds, "{json}");
        }
    }
}
