//! The two requests of git's smart http protocol that a cell may cause (gitprotocol-http(5)), and no
//! others: the worker writes address, method and headers, the cell only the body. In: the run's
//! declared address, and its credential. Out: the answer's bytes. Deliberately absent: receive-pack, and
//! protocol version 2, which libgit2 does not speak. The credential is sent where scheme, host, port and
//! repository are the declared ones, and nowhere else.
//!
//! The client must not follow redirects itself: they are followed here, within one origin.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use broker::GitSecret;
use bytes::Bytes;
use egress::Client;
use futures_util::stream::{self, BoxStream, StreamExt};
use model::Failure;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, PRAGMA, USER_AGENT};
use reqwest::{Method, Request, Response, StatusCode, Url};

/// An answer's body. Ends with a failure where it breaks off.
pub(crate) type Answered = BoxStream<'static, Result<Bytes, Failure>>;

/// Largest ref advertisement, in bytes.
pub(crate) const MAX_REFS: u64 = 256 << 20;
/// Largest pack, in bytes.
pub(crate) const MAX_PACK: u64 = 32 << 30;
/// How long a host may think before it answers, and between two parts of its answer. git's own
/// server says something every five seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 5;
/// Some hosts serve git only to what calls itself so.
const AGENT: &str = concat!("git/2.0 (slipway ", env!("CARGO_PKG_VERSION"), ")");

/// Hosts that know tokens by themselves take any user's name with one.
pub(crate) const DEFAULT_USER: &str = "x-access-token";

/// One of the two requests.
struct Service {
    /// Below the repository's address.
    path: &'static str,
    query: Option<&'static str>,
    /// Media type of a git server's answer.
    answer: &'static str,
    limit: u64,
}

const REFS: Service = Service {
    path: "/info/refs",
    query: Some("service=git-upload-pack"),
    answer: "application/x-git-upload-pack-advertisement",
    limit: MAX_REFS,
};

const UPLOAD_PACK: Service = Service {
    path: "/git-upload-pack",
    query: None,
    answer: "application/x-git-upload-pack-result",
    limit: MAX_PACK,
};

/// The ref advertisement of `repository`.
///
/// # Errors
/// `repository_not_found_or_private`, `repository_unreachable`, `repository_moved`,
/// `git_credential_refused`, `not_a_git_repository`, `address_denied`.
pub(crate) async fn refs(
    http: &Client,
    repository: &str,
    credential: Option<&GitSecret>,
) -> Result<Answered, Failure> {
    let mut request = Request::new(Method::GET, REFS.address(repository)?);
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("*/*"));
    request.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    ask(http, request, &REFS, credential).await
}

/// What `repository` answers to a request for a pack.
///
/// # Errors
/// As [`refs`].
pub(crate) async fn upload_pack(
    http: &Client,
    repository: &str,
    credential: Option<&GitSecret>,
    body: impl Into<Bytes>,
) -> Result<Answered, Failure> {
    let mut request = Request::new(Method::POST, UPLOAD_PACK.address(repository)?);
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-git-upload-pack-request"));
    headers.insert(ACCEPT, HeaderValue::from_static(UPLOAD_PACK.answer));
    *request.body_mut() = Some(body.into().into());
    ask(http, request, &UPLOAD_PACK, credential).await
}

impl Service {
    /// Below the declared address; a user, password, query or fragment in it is never sent.
    fn address(&self, repository: &str) -> Result<Url, Failure> {
        let mut url = Url::parse(repository).map_err(|_| not_git(repository, "it is no address"))?;
        let path = format!("{}{}", url.path().trim_end_matches('/'), self.path);
        url.set_path(&path);
        url.set_query(self.query);
        url.set_fragment(None);
        if url.set_username("").and_then(|()| url.set_password(None)).is_err() {
            return Err(not_git(repository, "it is no http address"));
        }
        Ok(url)
    }

    /// Whether an address is this service of some repository, and no other page.
    fn is_at(&self, url: &Url) -> bool {
        url.path().ends_with(self.path) && url.query() == self.query
    }
}

async fn ask(
    http: &Client,
    mut request: Request,
    service: &Service,
    credential: Option<&GitSecret>,
) -> Result<Answered, Failure> {
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
    let (origin, declared) = (request.url().origin(), request.url().path().to_owned());
    let header = credential.map(|credential| basic(request.url(), credential)).transpose()?;
    for _ in 0..=MAX_REDIRECTS {
        let known = header.as_ref().filter(|_| request.url().path() == declared).cloned();
        match &known {
            Some(header) => drop(request.headers_mut().insert(AUTHORIZATION, header.clone())),
            None => drop(request.headers_mut().remove(AUTHORIZATION)),
        }
        let attempt = request.try_clone().ok_or_else(|| broke_off(request.url(), &"its request is gone"))?;
        let sent = tokio::time::timeout(PATIENCE, http.execute(attempt)).await;
        let response = sent
            .map_err(|_| unreachable_host(request.url(), &"it did not answer in time"))?
            .map_err(|error| not_sent(request.url(), &error))?;
        if !response.status().is_redirection() {
            return accept(response, request.url(), service, known.is_some());
        }
        let target = redirect_target(&response, request.url())?;
        if target.origin() != origin {
            return Err(moved(request.url(), &target));
        }
        if !service.is_at(&target) {
            // A page to log in on, most often.
            return Err(not_found(request.url(), "leads to another page"));
        }
        *request.url_mut() = target;
    }
    Err(not_git(request.url(), "it redirects without end"))
}

