//! Talking to OCI registries (distribution specification 1.1). In: image references, descriptors.
//! Out: resolved images, byte streams, pushed blobs and manifests. Everything goes through `egress`: base images, which
//! strangers name, are pulled without a credential; pushes go to the registry that the operator named, as somebody
//! else authorizes them. Wherever a registry leads to, of what an administrator configured it opens itself alone. A
//! request that it had no time for is repeated a few times. Deliberately absent: files, caches, how one signs in, and
//! whether to try a whole push again.

mod authorize;
mod error;
mod fault;
mod get;
mod pull_token;
mod push;
mod request;
mod resolve;
mod target;
mod token;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use model::{Descriptor, ImageReference};

pub use authorize::{Access, Authorization, Authorize, Scope};
pub use error::Error;
pub use pull_token::PullTokens;
pub use target::{Observe, Trouble};

/// A client. Cloning it is cheap.
#[derive(Clone)]
pub struct Client {
    http: egress::Client,
    tokens: token::Tokens,
    plain_http: Vec<String>,
    pusher: Option<target::Pusher>,
    own: Option<pull_token::Own>,
}

impl Client {
    /// A client that only pulls. The hosts of `plain_http` (`host[:port]`) are spoken to over http, and so
    /// is every loopback address.
    #[must_use]
    pub fn anonymous(http: egress::Client, plain_http: Vec<String>) -> Self {
        Self { http, tokens: token::Tokens::default(), plain_http, pusher: None, own: None }
    }

    /// The same client, for which `registry` is one that an administrator configured: it is reached whatever
    /// its address, and nothing beside it. Where it wants a token, `tokens` are asked first.
    #[must_use]
    pub fn of_registry(self, registry: &str, tokens: Arc<dyn PullTokens>) -> Self {
        let own = Some(pull_token::Own { registry: registry.to_owned(), tokens });
        Self { own, ..self.configured(registry) }
    }

    fn configured(self, registry: &str) -> Self {
        match self.base(registry).parse() {
            Ok(origin) => Self { http: self.http.with_origin(origin), ..self },
            // No address of a host: a request to it fails with better words.
            Err(_) => self,
        }
    }

    /// A client that also pushes, to `registry` and nowhere else: what authorizes is for that host.
    #[must_use]
    pub fn pushing(
        http: egress::Client,
        plain_http: Vec<String>,
        registry: &str,
        authorize: Arc<dyn Authorize>,
    ) -> Self {
        let client = Self::anonymous(http, plain_http).configured(registry);
        let (base, http) = (client.base_url(registry), client.toward(registry));
        let pusher = target::Pusher::new(registry, base, http, authorize);
        Self { pusher: Some(pusher), ..client }
    }

    /// The same client, whose pushes go by `http`, which waits longer for an answer: a registry that checks a large
    /// blob takes a while.
    #[must_use]
    pub fn uploading_by(self, http: egress::Client) -> Self {
        let pusher = self.pusher.as_ref().map(|pusher| {
            let by = Self { http, ..self.clone() }.configured(&pusher.registry).toward(&pusher.registry);
            pusher.clone().by(by)
        });
        Self { pusher, ..self }
    }

    /// The same client, with other pauses before a request of a push is repeated.
    #[must_use]
    pub fn with_pauses(self, pauses: [Duration; 3]) -> Self {
        Self { pusher: self.pusher.map(|pusher| pusher.with_pauses(pauses)), ..self }
    }

    /// The same client, which tells of the trouble that its pushes have.
    #[must_use]
    pub fn observed(self, observe: Arc<dyn Observe>) -> Self {
        Self { pusher: self.pusher.map(|pusher| pusher.observed(observe)), ..self }
    }

    /// A blob of an image, as it comes. Whoever reads it checks its digest.
    ///
    /// # Errors
    /// The registry is unreachable, refuses, or does not have it.
    pub async fn pull_blob(
        &self,
        image: &ImageReference,
        blob: &Descriptor,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let response = self.get(image, &format!("blobs/{}", blob.digest), None).await?;
        let host = image.registry.clone();
        let parts = response.bytes_stream();
        Ok(parts.map(move |part| part.map_err(|error| Error::unreachable(&host, &error))).boxed())
    }

    /// What a request to a registry may reach: that one, if an administrator configured it, and what strangers may.
    fn toward(&self, registry: &str) -> egress::Client {
        match self.base(registry).parse() {
            Ok(origin) => self.http.for_strangers_at(&origin),
            Err(_) => self.http.for_strangers(),
        }
    }

    fn base_url(&self, registry: &str) -> Option<reqwest::Url> {
        self.base(registry).parse().ok()
    }

    /// `https://host` or `http://host` of a registry's API.
    fn base(&self, registry: &str) -> String {
        // The name in references is not the host's (distribution/reference, `normalize.go`).
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        let scheme = if is_plain(&self.plain_http, registry) { "http" } else { "https" };
        format!("{scheme}://{host}")
    }
}

fn is_plain(plain_http: &[String], registry: &str) -> bool {
    plain_http.iter().any(|host| host == registry) || is_loopback(registry)
}

/// As Docker has it: http is fine where nobody else can listen.
fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => registry,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_named_hosts_are_spoken_to_without_tls() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.8.8", "[::1]:5000"] {
            assert!(is_plain(&[], host), "{host}");
        }
        for host in ["example.com", "localhost.example.com", "10.0.0.1:5000", "[2001:db8::1]:5000"] {
            assert!(!is_plain(&[], host), "{host}");
        }
        assert!(is_plain(&["10.0.0.1:5000".to_owned()], "10.0.0.1:5000"));
    }
}
