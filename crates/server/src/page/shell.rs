//! What every page has around its content: who is signed in, where the reader is, and the headers that keep
//! strangers' text from becoming script.

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use model::Role;
use time::OffsetDateTime;

use super::{assets, html};
use crate::App;
use crate::http::auth::Caller;
use crate::http::kind;
use crate::http::problem::Problem;

/// Script, style and requests of our own; nothing inline, nothing from elsewhere, in nobody's frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// What the templates' frame shows.
#[derive(Debug)]
pub(crate) struct Shell {
    /// Of the link that is marked.
    pub(crate) place: &'static str,
    /// Absent on the page to sign in.
    pub(crate) token: Option<Caller>,
    /// The database's clock; absent where it was not asked.
    pub(crate) now: Option<OffsetDateTime>,
}

impl Shell {
    /// For whoever is signed in.
    ///
    /// # Errors
    /// The database is away.
    pub(crate) async fn new(app: &App, caller: Caller, place: &'static str) -> Result<Self, Problem> {
        let now = app.database.now().await?;
        Ok(Self { place, token: Some(caller), now: Some(now) })
    }

    /// For nobody in particular.
    pub(crate) fn bare() -> Self {
        Self { place: "", token: None, now: None }
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.now.unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    pub(crate) fn now_text(&self) -> String {
        self.now.map(html::rfc3339).unwrap_or_default()
    }

    pub(crate) fn may(&self, role: Role) -> bool {
        self.token.as_ref().is_some_and(|caller| caller.role() >= role)
    }

    pub(crate) fn submits(&self) -> bool {
        self.may(Role::Submitter)
    }

    pub(crate) fn contributes(&self) -> bool {
        self.may(Role::Contributor)
    }

    pub(crate) fn administers(&self) -> bool {
        self.may(Role::Administrator)
    }

    /// With a token for every registry.
    pub(crate) fn administers_all(&self) -> bool {
        self.administers() && self.token.as_ref().is_some_and(|caller| caller.registry().is_none())
    }

    /// The links of the frame: where they lead, what they are called.
    pub(crate) fn places(&self) -> Vec<(&'static str, &'static str)> {
        let mut places = vec![
            ("/", "Overview"),
            ("/runs", "Runs"),
            ("/tasks", "Tasks"),
            ("/deliveries", "Deliveries"),
            ("/workers", "Workers"),
            ("/registries", "Registries"),
        ];
        if self.administers() {
            places.push(("/tokens", "Tokens"));
        }
        places
    }

    pub(crate) fn is_at(&self, address: &str) -> bool {
        self.place == address
    }

    pub(crate) fn style(&self) -> &'static str {
        &assets::STYLE.address
    }

    pub(crate) fn script(&self) -> &'static str {
        &assets::SCRIPT.address
    }
}

/// A template as an answer.
pub(crate) fn render(template: &impl Template) -> Result<Response, Problem> {
    render_as(StatusCode::OK, template)
}

/// A template as an answer with a status.
pub(crate) fn render_as(status: StatusCode, template: &impl Template) -> Result<Response, Problem> {
    let text = template.render().map_err(|error| {
        tracing::error!(%error, "a page could not be written");
        Problem::new(&kind::INTERNAL, "The page could not be written.", "The service's log says why.")
    })?;
    Ok((status, Html(text)).into_response())
}

/// The headers of every page.
pub(crate) async fn protect(request: Request, next: Next) -> Response {
    guarded(next.run(request).await)
}

/// An answer with the headers of every page, but for those that it has already.
pub(crate) fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // `no-referrer` would also empty the Origin of our own forms.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        // What was seen is not seen again after signing out.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ] {
        headers.entry(name).or_insert(value);
    }
    response
}
