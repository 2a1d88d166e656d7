//! Under which names the service is called. On loopback only loopback's own: so a web page can't reach it
//! through a name of its own (DNS rebinding) or by a form (cross-site request). Elsewhere TLS proves the
//! name; a page of another site is refused all the same.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header, uri::Authority};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::kind;
use super::problem::Problem;
use crate::App;

/// Refuses other names in `Host` (or `:authority`) and in `Origin`.
pub(crate) async fn check_names(State(app): State<App>, request: Request, next: Next) -> Response {
    let config = app.config();
    let anywhere = config.behind_proxy || config.tls.is_some();
    match check(request.uri(), request.headers(), anywhere) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// The name that a request was made to, with its port: `:authority` of HTTP/2, or `Host`.
pub(crate) fn asked<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
    }
}

fn check(uri: &Uri, headers: &HeaderMap, anywhere: bool) -> Result<(), Problem> {
    let host = asked(uri, headers);
    if !anywhere && !is_loopback_authority(host) {
        return Err(Problem::new(
            &kind::HOST_REFUSED,
            format!("The request was made to `{}`.", host.chars().take(100).collect::<String>()),
            "A service that listens on loopback answers only to localhost, 127.0.0.1 and [::1].",
        ));
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let is_ours =
        |authority: &str| if anywhere { authority == host } else { is_loopback_authority(authority) };
    if authority.is_some_and(is_ours) {
        return Ok(());
    }
    Err(Problem::new(
        &kind::ORIGIN_REFUSED,
        format!("A page of `{}` made the request.", origin.chars().take(100).collect::<String>()),
        "Call the service from its own address or from a program.",
    ))
}

/// `localhost`, `127.…` or `[::1]`, with or without a port.
fn is_loopback_authority(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_taken() {
        for good in ["localhost", "LOCALHOST:7420", "127.0.0.1:7420", "127.8.8.8", "[::1]:7420", "[::1]"] {
            assert!(is_loopback_authority(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "u@localhost",
            "0.0.0.0",
            "[::]",
        ] {
            assert!(!is_loopback_authority(bad), "{bad}");
        }
    }
}
