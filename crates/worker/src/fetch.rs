//! A file at an address that a Dockerfile names (ADD). In: the address. Out: its bytes and its time. No
//! credential is sent, not one in the address either; redirects are followed here, each under the policy.

use std::time::Duration;

use bytes::Bytes;
use egress::Client;
use futures_util::stream::{self, BoxStream, StreamExt};
use model::Failure;
use reqwest::header::{LAST_MODIFIED, LOCATION};
use reqwest::{Method, Request, Response, StatusCode, Url};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Largest file, in bytes.
const MAX_FILE: u64 = 8 << 30;
/// How long a host may think before it answers, and between two parts of its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// As Go's client, which BuildKit uses.
const MAX_REDIRECTS: usize = 10;

/// A file on its way.
pub(crate) struct Fetched {
    /// Ends with a failure where it breaks off.
    pub(crate) content: BoxStream<'static, Result<Bytes, Failure>>,
    /// In seconds since 1970.
    pub(crate) last_modified: Option<i64>,
}

/// Gets the file. A stranger names it: of what an administrator configured nothing is opened, by no redirect either.
///
/// # Errors
/// `url_invalid`, `address_denied`, `url_unreachable`, `url_refused`, `file_too_large`.
pub(crate) async fn get(http: &Client, url: &str) -> Result<Fetched, Failure> {
    let http = http.for_strangers();
    let mut url = Url::parse(url).map_err(|_| invalid(url, "it is no address"))?;
    for _ in 0..=MAX_REDIRECTS {
        check(&url)?;
        let sent = tokio::time::timeout(PATIENCE, http.execute(Request::new(Method::GET, url.clone()))).await;
        let response = sent
            .map_err(|_| unreachable_file(&url, &"it did not answer in time"))?
            .map_err(|error| not_sent(&url, &error))?;
        if !is_elsewhere(response.status()) {
            return accept(response, url);
        }
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let target = location.and_then(|location| url.join(location).ok());
        url = target.ok_or_else(|| refused(&url, "redirects to nowhere"))?;
    }
    Err(refused(&url, "redirects without end"))
}

fn is_elsewhere(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn check(url: &Url) -> Result<(), Failure> {
    match url.scheme() {
        "http" | "https" if url.username().is_empty() && url.password().is_none() => Ok(()),
        "http" | "https" => {
            Err(invalid(&shown(url), "it holds a user or password, and no credential is sent"))
        }
        _ => Err(invalid(&shown(url), "only http and https are fetched")),
    }
}

fn accept(response: Response, url: Url) -> Result<Fetched, Failure> {
    let status = response.status();
    if !status.is_success() {
        let again = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
        return Err(match again {
            true => unreachable_file(&url, &format_args!("it answers {status}")),
            false => refused(&url, &format!("answers {status}")),
        });
    }
    let header = response.headers().get(LAST_MODIFIED).and_then(|value| value.to_str().ok());
    let last_modified = header.and_then(seconds);
    if response.content_length().is_some_and(|length| length > MAX_FILE) {
        return Err(too_large(&url));
    }
    Ok(Fetched { content: body(response, url, MAX_FILE), last_modified })
}

/// `Wed, 21 Oct 2015 07:28:00 GMT` (RFC 9110, section 5.6.7).
fn seconds(date: &str) -> Option<i64> {
    OffsetDateTime::parse(date, &Rfc2822).ok().map(OffsetDateTime::unix_timestamp)
}

fn body(response: Response, url: Url, limit: u64) -> BoxStream<'static, Result<Bytes, Failure>> {
    let parts = response.bytes_stream().boxed();
    stream::try_unfold((parts, 0_u64, url), move |(mut parts, so_far, url)| async move {
        let part = tokio::time::timeout(PATIENCE, parts.next()).await;
        let Some(part) = part.map_err(|_| unreachable_file(&url, &"nothing more came"))? else {
            return Ok(None);
        };
        let part = part.map_err(|error| unreachable_file(&url, &egress::innermost(&error)))?;
        let so_far = so_far + part.len() as u64;
        if so_far > limit {
            return Err(too_large(&url));
        }
        Ok(Some((part, (parts, so_far, url))))
    })
    .boxed()
}

/// Without what may be a secret: user, password and query.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

fn not_sent(url: &Url, error: &egress::Error) -> Failure {
    error.denied().map_or_else(|| unreachable_file(url, error), egress::Denied::failure)
}

fn invalid(url: &str, why: &str) -> Failure {
    Failure::user(
        "url_invalid",
        format!("`{url}` can't be fetched: {why}."),
        "Write an http or https address.",
    )
}

fn refused(url: &Url, what: &str) -> Failure {
    Failure::user(
        "url_refused",
        format!("{} {what}.", shown(url)),
        "See that `curl -fL` of this address works without a credential.",
    )
}

fn unreachable_file(url: &Url, why: &dyn std::fmt::Display) -> Failure {
    Failure::service(
        "url_unreachable",
        format!("{} can't be fetched: {why}.", shown(url)),
        "See that the host's name is spelt right, and that this worker may reach it.",
    )
}

fn too_large(url: &Url) -> Failure {
    Failure::limits(
        "file_too_large",
        format!("{} is larger than {} GiB.", shown(url), MAX_FILE >> 30),
        "Fetch it in a RUN, piece by piece.",
    )
}

#[cfg(test)]
mod tests;
