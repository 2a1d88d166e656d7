//! Errors as RFC 9457 `application/problem+json`. Handlers answer a [`Problem`]; [`complete`], the
//! outermost layer, writes the body, and makes one for every error that a library answered instead.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::kind::{self, Kind};
use super::request_id::RequestId;
use crate::page::refusal;

/// An error before it is known which request it answers.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    kind: &'static Kind,
    detail: String,
    hint: String,
    field: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// An error as the client reads it (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemBody {
    /// Where this kind is explained, relative to the service.
    #[serde(rename = "type")]
    #[schema(example = "/problems#registry_not_found")]
    pub kind_address: String,
    /// The kind as a phrase; the same for every problem of a kind.
    #[schema(example = "Unknown registry")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What happened, as a sentence.
    #[schema(example = "There is no registry `prod`; there is `local`.")]
    pub detail: String,
    /// The stable name of the kind.
    #[schema(example = "registry_not_found")]
    pub kind: String,
    /// What to do about it; may be empty.
    pub hint: String,
    /// The part of the request that is wrong, where it is one part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Path of the request.
    #[schema(example = "/v1/registries/prod/runs")]
    pub instance: String,
    /// Also in the header `X-Request-Id` and in every line of the service's log.
    pub request_id: String,
}

impl Problem {
    pub(crate) fn new(kind: &'static Kind, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), hint: hint.into(), field: None, headers: Vec::new() }
    }

    pub(crate) fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// The same problem, naming the part of the request.
    pub(crate) fn in_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The same problem with one more header.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn hint(&self) -> &str {
        &self.hint
    }

    /// The part of the request that is wrong.
    pub(crate) fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// As it is sent.
    pub(crate) fn body(&self, instance: &str, request_id: &str) -> ProblemBody {
        ProblemBody {
            kind_address: format!("/problems#{}", self.kind.name),
            title: self.kind.title.to_owned(),
            status: self.kind.status.as_u16(),
            detail: self.detail.clone(),
            kind: self.kind.name.to_owned(),
            hint: self.hint.clone(),
            field: self.field.clone(),
            instance: instance.to_owned(),
            request_id: request_id.to_owned(),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.detail, self.hint)
    }
}

impl IntoResponse for Problem {
    /// Status, headers and the problem as an extension; [`complete`] writes the body.
    fn into_response(self) -> Response {
        let mut response = self.kind.status.into_response();
        for (name, value) in &self.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// An answer of 400 and above that has its body already: the form to sign in, with what was wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Complete;

/// Gives every answer of 400 and above its problem body; to a browser as a page.
pub(crate) async fn complete(request: Request, next: Next) -> Response {
    let instance = request.uri().path().to_owned();
    let browser = refusal::Browser::of(&request);
    let request_id = request.extensions().get::<RequestId>().cloned().unwrap_or_default();
    let response = next.run(request).await;
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || response.extensions().get::<Complete>().is_some() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let problem = match parts.extensions.remove::<Problem>() {
        Some(problem) => problem,
        None => foreign(status, body, &instance).await,
    };
    let body = problem.body(&instance, &request_id.0);
    parts.status = problem.kind.status;
    parts.headers.remove(header::CONTENT_LENGTH);
    if let Some(browser) = browser {
        return browser.answer(parts, &body);
    }
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Response::from_parts(parts, Body::from(serde_json::to_vec(&body).unwrap_or_default()))
}

/// A problem for an answer that a library gave: its text, where it gave one, is the detail.
async fn foreign(status: StatusCode, body: Body, instance: &str) -> Problem {
    let text = axum::body::to_bytes(body, 4096).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    let kind = kind::of_status(status);
    let (detail, hint) = match kind.name {
        "route_not_found" => {
            (format!("There is nothing at `{instance}`."), "GET /openapi.json lists the addresses.")
        }
        "method_not_allowed" => {
            (format!("`{instance}` does not take that method."), "The header Allow names those it takes.")
        }
        "request_timeout" => ("The request was not answered in time.".to_owned(), "Try again."),
        "internal" => (
            "Something broke while this request was answered.".to_owned(),
            "The service's log has the reason under this request id.",
        ),
        _ if text.is_empty() => (kind.title.to_owned(), ""),
        _ => (text, ""),
    };
    Problem::new(kind, detail, hint)
}
