//! Where a push goes, and with which authorization. In: scopes. Out: a repository that requests are sent to, and
//! whether one is worth another try. Absent: requests of the protocol.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{StatusCode, Url};

use crate::fault::Fault;
use crate::get::LONGEST_PAUSE;
use crate::{Authorization, Authorize, Client, Error, Scope};

/// What a registry that is busy or away is given, time after time, before a push is given up for now. Where it asks
/// for more (`Retry-After`), it gets more.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

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

/// The one registry that is pushed to.
#[derive(Clone)]
pub(crate) struct Pusher {
    pub(crate) registry: String,
    /// None: no address can be made of the registry's name.
    pub(crate) base: Option<Url>,
    /// Reaches that registry, whatever its address, and what strangers may reach: it may lead to where it keeps its
    /// blobs, but not into the operator's own network.
    pub(crate) http: egress::Client,
    authorize: Arc<dyn Authorize>,
    observe: Option<Arc<dyn Observe>>,
    pauses: [Duration; 3],
}

impl Pusher {
    pub(crate) fn new(
        registry: &str,
        base: Option<Url>,
        http: egress::Client,
        authorize: Arc<dyn Authorize>,
    ) -> Self {
        Self { registry: registry.to_owned(), base, http, authorize, observe: None, pauses: PAUSES }
    }

    pub(crate) fn by(self, http: egress::Client) -> Self {
        Self { http, ..self }
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
}

/// A repository of the registry, with an authorization for it.
pub(crate) struct Target<'a> {
    pub(crate) pusher: &'a Pusher,
    scopes: &'a [Scope<'a>],
    pub(crate) authorization: Authorization,
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
        Ok(Self { pusher, scopes, authorization, is_again, waited })
    }

    /// What to try once more with, if that may help: after a 401 another authorization, if there is one; after
    /// what passes the same, and a pause. Every request of a push can be repeated: blobs and manifests have digests.
    pub(crate) async fn again<T>(&self, answer: &Result<T, Fault>) -> Result<Option<Target<'a>>, Error> {
        let Some((fault, trouble)) = answer.as_ref().err().and_then(|fault| Some((fault, fault.trouble()?)))
        else {
            return Ok(None);
        };
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
            let pause = fault.wanted().map_or(*pause, |wanted| wanted.min(LONGEST_PAUSE).max(*pause));
            tokio::time::sleep(pause).await;
        }
        Self::new(self.pusher, self.scopes, is_again, waited).await.map(Some)
    }

    pub(crate) fn repository(&self) -> &'a str {
        self.scopes.first().map_or("", |scope| scope.repository)
    }

    pub(crate) fn host(&self) -> &'a str {
        &self.pusher.registry
    }
}

impl Trouble {
    pub(crate) fn of(status: StatusCode) -> Option<Self> {
        match status.as_u16() {
            401 => Some(Self::Unauthorized),
            429 => Some(Self::TooManyRequests),
            408 | 500 | 502..=504 => Some(Self::Unavailable),
            _ => None,
        }
    }
}
