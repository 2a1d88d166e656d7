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
/// What a registry that is busy or away is given, time after time, before a push is given up for now. `oci-client`
/// does not show what it asked for (`Retry-After`).
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// Authorizations in use at a time: one for the repositories of a push, one for each it mounts from.
const CLIENTS: usize = 8;

/// Why a request of a push did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// 401.
    Unauthorized,
    /// 429.
    TooManyRequests,
    /// 408, 500, 502 to 504, or no answer.
    Unavailable,
}

/// Hears of trouble that a push has on its way.
pub trait Observe: Send + Sync {
    /// A request failed; it is repeated or not.
    fn trouble(&self, trouble: Trouble, is_repeated: bool);
}

type Known = (Authorization, Arc<oci_client::Client>);

/// The one registry that is pushed to. `oci-client` keeps the first credential it was given for a registry,
/// and, once a token's `exp` is past, gives that same token again: so each authorization has a client of its
/// own, which is dropped with it.
#[derive(Clone)]
pub(crate) struct Pusher {
    registry: String,
    plain_http: bool,
    authorize: Arc<dyn Authorize>,
    observe: Option<Arc<dyn Observe>>,
    pauses: [Duration; 3],
    /// The last used first.
    clients: Arc<Mutex<VecDeque<Known>>>,
}

impl Pusher {
    pub(crate) fn new(registry: &str, plain_http: bool, authorize: Arc<dyn Authorize>) -> Self {
        Self {
            registry: registry.to_owned(),
            plain_http,
            authorize,
            observe: None,
            pauses: PAUSES,
            clients: Arc::default(),
        }
    }

    pub(crate) fn observed(self, observe: Arc<dyn Observe>) -> Self {
        Self { observe: Some(observe), ..self }
    }

    pub(crate) fn with_pauses(self, pauses: [Duration; 3]) -> Self {
        Self { pauses, ..self }
    }

    fn observe(&self, trouble: Trouble, is_repeated: bool) {
        if let Some(observe) = &self.observe {
            observe.trouble(trouble, is_repeated);
        }
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
    /// How often the registry was given time.
    waited: usize,
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
        Target::new(pusher, scopes, false, 0).await
    }
}

impl<'a> Target<'a> {
    async fn new(
        pusher: &'a Pusher,
        scopes: &'a [Scope<'a>],
        is_again: bool,
        waited: usize,
    ) -> Result<Self, Error> {
        let authorization = pusher.authorize.authorize(scopes).await;
        let authorization = authorization.map_err(|failure| Error::SignIn(Box::new(failure)))?;
        let client = pusher.client(&authorization);
        client.store_auth_if_needed(&pusher.registry, &auth(&authorization)).await;
        Ok(Self { pusher, scopes, authorization, client, is_again, waited })
    }

    /// What to try once more with, if that may help: after a 401 another authorization, if there is one; after
    /// what passes the same, and a pause. Every request of a push can be repeated: blobs and manifests have digests.
    pub(crate) async fn again<T>(
        &self,
        answer: &Result<T, OciDistributionError>,
    ) -> Result<Option<Target<'a>>, Error> {
        let Some(trouble) = answer.as_ref().err().and_then(trouble_of) else { return Ok(None) };
        let (is_again, waited) = match trouble {
            Trouble::Unauthorized => {
                let other = !self.is_again && self.pusher.authorize.refused(&self.authorization);
                (other.then_some(true), self.waited)
            }
            _ => ((self.waited < self.pusher.pauses.len()).then_some(self.is_again), self.waited + 1),
        };
        self.pusher.observe(trouble, is_again.is_some());
        let Some(is_again) = is_again else { return Ok(None) };
        tracing::info!(registry = self.pusher.registry, ?trouble, "a request of a push is repeated");
        if let Some(pause) = self.pusher.pauses.get(self.waited).filter(|_| trouble != Trouble::Unauthorized)
        {
            tokio::time::sleep(*pause).await;
        }
        Self::new(self.pusher, self.scopes, is_again, waited).await.map(Some)
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

/// What kept a request from succeeding, where trying again may help.
fn trouble_of(error: &OciDistributionError) -> Option<Trouble> {
    let of_status = |status: u16| match status {
        401 => Some(Trouble::Unauthorized),
        429 => Some(Trouble::TooManyRequests),
        408 | 500 | 502..=504 => Some(Trouble::Unavailable),
        _ => None,
    };
    match error {
        OciDistributionError::UnauthorizedError { .. } => Some(Trouble::Unauthorized),
        OciDistributionError::ServerError { code, .. } => of_status(*code),
        OciDistributionError::RequestError(error) => match error.status() {
            Some(status) => of_status(status.as_u16()),
            // The connection, or its lack; not a body of ours that can't be read.
            None => (!error.is_body() && !error.is_decode()).then_some(Trouble::Unavailable),
        },
        OciDistributionError::IoError(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            Some(Trouble::Unavailable)
        }
        OciDistributionError::RegistryError { envelope, .. } => {
            let has = |code: &OciErrorCode| envelope.errors.iter().any(|error| error.code == *code);
            let busy = has(&OciErrorCode::Toomanyrequests).then_some(Trouble::TooManyRequests);
            busy.or(has(&OciErrorCode::Unauthorized).then_some(Trouble::Unauthorized))
        }
        _ => None,
    }
}
