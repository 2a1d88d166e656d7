//! Who a publication is at its registry. In: what the registry's row declares, its credential from the
//! database, opened; a publication's repositories. Out: what `registry` may send, from `identity`. The two
//! don't know each other; they meet here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use database::{Database, Under};
use futures_util::future::{BoxFuture, FutureExt};
use identity::Identity;
use model::{CredentialKind, Failure, SignIn};
use registry::{Access, Authorization, Authorize, Scope};
use vault::Vault;

use crate::publication::while_away;

/// Who asks for a credential: for a registry, under a lease that gives a right to it.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) database: &'a Database,
    /// Its name.
    pub(crate) registry: &'a str,
    pub(crate) lease: Under<'a>,
}

/// The sign-ins of this publisher, one for each registry, so that publications share tokens.
pub(crate) struct Identities {
    vault: Vault,
    options: identity::Options,
    known: Mutex<HashMap<String, Known>>,
}

struct Known {
    address: String,
    plain_http: bool,
    sign_in: identity::SignIn,
    identity: Identity,
}

impl Identities {
    pub(crate) fn new(vault: Vault, options: identity::Options) -> Self {
        Self { vault, options, known: Mutex::default() }
    }

    /// That of a registry at `address` (`host[:port]`). A sign-in that was changed meanwhile is a new one.
    ///
    /// # Errors
    /// The declared sign-in is incomplete, or its credential is gone.
    pub(crate) async fn of(
        &self,
        asker: Asker<'_>,
        (address, plain_http): (&str, bool),
        declared: &SignIn,
    ) -> Result<Identity, Failure> {
        let sign_in = self.open(asker, declared).await?;
        let registry = asker.registry;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(registry)
            && (found.address.as_str(), found.plain_http, &found.sign_in) == (address, plain_http, &sign_in)
        {
            return Ok(found.identity.clone());
        }
        let identity = Identity::new(address, plain_http, sign_in.clone(), self.options.clone());
        let identity = identity.map_err(|error| error.failure())?;
        let (address, registry) = (address.to_owned(), registry.to_owned());
        known.insert(registry, Known { address, plain_http, sign_in, identity: identity.clone() });
        Ok(identity)
    }

    /// The declared sign-in with its secret.
    async fn open(&self, asker: Asker<'_>, declared: &SignIn) -> Result<identity::SignIn, Failure> {
        Ok(match declared.clone() {
            SignIn::Anonymous => identity::SignIn::Anonymous,
            SignIn::Basic { credential } => {
                let (username, password) = self.secret(asker, &credential).await?;
                identity::SignIn::Basic { username, password }
            }
            SignIn::ManagedIdentity { client_id } => identity::SignIn::ManagedIdentity { client_id },
            SignIn::WorkloadIdentity { tenant_id, client_id } => {
                identity::SignIn::WorkloadIdentity { tenant_id, client_id, token_file: None }
            }
            SignIn::ServicePrincipal { tenant_id, client_id, credential } => {
                let (_, client_secret) = self.secret(asker, &credential).await?;
                identity::SignIn::ServicePrincipal { tenant_id, client_id, client_secret }
            }
        })
    }

    /// A registry credential's user and secret.
    async fn secret(&self, asker: Asker<'_>, name: &str) -> Result<(String, String), Failure> {
        let opened = self.credential(asker, name, CredentialKind::Registry).await?;
        Ok((opened.username.unwrap_or_default(), opened.secret.expose().to_owned()))
    }

    /// A credential, opened.
    ///
    /// # Errors
    /// There is none of that name and kind, the lease gives no right to it, or it is sealed with another key.
    pub(crate) async fn credential(
        &self,
        asker: Asker<'_>,
        name: &str,
        kind: CredentialKind,
    ) -> Result<Opened, Failure> {
        let found = while_away(|| asker.database.credential_under(asker.lease, name)).await;
        let found = found.map_err(|error| error.failure())?;
        let found = found.filter(|found| found.kind == kind).ok_or_else(|| gone(name))?;
        let secret = self.vault.unseal(&format!("credential/{}/{name}", asker.registry), &found.sealed);
        let secret = secret.map_err(|error| error.failure())?;
        Ok(Opened { username: found.username, secret, known_hosts: found.known_hosts })
    }
}

/// A credential that was opened.
pub(crate) struct Opened {
    pub(crate) username: Option<String>,
    pub(crate) secret: vault::Secret,
    pub(crate) known_hosts: Option<String>,
}

fn gone(credential: &str) -> Failure {
    Failure::user(
        "credential_not_found",
        format!("The credential `{credential}` is not there (any more)."),
        "Set it anew: `slipway credential set`.",
    )
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
