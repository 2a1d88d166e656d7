//! The HTTP client. In: requests. Out: answers, from where the policy lets them go. Deliberately absent:
//! redirects, which whoever asks follows knowingly, each by a request that is checked again.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{IntoUrl, Method, Request, RequestBuilder, Response};

use crate::lookup::{Lookup, NameDenied, Resolver, System};
use crate::{CaBundle, Error, Origin, Policy};

/// Limits of a client.
#[derive(Debug, Clone)]
pub struct Options {
    /// For a connection, TLS included.
    pub connect_timeout: Duration,
    /// For an answer to begin, and between two parts of it.
    pub read_timeout: Duration,
    /// Trusted beside the system's.
    pub ca_bundle: Option<CaBundle>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            ca_bundle: None,
        }
    }
}

/// Two pools of connections under one policy; cloning it is cheap.
#[derive(Clone)]
pub struct Client {
    /// Connects to addresses that are not denied.
    checked: reqwest::Client,
    /// Connects to whatever it is sent to: used for named origins alone. Its pool is by scheme, host and port.
    open: reqwest::Client,
    /// Writes requests, and reaches nothing.
    writing: reqwest::Client,
    policy: Policy,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Client {
    /// A client under `policy`.
    ///
    /// # Errors
    /// The system's certificates can't be read.
    pub fn new(options: &Options, policy: Policy) -> Result<Self, Error> {
        Self::looking_up(options, policy, Arc::new(System))
    }

    pub(crate) fn looking_up(
        options: &Options,
        policy: Policy,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, Error> {
        let make = |policy| {
            let resolver = Resolver { lookup: Arc::clone(&lookup), policy };
            let builder = builder(options).dns_resolver(resolver).no_proxy();
            builder.build().map_err(Error::Unusable)
        };
        let (checked, open) = (make(Some(policy.clone()))?, make(None)?);
        let nowhere = reqwest::Proxy::all("http://nowhere.invalid").map_err(Error::Unusable)?;
        let writing = builder(options).proxy(nowhere).build().map_err(Error::Unusable)?;
        Ok(Self { checked, open, writing, policy })
    }

    /// The same, with one more configured origin.
    #[must_use]
    pub fn with_origin(&self, origin: Origin) -> Self {
        Self { policy: self.policy.with_origin(origin), ..self.clone() }
    }

    /// The same without its origins: for addresses that a stranger's file names.
    #[must_use]
    pub fn for_strangers(&self) -> Self {
        Self { policy: self.policy.for_strangers(), ..self.clone() }
    }

    /// The same for what a stranger's file names at `origin`: [`Policy::for_strangers_at`].
    #[must_use]
    pub fn for_strangers_at(&self, origin: &Origin) -> Self {
        Self { policy: self.policy.for_strangers_at(origin), ..self.clone() }
    }

    /// Where it may go.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Begins a request, which only [`Client::send`] can send.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        self.writing.request(method, url)
    }

    /// Sends what was begun by [`Client::request`].
    ///
    /// # Errors
    /// As [`Client::execute`].
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        self.execute(request.build().map_err(Error::Http)?).await
    }

    /// Sends a request. The address is checked for this connection, and is the one connected to.
    ///
    /// # Errors
    /// [`Error::Denied`], before anything is connected; or the host is unknown or does not answer.
    pub async fn execute(&self, request: Request) -> Result<Response, Error> {
        let Some(origin) = Origin::of(request.url()) else {
            return self.writing.execute(request).await.map_err(Error::Http);
        };
        if self.policy.is_named(&origin) {
            return self.open.execute(request).await.map_err(Error::Http);
        }
        let denial = || Error::denial(origin, self.policy.is_for_strangers());
        // A literal address is never looked up.
        if let Some(address) = literal(request.url())
            && !self.policy.permits(address)?
        {
            return Err(denial());
        }
        self.checked.execute(request).await.map_err(|error| match is_denied_name(&error) {
            true => denial(),
            false => Error::Http(error),
        })
    }
}

fn builder(options: &Options) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_certs_merge(options.ca_bundle.iter().flat_map(CaBundle::certificates))
        .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        .read_timeout(options.read_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_gzip()
}

fn literal(url: &reqwest::Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn is_denied_name(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<NameDenied>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests;
