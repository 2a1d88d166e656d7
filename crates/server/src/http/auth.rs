//! Who calls. Everything but the routes of [`router`](crate::router) that say so needs an access token: in
//! `Authorization: Bearer`, or in the page's cookie. A missing or wrong one is 401; a role that does not
//! suffice, or another registry's token, is 403.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header, request::Parts};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use database::TokenRow;
use model::Role;
use vault::Token;

use super::problem::Problem;
use super::{host, kind};
use crate::App;

/// The cookie that the page's form sets.
pub(crate) const COOKIE: &str = "slipway_token";

/// Whose request it is.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Arc<TokenRow>);

impl Caller {
    pub(crate) fn id(&self) -> model::TokenId {
        self.0.id
    }

    /// The token's name.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn role(&self) -> Role {
        self.0.role
    }

    /// The one registry it is for.
    pub(crate) fn registry(&self) -> Option<&str> {
        self.0.registry.as_deref()
    }

    /// Whether it may see that registry.
    pub(crate) fn sees(&self, registry: &str) -> bool {
        self.registry().is_none_or(|own| own == registry)
    }

    /// Whether the token is there still and has not expired: for answers that take as long as a run. Where the
    /// database does not say, it is.
    pub(crate) async fn is_still_good(&self, app: &App) -> bool {
        app.database.get_token(self.id()).await.map_or(true, |row| row.is_some_and(|row| !row.is_expired))
    }

    /// Refuses a role below `role`, and another registry than the token's; without one, a token that is not
    /// for all of them.
    pub(crate) fn check(&self, role: Role, registry: Option<&str>) -> Result<(), Problem> {
        self.check_role(role)?;
        match (self.registry(), registry) {
            (Some(own), Some(asked)) if own != asked => Err(Problem::new(
                &kind::OTHER_REGISTRY,
                format!("The token `{}` is for the registry `{own}` only.", self.name()),
                "Use a token of that registry, or one for every registry.",
            )),
            (Some(own), None) => Err(Problem::new(
                &kind::OTHER_REGISTRY,
                format!(
                    "The token `{}` is for the registry `{own}` only; this concerns all of them.",
                    self.name()
                ),
                "Use an administrator's token for every registry.",
            )),
            _ => Ok(()),
        }
    }

    fn check_role(&self, role: Role) -> Result<(), Problem> {
        if self.role() >= role {
            return Ok(());
        }
        Err(Problem::new(
            &kind::ROLE_TOO_SMALL,
            format!("The token `{}` is a {}'s; this needs a {role}'s.", self.name(), self.role()),
            "An administrator makes tokens: `slipway token create`.",
        ))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(unauthenticated)
    }
}

/// Lets a caller with at least this role through, to the registry of the path if it names one.
pub(crate) async fn require(
    State((app, role)): State<(App, Role)>,
    path: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let registry = path.iter().find(|(name, _)| *name == "registry").map(|(_, value)| value.to_owned());
    match authorize(&app, role, registry.as_deref(), request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Lets only a token for every registry through.
pub(crate) async fn require_all_registries(caller: Caller, request: Request, next: Next) -> Response {
    match caller.check(caller.role(), None) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn authorize(
    app: &App,
    role: Role,
    registry: Option<&str>,
    mut request: Request,
) -> Result<Request, Problem> {
    let token = sent_token(&request)?.to_owned();
    let caller = caller_of(app, &token).await?;
    app.limits.of_token(caller.id())?;
    tracing::Span::current().record("token", caller.name());
    caller.check_role(role)?;
    if let Some(registry) = registry {
        caller.check(role, Some(registry))?;
    }
    request.extensions_mut().insert(caller);
    Ok(request)
}

/// The token of a request.
///
/// # Errors
/// There is none, or another site's page has the browser send it.
fn sent_token(request: &Request) -> Result<&str, Problem> {
    let headers = request.headers();
    if let Some(token) = bearer(headers) {
        return Ok(token);
    }
    let token = cookie(headers).ok_or_else(unauthenticated)?;
    if !request.method().is_safe() {
        check_origin(request.uri(), headers)?;
    }
    Ok(token)
}

/// Whose token that is.
///
/// # Errors
/// It is unknown or has expired.
pub(crate) async fn caller_of(app: &App, text: &str) -> Result<Caller, Problem> {
    let token = app.database.use_token(&Token::hash(text)).await?.ok_or_else(wrong)?;
    if token.is_expired {
        return Err(refused(format!("The token `{}` has expired.", token.name)));
    }
    Ok(Caller(Arc::new(token)))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// Refuses what a page of ours did not send.
///
/// # Errors
/// `origin_refused`
pub(crate) fn check_origin(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    if same_origin(uri, headers) {
        return Ok(());
    }
    Err(Problem::new(
        &kind::ORIGIN_REFUSED,
        "A page of another site made the request.",
        "Send the token in the header Authorization, or use the service's own page.",
    ))
}

/// What a browser sends along with a form or a script of ours, and can't be made to leave out.
fn same_origin(uri: &Uri, headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
    let asked = host::asked(uri, headers);
    origin.split_once("://").is_some_and(|(_, authority)| !asked.is_empty() && authority == asked)
}

fn refused(detail: impl Into<String>) -> Problem {
    let hint =
        "Send `Authorization: Bearer sw_…`; an administrator makes tokens with `slipway token create`.";
    Problem::new(&kind::UNAUTHENTICATED, detail, hint)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"slipway\""))
}

fn unauthenticated() -> Problem {
    refused("The request carries no access token.")
}

fn wrong() -> Problem {
    refused("The access token is not known here; it may have been deleted.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (name.parse::<header::HeaderName>().expect("a name"), HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn a_token_is_found_where_it_may_be() {
        assert_eq!(bearer(&headers(&[("authorization", "bearer sw_x")])), Some("sw_x"));
        assert_eq!(bearer(&headers(&[("authorization", "Basic sw_x")])), None);
        assert_eq!(cookie(&headers(&[("cookie", "a=b; slipway_token=sw_x")])), Some("sw_x"));
        assert_eq!(cookie(&headers(&[("cookie", "xslipway_token=sw_x")])), None);
    }

    #[test]
    fn only_our_own_page_changes_things_by_cookie() {
        let ours = headers(&[("origin", "https://build.example"), ("host", "build.example")]);
        let path = Uri::from_static("/runs");
        assert!(same_origin(&path, &ours));
        // HTTP/2 has no `Host`.
        let whole = Uri::from_static("https://build.example/runs");
        assert!(same_origin(&whole, &headers(&[("origin", "https://build.example")])));
        assert!(!same_origin(&whole, &headers(&[("origin", "https://evil.example")])));
        for other in [
            headers(&[("host", "build.example")]),
            headers(&[("origin", "null"), ("host", "build.example")]),
            headers(&[("origin", "https://evil.example"), ("host", "build.example")]),
            headers(&[("origin", "https://evil.build.example"), ("host", "build.example")]),
        ] {
            assert!(!same_origin(&path, &other), "{other:?}");
        }
    }
}
