//! Who may call: only requests that name this service as loopback, so that a web page can't reach it
//! through a name of its own (DNS rebinding) or by a form (cross-site request).

use axum::extract::Request;
use axum::http::{HeaderMap, Uri, header, uri::Authority};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::kind;
use super::problem::Problem;

/// Refuses other names in `Host` (or `:authority`) and in `Origin`.
pub(crate) async fn only_loopback_names(request: Request, next: Next) -> Response {
    match check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let host = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
    };
    if !is_loopback_authority(host) {
        return Err(Problem::new(
            &kind::HOST_REFUSED,
            format!("The request was made to `{}`.", host.chars().take(100).collect::<String>()),
            "Until access tokens exist the service answers only to localhost, 127.0.0.1 and [::1].",
        ));
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    if authority.is_some_and(is_loopback_authority) {
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