fn redirect_target(response: &Response, from: &Url) -> Result<Url, Failure> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    location
        .and_then(|location| from.join(location).ok())
        .ok_or_else(|| not_git(from, "it redirects to nowhere"))
}

fn basic(url: &Url, credential: &GitSecret) -> Result<HeaderValue, Failure> {
    let user = credential.username.as_deref().unwrap_or(DEFAULT_USER);
    let pair =
        STANDARD.encode(format!("{user}:{}", credential.secret.expose().trim_end_matches(['\n', '\r'])));
    let mut header = HeaderValue::from_str(&format!("Basic {pair}")).map_err(|_| refused_credential(url))?;
    header.set_sensitive(true);
    Ok(header)
}

fn accept(response: Response, url: &Url, service: &Service, known: bool) -> Result<Answered, Failure> {
    let status = response.status();
    match status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if known => return Err(refused_credential(url)),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => {
            return Err(not_found(url, &format!("answers {}", status.as_u16())));
        }
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(unreachable_host(url, &format_args!("it answers {status}")));
        }
        _ => return Err(not_git(url, &format!("it answers {status}"))),
    }
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if media_type.split(';').next().map(str::trim) != Some(service.answer) {
        return Err(not_git(url, &format!("it answers with `{media_type}`")));
    }
    Ok(body(response, url.clone(), service.limit))
}

fn body(response: Response, url: Url, limit: u64) -> Answered {
    let parts = response.bytes_stream().boxed();
    stream::try_unfold((parts, 0_u64, url), move |(mut parts, so_far, url)| async move {
        let part = tokio::time::timeout(PATIENCE, parts.next()).await;
        let Some(part) = part.map_err(|_| broke_off(&url, &"nothing more came"))? else { return Ok(None) };
        let part = part.map_err(|error| broke_off(&url, &egress::innermost(&error)))?;
        let so_far = so_far + part.len() as u64;
        if so_far > limit {
            return Err(too_large(&url, limit));
        }
        Ok(Some((part, (parts, so_far, url))))
    })
    .boxed()
}

fn not_sent(url: &Url, error: &egress::Error) -> Failure {
    error.denied().map_or_else(|| unreachable_host(url, error), egress::Denied::failure)
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The repository that a request's address belongs to, as a person wrote it.
fn repository(url: &Url) -> String {
    let path = url.path();
    let path = path.strip_suffix(REFS.path).or_else(|| path.strip_suffix(UPLOAD_PACK.path)).unwrap_or(path);
    format!("{}://{}{path}", url.scheme(), host(url))
}

fn not_found(url: &Url, what: &str) -> Failure {
    Failure::user(
        "repository_not_found_or_private",
        format!("{} {what}: there is no such repository, or it is private.", repository(url)),
        "See that `git ls-remote` of this address works; for a private one, name a credential of kind `git`.",
    )
}

fn refused_credential(url: &Url) -> Failure {
    Failure::user(
        "git_credential_refused",
        format!("{} refuses the source's credential.", repository(url)),
        "See that the token has not expired and may read this repository; then `slipway credential set`.",
    )
}

fn unreachable_host(url: &Url, why: &dyn std::fmt::Display) -> Failure {
    Failure::service(
        "repository_unreachable",
        format!("The git host {} can't be reached: {why}.", host(url)),
        "See that the host's name is spelt right, and that this worker may reach it.",
    )
}

fn broke_off(url: &Url, why: &dyn std::fmt::Display) -> Failure {
    Failure::service(
        "repository_unreachable",
        format!("The git host {} broke off: {why}.", host(url)),
        "It is tried again while the run has attempts left; a proxy between may cut what takes long.",
    )
}

fn moved(from: &Url, to: &Url) -> Failure {
    Failure::user(
        "repository_moved",
        format!("{} redirects to another origin, which is not followed.", repository(from)),
        format!("If that is right, write its address as {}.", repository(to)),
    )
}

fn not_git(url: impl std::fmt::Display, why: &str) -> Failure {
    Failure::user(
        "not_a_git_repository",
        format!("{url} is not a git repository: {why}."),
        "Write the address that `git clone` takes. Hosts that serve only plain files (\"dumb http\") are not taken.",
    )
}

fn too_large(url: &Url, limit: u64) -> Failure {
    Failure::limits(
        "source_too_large",
        format!("{} sends more than {} MiB.", repository(url), limit >> 20),
        "Name a branch or tag, which is fetched without its history.",
    )
}

#[cfg(test)]
mod tests;
