//! Requests to registries and their token servers. In: a request. Out: its answer, whole. No redirect is
//! followed (a credential would go along), and nothing of a request is logged. A registry and the token server that it
//! names are asked under the policy; a cloud's own identity endpoints are not: they are link-local by nature. Absent:
//! what answers mean.

use std::time::Duration;

use egress::CaBundle;
use mask::Mask;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, Url};

use crate::error::{innermost, short};
use crate::{Error, Options};

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);
/// Largest answer, in bytes.
const LIMIT: usize = 1 << 20;
/// How often a busy server is asked.
const TRIES: u32 = 3;
/// The longest pause that a server may ask for.
const PAUSE: Duration = Duration::from_secs(10);
const AGENT: &str = concat!("slipway/", env!("CARGO_PKG_VERSION"));

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Whether the environment's proxies (`HTTPS_PROXY`, …) are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proxies {
    AsSet,
    /// What is beside us answers with our identity: nobody stands between.
    Never,
}

/// A client for a registry at `base`, whatever its address, and for the token server that it names.
///
/// # Errors
/// One of the options' certificate authorities is none.
pub(crate) fn of_registry(host: &str, base: &Url, options: &Options) -> Result<egress::Client, Error> {
    let refused = |why: String| Error::IdentityRefused {
        host: host.to_owned(),
        said: format!("a certificate authority in the configuration can't be read: {why}"),
    };
    let bundle = (!options.roots.is_empty()).then(|| CaBundle::parse(options.roots.join("\n").into_bytes()));
    let bundle = bundle.transpose().map_err(|error| refused(error.to_string()))?;
    let limits = egress::Options { connect_timeout: CONNECT, read_timeout: ANSWER, ca_bundle: bundle };
    let unreachable = |cause: String| Error::Unreachable { host: host.to_owned(), cause };
    let origin = base.origin().ascii_serialization().parse::<egress::Origin>();
    let origin = origin.map_err(|_| unreachable("it is no address".to_owned()))?;
    let policy = options.policy.with_origin(origin.clone()).for_strangers_at(&origin);
    egress::Client::new(&limits, policy).map_err(|error| unreachable(error.to_string()))
}

/// A client for Entra, or for what is beside us.
///
/// # Errors
/// One of the options' certificate authorities is none.
pub(crate) fn client(host: &str, options: &Options, proxies: Proxies) -> Result<Client, Error> {
    let refused = |error: reqwest::Error| Error::IdentityRefused {
        host: host.to_owned(),
        said: format!("a certificate authority in the configuration can't be read: {}", innermost(&error)),
    };
    let mut roots = Vec::new();
    for pem in &options.roots {
        roots.extend(Certificate::from_pem_bundle(pem.as_bytes()).map_err(refused)?);
    }
    let client = Client::builder().connect_timeout(CONNECT).timeout(ANSWER).redirect(Policy::none());
    let client = if proxies == Proxies::Never { client.no_proxy() } else { client };
    client.user_agent(AGENT).tls_certs_merge(roots).build().map_err(refused)
}

/// Sends a request, and again while the server is busy (429, 5xx).
///
/// # Errors
/// The server is unreachable, stays busy, or answers too much.
pub(crate) async fn send(
    http: &egress::Client,
    host: &str,
    request: RequestBuilder,
) -> Result<Answer, Error> {
    let unreachable = |cause: String| Error::Unreachable { host: host.to_owned(), cause };
    for tried in 1.. {
        let again = request.try_clone().ok_or_else(|| unreachable("it can't be asked twice".to_owned()))?;
        let response = http.send(again.timeout(ANSWER)).await.map_err(|error| match error.denied() {
            Some(denied) => Error::AddressDenied(Box::new(denied.clone())),
            None => unreachable(short(&error.to_string())),
        })?;
        let status = response.status();
        if !is_busy(status) {
            return Ok(Answer {
                status,
                headers: response.headers().clone(),
                body: read(host, response).await?,
            });
        }
        if tried == TRIES {
            return Err(unreachable(format!("it answers {status}, for the {TRIES}rd time")));
        }
        tokio::time::sleep(pause(response.headers(), tried)).await;
    }
    Err(unreachable("it was not asked".to_owned()))
}

fn is_busy(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// As long as the server asks for, within reason.
fn pause(headers: &HeaderMap, tried: u32) -> Duration {
    let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    asked.map_or(Duration::from_millis(200) * 2_u32.pow(tried), Duration::from_secs).min(PAUSE)
}

async fn read(host: &str, mut response: Response) -> Result<Vec<u8>, Error> {
    let unreachable = |cause: String| Error::Unreachable { host: host.to_owned(), cause };
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| unreachable(cause(&error)))? {
        if body.len() + part.len() > LIMIT {
            return Err(unreachable("its answer is larger than 1 MiB".to_owned()));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() { "it did not answer in time".to_owned() } else { innermost(error) }
}

/// The server's own words out of an error's body: a registry's (`errors`), or OAuth's. Some repeat what they were sent:
/// that is masked, before anything is cut.
pub(crate) fn said(answer: &Answer, sent: &Mask) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default();
    let first = &json["errors"][0];
    let words = match (first["message"].as_str(), json["error_description"].as_str()) {
        (Some(message), _) => message.to_owned(),
        (_, Some(description)) => description.to_owned(),
        _ => json["error"].as_str().unwrap_or_default().to_owned(),
    };
    short(&sent.text(&if words.is_empty() { format!("it answers {}", answer.status) } else { words }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_ask_for_patience_but_not_for_ever() {
        let mut headers = HeaderMap::new();
        assert_eq!(pause(&headers, 1), Duration::from_millis(400));
        for (asked, given) in [("2", 2), ("0", 0), ("86400", 10)] {
            headers.insert(RETRY_AFTER, asked.parse().expect("a header"));
            assert_eq!(pause(&headers, 1), Duration::from_secs(given), "{asked}");
        }
    }
}
