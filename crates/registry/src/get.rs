//! One GET below a repository: token, redirects, and another try where that may help.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use mask::Secrets;
use model::ImageReference;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Method, Response, StatusCode, Url};

use crate::token::Challenge;
use crate::{Client, Error};

/// Blobs are often kept elsewhere.
pub(crate) const REDIRECTS: usize = 5;
const TRIES: u32 = 3;
/// A host that took longer than this to say nothing will do so again.
const SILENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(300);
/// A registry that wants more patience is asked again with the whole run.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Largest error body that is read.
pub(crate) const ERROR_LIMIT: usize = 64 << 10;

impl Client {
    /// Gets `/v2/{repository}/{path}`.
    pub(crate) async fn get(
        &self,
        image: &ImageReference,
        path: &str,
        accept: Option<&str>,
    ) -> Result<Response, Error> {
        let mut pause = FIRST_PAUSE;
        for last in (1..=TRIES).map(|number| number == TRIES) {
            let began = Instant::now();
            let (error, wanted) = match self.get_once(image, path, accept).await {
                Ok(response) if !may_pass(response.status()) => return self.judge(image, response).await,
                Ok(response) => {
                    let wanted = retry_after(response.headers());
                    (self.refusal(image, response).await, wanted)
                }
                // Who was silent for long is not asked again at once: a slot waits meanwhile.
                Err(error @ Error::Unreachable { .. }) if began.elapsed() < SILENCE => (error, None),
                Err(error) => return Err(error),
            };
            if last {
                return Err(error);
            }
            tracing::debug!(%error, "asking the registry again");
            tokio::time::sleep(wanted.unwrap_or(pause).min(LONGEST_PAUSE)).await;
            pause *= 3;
        }
        Err(Error::Protocol { host: image.registry.clone(), reason: "it was not asked".to_owned() })
    }

    /// With a token where the registry wants one.
    async fn get_once(
        &self,
        image: &ImageReference,
        path: &str,
        accept: Option<&str>,
    ) -> Result<Response, Error> {
        let host = &image.registry;
        let key = key(image);
        let address = format!("{}/v2/{}/{path}", self.base(host), image.repository);
        let known = self.tokens.get(&key);
        let response = self.follow(host, &address, accept, known.as_deref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let header = response.headers().get(WWW_AUTHENTICATE).and_then(|header| header.to_str().ok());
        let Some(challenge) = header.and_then(Challenge::parse) else { return Ok(response) };
        let own = self.own_token(host, &image.repository).await?;
        let token = match own {
            Some(token) => Some(self.tokens.keep(&key, token)),
            None => self.tokens.fetch(&self.toward(host), host, &key, &challenge).await?,
        };
        match token {
            Some(token) => self.follow(host, &address, accept, Some(&token)).await,
            None => Ok(response),
        }
    }

    /// The token stays with the host that it is for. A stranger may have named that host: of the configured origins
    /// only its own is reached, wherever it leads.
    async fn follow(
        &self,
        host: &str,
        address: &str,
        accept: Option<&str>,
        token: Option<&str>,
    ) -> Result<Response, Error> {
        let protocol = |reason: &str| Error::Protocol { host: host.to_owned(), reason: reason.to_owned() };
        let mut url: Url = address.parse().map_err(|_| protocol("its address can't be read"))?;
        let (http, origin) = (self.toward(host), url.origin());
        for _ in 0..=REDIRECTS {
            let mut request = http.request(Method::GET, url.clone());
            if let Some(accept) = accept {
                request = request.header(ACCEPT, accept);
            }
            if let Some(token) = token.filter(|_| url.origin() == origin) {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            let sent = http.send(request).await;
            let response = sent.map_err(|error| Error::not_sent(host, &error))?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let target = location.and_then(|location| url.join(location).ok());
            url = target.ok_or_else(|| protocol("it redirects to nowhere"))?;
        }
        Err(protocol("it redirects without end"))
    }

    async fn judge(&self, image: &ImageReference, response: Response) -> Result<Response, Error> {
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::NOT_FOUND => Err(Error::ImageNotFound(image.clone())),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::ImageDenied(image.clone())),
            _ => Err(self.refusal(image, response).await),
        }
    }

    /// With the registry's own words. Those of another host, to which it leads, are not for whoever named it.
    async fn refusal(&self, image: &ImageReference, response: Response) -> Error {
        let (host, status) = (&image.registry, response.status().as_u16());
        if self.base_url(host).is_none_or(|base| base.origin() != response.url().origin()) {
            return Error::refused_elsewhere(host, status);
        }
        let body = read_limited(response, ERROR_LIMIT, host).await.unwrap_or_default();
        let token = self.tokens.get(&key(image)).unwrap_or_default();
        Error::refused(host, status, &body, &Secrets::default().with(&token).mask())
    }
}

/// What a token is good for.
fn key(image: &ImageReference) -> String {
    format!("{}/{}", image.registry, image.repository)
}

fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504)
}

pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A body of at most `limit` bytes.
pub(crate) async fn read_limited(mut response: Response, limit: usize, host: &str) -> Result<Bytes, Error> {
    let mut body = BytesMut::new();
    while let Some(part) = response.chunk().await.map_err(|error| Error::unreachable(host, &error))? {
        if body.len() + part.len() > limit {
            let reason = format!("it answers with more than {limit} bytes");
            return Err(Error::Protocol { host: host.to_owned(), reason });
        }
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}
