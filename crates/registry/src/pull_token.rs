//! Tokens for the run's own registry, where somebody else is known there. In: a repository. Out: a token that
//! pulls from it. Absent: how it is had.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use model::Failure;

use crate::{Client, Error};

/// Gives tokens for one registry.
pub trait PullTokens: Send + Sync {
    /// A token that only pulls from this repository; none where strangers' rights have to do.
    ///
    /// # Errors
    /// It can't be said whether there is one.
    fn pull_token<'a>(&'a self, repository: &'a str) -> BoxFuture<'a, Result<Option<String>, Failure>>;
}

/// A registry, and who gives tokens for it.
#[derive(Clone)]
pub(crate) struct Own {
    pub(crate) registry: String,
    pub(crate) tokens: Arc<dyn PullTokens>,
}

impl Client {
    /// A token for a repository of the run's own registry.
    pub(crate) async fn own_token(&self, host: &str, repository: &str) -> Result<Option<String>, Error> {
        match self.own.as_ref().filter(|own| own.registry == host) {
            Some(own) => {
                let token = own.tokens.pull_token(repository).await;
                token.map_err(|failure| Error::SignIn(Box::new(failure)))
            }
            None => Ok(None),
        }
    }
}
