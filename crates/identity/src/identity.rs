//! One registry that is signed in to. In: repositories and what is to be done there. Out: what to send.
//! Every way of signing in meets here. Absent: pushes.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;

use crate::acr::Acr;
use crate::azure::Entra;
use crate::server::{Server, bearer};
use crate::tokens::{Key, Tokens};
use crate::{Access, Authorization, Error, Options, SignIn};

/// The sign-in to one registry. Cloning is cheap, and clones share what they know.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    server: Server,
    acr: Option<Acr>,
    tokens: Tokens,
    /// One at a time: who waits finds what the first has fetched.
    fetching: Mutex<()>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({}, {:?})", self.0.server.host, self.0.server.sign_in)
    }
}

impl Identity {
    /// The sign-in to `registry` (`host[:port]`), which is spoken to over http if `plain_http` says so or it
    /// is a loopback address. Asks nobody yet.
    ///
    /// # Errors
    /// The declaration lacks something, or holds what can't be.
    pub fn new(registry: &str, plain_http: bool, sign_in: SignIn, options: Options) -> Result<Self, Error> {
        let entra = Entra::new(registry, &sign_in, &options)?;
        let server = Server::new(registry, plain_http, sign_in, &options)?;
        let acr = entra.map(|entra| Acr::new(entra, &server, &options.acr_suffixes)).transpose()?;
        let (tokens, fetching) = (Tokens::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { server, acr, tokens, fetching })))
    }

    /// What to send for these repositories: kept, and renewed when a fifth of its life is left. While a new
    /// one can't be had, the old one is given until its end.
    ///
    /// # Errors
    /// No identity, or the registry is unreachable or says no.
    pub async fn authorization(&self, repositories: &[&str], access: Access) -> Result<Authorization, Error> {
        let scopes: Vec<_> = repositories.iter().map(|repository| (*repository, access)).collect();
        self.authorize(&scopes).await
    }

    /// The same with an access for each repository: a blob is mounted by pulling here and pushing there.
    ///
    /// # Errors
    /// As [`Identity::authorization`].
    pub async fn authorize(&self, scopes: &[(&str, Access)]) -> Result<Authorization, Error> {
        let key = key(scopes);
        if let Some(fresh) = self.0.tokens.fresh(&key, Instant::now()) {
            return Ok(fresh);
        }
        let _one = self.0.fetching.lock().await;
        if let Some(fresh) = self.0.tokens.fresh(&key, Instant::now()) {
            return Ok(fresh);
        }
        match self.fetch(&key).await {
            Err(error) if error.is_passing() => {
                let old = self.0.tokens.usable(&key, Instant::now());
                let old = old.ok_or_else(|| error.clone())?;
                tracing::warn!(registry = self.0.server.host, %error, "a token can't be renewed yet");
                Ok(old)
            }
            fetched => fetched,
        }
    }

    /// Forgets a token that the registry refused (401): ask for another.
    pub fn refused(&self, token: &str) {
        self.0.tokens.forget(token);
    }

    /// As [`Identity::authorize`], but whatever is kept.
    pub(crate) async fn fetch(&self, key: &Key) -> Result<Authorization, Error> {
        let server = &self.0.server;
        let lasting = match &self.0.acr {
            Some(acr) => bearer(acr.token(server, key).await?),
            None => server.ask(key).await?,
        };
        let authorization = lasting.value.clone();
        self.0.tokens.keep(key.clone(), lasting, Instant::now());
        Ok(authorization)
    }

    pub(crate) fn server(&self) -> &Server {
        &self.0.server
    }
}

/// Each repository once, with the most that is asked for it.
pub(crate) fn key(scopes: &[(&str, Access)]) -> Key {
    let mut key: Key =
        scopes.iter().map(|(repository, access)| ((*repository).to_owned(), *access)).collect();
    key.sort_by(|one, other| (&one.0, other.1).cmp(&(&other.0, one.1)));
    key.dedup_by(|next, first| next.0 == first.0);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_asked_once_whatever_the_order() {
        let (push, pull) = (Access::Push, Access::Pull);
        let wanted = vec![("a".to_owned(), push), ("b".to_owned(), pull)];
        assert_eq!(key(&[("b", pull), ("a", pull), ("a", push), ("b", pull)]), wanted);
        assert_eq!(key(&[("a", push), ("b", pull)]), wanted);
    }
}
