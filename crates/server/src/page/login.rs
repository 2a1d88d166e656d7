//! `/login`: a token for a cookie. The cookie holds the token itself, which the server can end at any time.

use std::net::{IpAddr, SocketAddr};

use askama::Template;
use axum::Extension;
use axum::extract::{Form, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::shell::{Shell, render, render_as};
use crate::App;
use crate::http::auth::{COOKIE, caller_of, check_origin};
use crate::http::kind;
use crate::http::problem::{Complete, Problem};
use crate::serve::Peer;

/// A browser keeps the cookie for a month; the token's own end may come before.
const MONTH: u32 = 2_592_000;

#[derive(Template)]
#[template(path = "login.html")]
struct Page {
    shell: Shell,
    next: String,
    /// What was wrong with the last try.
    error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Next {
    next: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct SignIn {
    token: String,
    #[serde(default)]
    next: String,
}

/// The form.
pub(crate) async fn form(Query(Next { next }): Query<Next>) -> Result<Response, Problem> {
    render(&Page { shell: Shell::bare(), next: own(next.as_deref().unwrap_or_default()), error: None })
}

/// What the form sends. A wrong token gets the form again, and says so.
pub(crate) async fn sign_in(
    State(app): State<App>,
    peer: Option<Extension<Peer>>,
    uri: Uri,
    headers: HeaderMap,
    Form(sent): Form<SignIn>,
) -> Result<Response, Problem> {
    check_origin(&uri, &headers)?;
    if let Some(Extension(Peer(address))) = peer {
        let forwarded = forwarded(&headers).filter(|_| app.config().behind_proxy);
        app.limits.of_login(forwarded.unwrap_or(address))?;
    }
    let (token, next) = (sent.token.trim(), own(&sent.next));
    match caller_of(&app, token).await {
        Ok(caller) => {
            tracing::info!(token = caller.name(), "signed in at the page");
            let mut response = Redirect::to(&next).into_response();
            if let Some(cookie) = cookie(&app, token, MONTH) {
                response.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            Ok(response)
        }
        Err(problem) if problem.kind() == &kind::UNAUTHENTICATED => {
            let page = Page { shell: Shell::bare(), next, error: Some(problem.detail().to_owned()) };
            let mut response = render_as(StatusCode::UNAUTHORIZED, &page)?;
            response.extensions_mut().insert(Complete);
            Ok(response)
        }
        Err(problem) => Err(problem),
    }
}

/// Whom the proxy in front of us heard: the last address, which it wrote itself. Those before it are whatever somebody
/// sent, and would be another one with each try.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    let address = last.rsplit(',').next()?.trim();
    let with_port = || address.parse::<SocketAddr>().ok().map(|address| address.ip());
    address.trim_matches(['[', ']']).parse().ok().or_else(with_port)
}

/// Forgets the cookie. The token stays good: `slipway token delete` ends it.
pub(crate) async fn sign_out(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    check_origin(request.uri(), request.headers())?;
    let mut response = Redirect::to("/login").into_response();
    if let Some(cookie) = cookie(&app, "", 0) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

fn cookie(app: &App, token: &str, seconds: u32) -> Option<HeaderValue> {
    let secure = if app.config().tls.is_some() || app.config().behind_proxy { "; Secure" } else { "" };
    let text = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).ok()
}

/// An address of ours, whatever was asked for: a link to the form must not lead to another site.
fn own(next: &str) -> String {
    let is_path = next.starts_with('/') && !next[1..].starts_with(['/', '\\']);
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_path && is_plain { next.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_the_proxy_wrote_is_the_last() {
        let read = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().expect("a header"));
            }
            forwarded(&headers).map(|address| address.to_string())
        };
        for lines in
            [&["203.0.113.7"][..], &["198.51.100.1, 203.0.113.7"], &["198.51.100.1", "203.0.113.7:4711"]]
        {
            assert_eq!(read(lines).as_deref(), Some("203.0.113.7"), "{lines:?}");
        }
        for line in ["2001:db8::7", "[2001:db8::7]", "x, [2001:db8::7]:443"] {
            assert_eq!(read(&[line]).as_deref(), Some("2001:db8::7"), "{line}");
        }
        for lines in [&[][..], &["unknown"], &["203.0.113.7,"]] {
            assert_eq!(read(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn the_form_leads_to_pages_of_ours_only() {
        for ours in ["/", "/runs?status=failed", "/registries/local/runs/x?attempt=1"] {
            assert_eq!(own(ours), ours);
        }
        for other in
            ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb: c", "javascript:x"]
        {
            assert_eq!(own(other), "/", "{other:?}");
        }
    }
}
