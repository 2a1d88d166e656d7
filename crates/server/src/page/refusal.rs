//! Errors as a browser shows them: a page with the kind, what to do, and the request's id; without a token, the
//! way to the form. Programs get the problem's JSON.

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header, response::Parts};
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::shell::{Shell, guarded, render_as};
use crate::api::ProblemBody;
use crate::http::kind;
use crate::http::problem::Problem;

/// A request whose answer a person reads.
#[derive(Debug)]
pub(crate) struct Browser {
    /// What was asked for, if it can be asked for again.
    address: Option<String>,
    /// A link of another site led here, so the browser kept our cookie back.
    from_elsewhere: bool,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct Refusal<'a> {
    shell: Shell,
    problem: &'a ProblemBody,
}

#[derive(Template)]
#[template(path = "elsewhere.html")]
struct Elsewhere {
    shell: Shell,
    address: String,
}

impl Browser {
    /// None: a program asks.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let header = |name| {
            let value = request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
            value.unwrap_or_default()
        };
        if !header(header::ACCEPT).contains("text/html") {
            return None;
        }
        let is_get = *request.method() == Method::GET;
        let address = request.uri().path_and_query().map(ToString::to_string).filter(|_| is_get);
        let site = request.headers().get("sec-fetch-site").and_then(|site| site.to_str().ok());
        Some(Self { address, from_elsewhere: site == Some("cross-site") })
    }

    /// The answer instead of a problem's JSON. Headers of the answer stay.
    pub(crate) fn answer(self, parts: Parts, problem: &ProblemBody) -> Response {
        let page = match self.address {
            Some(address) if problem.kind == kind::UNAUTHENTICATED.name => {
                sign_in(address, self.from_elsewhere)
            }
            _ => page(problem),
        };
        let mut response = guarded(page);
        for (name, value) in &parts.headers {
            if !response.headers().contains_key(name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }
}

/// To the form. Whom another site's link led here may be signed in: the same address, asked for by a page of
/// ours, comes with the cookie.
fn sign_in(address: String, from_elsewhere: bool) -> Response {
    if from_elsewhere {
        let page = Elsewhere { shell: Shell::bare(), address };
        return render_as(StatusCode::OK, &page).unwrap_or_else(IntoResponse::into_response);
    }
    let next = match address.as_str() {
        "/" => String::new(),
        address => format!("?next={}", utf8_percent_encode(address, NON_ALPHANUMERIC)),
    };
    Redirect::to(&format!("/login{next}")).into_response()
}

fn page(problem: &ProblemBody) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let page = Refusal { shell: Shell::bare(), problem };
    render_as(status, &page).unwrap_or_else(|_| status.into_response())
}

/// For addresses of the page that lead nowhere.
pub(crate) fn not_found() -> Problem {
    Problem::new(&kind::ROUTE_NOT_FOUND, "There is nothing at this address.", "Go to / for the overview.")
}
