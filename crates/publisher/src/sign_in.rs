//! Who a publication is at its registry. In: the declared sign-in, a publication's repositories. Out: what
//! `registry` may send, from `identity`. The two don't know each other; they meet here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt};
use identity::{Identity, SignIn};
use model::Failure;
use registry::{Access, Authorization, Authorize, Scope};

/// The sign-ins of this publisher, one for each registry, so that publications share tokens.
pub(crate) struct Identities {
    sign_in: SignIn,
    options: identity::Options,
    known: Mutex<HashMap<(String, bool), Identity>>,
}

impl Identities {
    pub(crate) fn new(sign_in: SignIn, options: identity::Options) -> Self {
        Self { sign_in, options, known: Mutex::default() }
    }

    /// That of a registry (`host[:port]`).
    ///
    /// # Errors
    /// The declared sign-in is incomplete.
    pub(crate) fn of(&self, registry: &str, plain_http: bool) -> Result<Identity, Failure> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (registry.to_owned(), plain_http);
        if let Some(identity) = known.get(&key) {
            return Ok(identity.clone());
        }
        let identity = Identity::new(registry, plain_http, self.sign_in.clone(), self.options.clone());
        let identity = identity.map_err(|error| error.failure())?;
        known.insert(key, identity.clone());
        Ok(identity)
    }
}

/// The sign-in for one publication.
pub(crate) struct PublicationSignIn {
    /// A declaration that can't be right fails the first request.
    identity: Result<Identity, Failure>,
    repositories: Vec<String>,
}

impl PublicationSignIn {
    pub(crate) fn new(identity: Result<Identity, Failure>, repositories: Vec<String>) -> Self {
        Self { identity, repositories }
    }

    /// All repositories of the publication, so that one token does for it; and where it mounts from.
    fn widened<'a>(&'a self, scopes: &'a [Scope<'a>]) -> Vec<(&'a str, identity::Access)> {
        let own = self.repositories.iter().map(|repository| (repository.as_str(), identity::Access::Push));
        let asked = scopes.iter().map(|scope| (scope.repository, access(scope.access)));
        own.chain(asked).collect()
    }
}

impl Authorize for PublicationSignIn {
    fn authorize<'a>(&'a self, scopes: &'a [Scope<'a>]) -> BoxFuture<'a, Result<Authorization, Failure>> {
        async move {
            let identity = self.identity.as_ref().map_err(Clone::clone)?;
            let authorization = identity.authorize(&self.widened(scopes)).await;
            authorization.map(to_registry).map_err(|error| error.failure())
        }
        .boxed()
    }

    fn refused(&self, authorization: &Authorization) -> bool {
        match (&self.identity, authorization) {
            (Ok(identity), Authorization::Bearer { token }) => {
                identity.refused(token);
                true
            }
            _ => false,
        }
    }
}

fn access(access: Access) -> identity::Access {
    match access {
        Access::Pull => identity::Access::Pull,
        Access::Push => identity::Access::Push,
    }
}

fn to_registry(authorization: identity::Authorization) -> Authorization {
    match authorization {
        identity::Authorization::Anonymous => Authorization::Anonymous,
        identity::Authorization::Basic { username, password } => Authorization::Basic { username, password },
        identity::Authorization::Bearer { token, .. } => Authorization::Bearer { token },
    }
}
