//! What somebody else says may be sent with a push. In: scopes. Out: an authorization, from whoever knows how
//! to sign in. Absent: how.

use std::fmt;

use futures_util::future::{BoxFuture, FutureExt};
use mask::{Mask, Secrets};
use model::Failure;

/// What may be done in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Pull,
    /// And pull.
    Push,
}

/// A repository, and what is to be done in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    pub repository: &'a str,
    pub access: Access,
}

/// What to send with a request.
#[derive(Clone, PartialEq, Eq)]
pub enum Authorization {
    Anonymous,
    Basic { username: String, password: String },
    Bearer { token: String },
}

impl Authorization {
    /// What none of a registry's words may hold.
    pub(crate) fn mask(&self) -> Mask {
        let secrets = Secrets::default();
        match self {
            Self::Anonymous => secrets,
            Self::Basic { username, password } => secrets.with_login(username, password),
            Self::Bearer { token } => secrets.with(token),
        }
        .mask()
    }
}

/// Gives authorizations for one registry.
pub trait Authorize: Send + Sync {
    /// One that is good for all of the scopes, for minutes at least: asked before every request.
    ///
    /// # Errors
    /// None can be had.
    fn authorize<'a>(&'a self, scopes: &'a [Scope<'a>]) -> BoxFuture<'a, Result<Authorization, Failure>>;

    /// The registry does not know this one (401). True: ask for another.
    fn refused(&self, authorization: &Authorization) -> bool;
}

/// The same for everything, and for ever.
impl Authorize for Authorization {
    fn authorize<'a>(&'a self, _: &'a [Scope<'a>]) -> BoxFuture<'a, Result<Authorization, Failure>> {
        std::future::ready(Ok(self.clone())).boxed()
    }

    fn refused(&self, _: &Authorization) -> bool {
        false
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Basic { username, .. } => write!(f, "Basic({username}, …)"),
            Self::Bearer { .. } => f.write_str("Bearer(…)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let basic = Authorization::Basic { username: "ci".into(), password: "hunter2".into() };
        let bearer = Authorization::Bearer { token: "hunter2".into() };
        assert!(!format!("{basic:?} {bearer:?}").contains("hunter2"));
    }
}
