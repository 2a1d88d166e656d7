//! The HTTP client: one method a question, answers as the server's own types, errors as sentences. The
//! questions are in `runs` and `nouns`, what they have in common is here.

mod nouns;
mod runs;

pub(crate) use nouns::Noun;

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use server::api::ProblemBody;

use super::error::ClientError;

const CONNECT: Duration = Duration::from_secs(5);
/// For an answer that is not a stream.
const ANSWER: Duration = Duration::from_secs(30);
/// How often a request that may pass is made.
const TRIES: u32 = 5;

/// A running service and one of its registries.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    client: reqwest::Client,
    base: Url,
    server: String,
    registry: String,
}

impl Service {
    pub(crate) fn new(server: &str, registry: &str, token: Option<&str>) -> Result<Self, ClientError> {
        let base: Option<Url> =
            server.parse().ok().filter(|url: &Url| matches!(url.scheme(), "http" | "https"));
        let Some(base) = base else {
            return Err(ClientError::usage(
                format!("`{server}` is not the address of a service."),
                "Write it as http://127.0.0.1:7420.",
            ));
        };
        // A proxy can't reach the loopback address that the service listens on.
        let client =
            reqwest::Client::builder().no_proxy().connect_timeout(CONNECT).default_headers(headers(token)?);
        let client =
            client.user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION"))).build().map_err(|error| {
                ClientError::Unreachable { server: server.to_owned(), cause: sentence(&error) }
            })?;
        Ok(Self { client, base, server: server.to_owned(), registry: registry.to_owned() })
    }

    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    pub(crate) fn registry(&self) -> &str {
        &self.registry
    }

    /// Of this registry; for answers that are no streams.
    fn quick(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.request(method, path).timeout(ANSWER)
    }

    /// Of this registry.
    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.whole(method, &[&["registries", &self.registry], path].concat())
    }

    /// Of the whole service.
    fn whole(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        self.client.request(method, url)
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let response = self.send(request).await?;
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| self.not_slipway(&error.to_string()))
    }

    /// The answer, if it is none of the errors.
    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.unwrap_or_default();
        Err(match serde_json::from_slice::<ProblemBody>(&body) {
            Ok(problem) => ClientError::Problem(Box::new(problem)),
            Err(_) => self.not_slipway(&format!("it answered {}", describe(status))),
        })
    }

    /// Makes a request that may be repeated until it is answered for good.
    async fn patiently<T, F>(&self, mut ask: impl FnMut() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut pause = Duration::from_millis(200);
        for _ in 1..TRIES {
            match ask().await {
                Err(error) if error.may_pass() => {}
                answer => return answer,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        ask().await
    }

    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        ClientError::Unreachable { server: self.server.clone(), cause: sentence(error) }
    }

    fn not_slipway(&self, what: &str) -> ClientError {
        ClientError::NotSlipway { server: self.server.clone(), what: what.to_owned() }
    }
}

/// The token, with every request.
fn headers(token: Option<&str>) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| {
            ClientError::usage("The access token is no token.", "It is `sw_` and 43 characters.")
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn describe(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default())
}

/// The innermost cause: the outer ones only repeat the address.
fn sentence(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
