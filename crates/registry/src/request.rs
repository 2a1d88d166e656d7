//! One request of a push. In: its address, headers and body. Out: the answer. A redirect, and an upload that is to go
//! on elsewhere, are followed here, each under the policy; the authorization goes to the registry itself alone.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, Url};

use crate::fault::Fault;
use crate::get::REDIRECTS;
use crate::target::Target;
use crate::{Authorization, Error};

/// What is asked for. It can be sent again: its body is in memory.
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<Bytes>,
    /// How long its answer may take. A registry that neither answers nor closes its connection costs a minute, and is
    /// asked again as after any answer that did not come.
    pub(crate) patience: Duration,
}

/// For what is answered out of a registry's head.
const QUICK: Duration = Duration::from_secs(30);
/// For a piece of a blob.
pub(crate) const PIECE_PATIENCE: Duration = Duration::from_secs(60);

impl Ask {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: Vec::new(), patience: QUICK }
    }

    fn length(&self) -> usize {
        self.body.iter().map(Bytes::len).sum()
    }

    /// The parts of a body are handed on as they are.
    fn body(&self) -> Body {
        match self.body.as_slice() {
            [] => Body::from(Bytes::new()),
            [only] => Body::from(only.clone()),
            several => {
                let parts: Vec<_> = several.iter().cloned().map(Ok::<_, std::io::Error>).collect();
                Body::wrap_stream(stream::iter(parts))
            }
        }
    }

    /// 307 and 308 keep what was asked; of the others only a question survives (RFC 9110, 15.4).
    fn follows(&self, status: StatusCode) -> bool {
        let is_question = matches!(self.method, Method::GET | Method::HEAD);
        matches!(status.as_u16(), 307 | 308) || (is_question && matches!(status.as_u16(), 301..=303))
    }
}

impl Target<'_> {
    /// An address below `/v2/`, of the registry itself.
    pub(crate) fn at(&self, path: &str) -> Result<Url, Fault> {
        let base = self.pusher.base.as_ref().and_then(|base| base.join(&format!("/v2/{path}")).ok());
        base.ok_or_else(|| self.protocol("its address can't be read"))
    }

    /// The answer, which is a success.
    pub(crate) async fn send(&self, mut ask: Ask) -> Result<Response, Fault> {
        for _ in 0..=REDIRECTS {
            let response = self.send_once(&ask).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if !ask.follows(status) {
                let is_its_own = self.is_its_own(response.url());
                return Err(Fault::of(response, is_its_own, self.host()).await);
            }
            ask.url = self.location(&response)?;
        }
        Err(self.protocol("it redirects without end"))
    }

    async fn send_once(&self, ask: &Ask) -> Result<Response, Fault> {
        let http = &self.pusher.http;
        let mut request = http.request(ask.method.clone(), ask.url.clone()).headers(ask.headers.clone());
        // Some servers answer 411 to a request that does not say that it has no body.
        if !matches!(ask.method, Method::GET | Method::HEAD) {
            request = request.header(CONTENT_LENGTH, ask.length()).body(ask.body());
        }
        if self.is_its_own(&ask.url) {
            request = signed(request, &self.authorization);
        }
        let Ok(sent) = tokio::time::timeout(ask.patience, http.send(request)).await else {
            let cause = format!("it does not answer within {} seconds", ask.patience.as_secs());
            return Err(Fault::Silent(Error::Unreachable { host: self.host().to_owned(), cause }));
        };
        sent.map_err(|error| match Error::not_sent(self.host(), &error) {
            denied @ Error::AddressDenied(_) => Fault::Final(denied),
            error => Fault::Silent(error),
        })
    }

    /// Where the answer leads to.
    pub(crate) fn location(&self, response: &Response) -> Result<Url, Fault> {
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let target = location.and_then(|location| response.url().join(location).ok());
        target.ok_or_else(|| self.protocol("it names no place to go on at"))
    }

    fn is_its_own(&self, url: &Url) -> bool {
        self.pusher.base.as_ref().is_some_and(|base| base.origin() == url.origin())
    }

    pub(crate) fn protocol(&self, reason: &str) -> Fault {
        Fault::Final(Error::Protocol { host: self.host().to_owned(), reason: reason.to_owned() })
    }
}

fn signed(request: RequestBuilder, authorization: &Authorization) -> RequestBuilder {
    match authorization {
        Authorization::Anonymous => request,
        Authorization::Basic { username, password } => request.basic_auth(username, Some(password)),
        Authorization::Bearer { token } => match HeaderValue::from_str(&format!("Bearer {token}")) {
            Ok(mut header) => {
                header.set_sensitive(true);
                request.header(AUTHORIZATION, header)
            }
            Err(_) => request,
        },
    }
}
