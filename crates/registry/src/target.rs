//! Where a push goes, and with which authorization. In: scopes. Out: a client of `oci-client`'s that has just
//! the right one. Absent: requests of the protocol.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oci_client::Reference;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;

use crate::{Authorization, Authorize, Client, Error, Scope};

const CONNECT: Duration = Duration::from_secs(10);
/// A registry that checks a large blob's digest takes a while.
const ANSWER: Duration = Duration::from_secs(300);
const AGENT: &str = concat!("slipway/", env!("CARGO_PKG_VERSION"));
/// Authorizations in use at a time: one for the repositories of a push, one for each it mounts from.
const CLIENTS: usize = 8;

type Known = (Authorization, Arc<oci_client::Client>);

/// The one registry that is pushed to. `oci-client` keeps the first credential it was given for a registry,
/// and, once a token's `exp` is past, gives that same token again: so each authorization has a client of its
/// own, which is dropped with it.
#[derive(Clone)]
pub(crate) struct Pusher {
    registry: String,
    plain_http: bool,
    authorize: Arc<dyn Authorize>,
    /// The last used first.
    clients: Arc<Mutex<VecDeque<Known>>>,
}

impl Pusher {
    pub(crate) fn new(registry: &str, plain_http: bool, authorize: Arc<dyn Authorize>) -> Self {
        Self { registry: registry.to_owned(), plain_http, authorize, clients: Arc::default() }
    }

    fn client(&self, authorization: &Authorization) -> Arc<oci_client::Client> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let at = clients.iter().position(|(known, _)| known == authorization);
        let (_, client) = at.and_then(|at| clients.remove(at)).unwrap_or_else(|| {
            clients.truncate(CLIENTS - 1);
            (authorization.clone(), self.new_client())
        });
        clients.push_front((authorization.clone(), Arc::clone(&client)));
        client
    }

    fn new_client(&self) -> Arc<oci_client::Client> {
        Arc::new(oci_client::Client::new(ClientConfig {
            protocol: if self.plain_http { ClientProtocol::Http } else { ClientProtocol::Https },
            connect_timeout: Some(CONNECT),
            read_timeout: Some(ANSWER),
            user_agent: AGENT,
            ..ClientConfig::default()
        }))
    }
}

/// A repository of the registry, with an authorization for it.
pub(crate) struct Target<'a> {
    pusher: &'a Pusher,
    scopes: &'a [Scope<'a>],
    authorization: Authorization,
    pub(crate) client: Arc<oci_client::Client>,
    /// Whether the authorization is the second one.
    is_again: bool,
}

impl Client {
    /// What authorizes is for one registry; a client without it pushes nowhere. The first scope's repository
    /// is the target.
    pub(crate) async fn target<'a>(
        &'a self,
        registry: &str,
        scopes: &'a [Scope<'a>],
    ) -> Result<Target<'a>, Error> {
        let pusher = self.pusher.as_ref().filter(|pusher| pusher.registry == registry);
        let pusher = pusher.ok_or_else(|| Error::Denied {
            host: registry.to_owned(),
            repository: scopes.first().map_or("", |scope| scope.repository).to_owned(),
            said: "this client holds no credential for it".to_owned(),
        })?;
        Target::new(pusher, scopes, false).await
    }
}

impl<'a> Target<'a> {
    async fn new(pusher: &'a Pusher, scopes: &'a [Scope<'a>], is_again: bool) -> Result<Self, Error> {
        let authorization = pusher.authorize.authorize(scopes).await;
        let authorization = authorization.map_err(|failure| Error::SignIn(Box::new(failure)))?;
        let client = pusher.client(&authorization);
        client.store_auth_if_needed(&pusher.registry, &auth(&authorization)).await;
        Ok(Self { pusher, scopes, authorization, client, is_again })
    }

    /// After a 401: the same with another authorization, once, if there is another.
    pub(crate) async fn again<T>(
        &self,
        answer: &Result<T, OciDistributionError>,
    ) -> Result<Option<Target<'a>>, Error> {
        let is_refused = answer.as_ref().err().is_some_and(is_unauthorized);
        if self.is_again || !is_refused || !self.pusher.authorize.refused(&self.authorization) {
            return Ok(None);
        }
        tracing::info!(
            registry = self.pusher.registry,
            "the registry no longer takes a token; asking for another"
        );
        Self::new(self.pusher, self.scopes, true).await.map(Some)
    }

    pub(crate) fn auth(&self) -> RegistryAuth {
        auth(&self.authorization)
    }

    pub(crate) fn repository(&self) -> &'a str {
        self.scopes.first().map_or("", |scope| scope.repository)
    }

    /// A tag or a digest in the repository.
    pub(crate) fn named(&self, name: &str) -> Reference {
        let (registry, repository) = (self.pusher.registry.clone(), self.repository().to_owned());
        match name.contains(':') {
            true => Reference::with_digest(registry, repository, name.to_owned()),
            false => Reference::with_tag(registry, repository, name.to_owned()),
        }
    }

    /// A repository alone; the tag is never sent.
    pub(crate) fn reference(&self) -> Reference {
        self.named("latest")
    }

    /// Another one of the same registry.
    pub(crate) fn reference_of(&self, repository: &str) -> Reference {
        Reference::with_tag(self.pusher.registry.clone(), repository.to_owned(), "latest".to_owned())
    }

    pub(crate) fn host(&self) -> &'a str {
        &self.pusher.registry
    }
}

fn auth(authorization: &Authorization) -> RegistryAuth {
    match authorization {
        Authorization::Anonymous => RegistryAuth::Anonymous,
        Authorization::Basic { username, password } => {
            RegistryAuth::Basic(username.clone(), password.clone())
        }
        Authorization::Bearer { token } => RegistryAuth::Bearer(token.clone()),
    }
}

fn is_unauthorized(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::UnauthorizedError { .. }
        | OciDistributionError::ServerError { code: 401, .. } => true,
        OciDistributionError::RequestError(error) => error.status().is_some_and(|status| status == 401),
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| error.code == OciErrorCode::Unauthorized)
        }
        _ => false,
    }
}
