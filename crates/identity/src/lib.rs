//! Signing in to the registry that images are pushed to. In: what the operator declared about it, its
//! secrets already decrypted. Out: a short-lived authorization for exactly the repositories and actions
//! asked. Deliberately absent: disks, base images (strangers name those; nobody signs in for them), and
//! every word of a secret in logs, errors and `Debug`.

mod acr;
mod azure;
mod challenge;
mod error;
mod http;
mod identity;
mod jwt;
mod preflight;
mod server;
mod tokens;

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

pub use self::error::Error;
pub use self::identity::Identity;

/// How a registry is signed in to; secrets inside are already decrypted.
#[derive(Clone, PartialEq, Eq)]
pub enum SignIn {
    Anonymous,
    /// User and password, for basic authentication or for the registry's token server: ACR's admin user or
    /// a repository-scoped token of its, a robot account.
    Basic {
        username: String,
        password: String,
    },
    /// What Azure assigned to this machine or app, by IMDS, or by `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`
    /// where these are set. System-assigned without a client id.
    ManagedIdentity {
        client_id: Option<String>,
    },
    /// A federated token in a file, read anew for each sign-in. What is not given is taken from
    /// `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_FEDERATED_TOKEN_FILE`, which Kubernetes' webhook sets.
    WorkloadIdentity {
        tenant_id: Option<String>,
        client_id: Option<String>,
        token_file: Option<PathBuf>,
    },
    ServicePrincipal {
        tenant_id: String,
        client_id: String,
        client_secret: String,
    },
}

/// What may be done in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    Pull,
    /// And pull.
    Push,
}

/// What to send to the registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Authorization {
    Anonymous,
    Basic { username: String, password: String },
    Bearer { token: String, expires_at: Instant },
}

/// What is the same for every registry.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Base address of Microsoft Entra, `https://…`. None: `AZURE_AUTHORITY_HOST`, else the public cloud's.
    pub authority: Option<String>,
    /// Certificate authorities in PEM, trusted besides the system's: a company's own.
    pub roots: Vec<String>,
    /// Hosts, and what hosts end in, that a token of Entra's may go to besides Azure's own registries.
    pub acr_suffixes: Vec<String>,
    /// Where a registry's token server may be: at the registry itself, or where strangers may go.
    pub policy: egress::Policy,
}

impl SignIn {
    /// What none of a server's words may hold.
    pub(crate) fn mask(&self) -> mask::Mask {
        let secrets = mask::Secrets::default();
        match self {
            Self::Basic { username, password } => secrets.with_login(username, password),
            Self::ServicePrincipal { client_secret, .. } => secrets.with(client_secret),
            _ => secrets,
        }
        .mask()
    }
}

impl Authorization {
    /// The same, of what was sent.
    pub(crate) fn mask(&self) -> mask::Mask {
        let secrets = mask::Secrets::default();
        match self {
            Self::Anonymous => secrets,
            Self::Basic { username, password } => secrets.with_login(username, password),
            Self::Bearer { token, .. } => secrets.with(token),
        }
        .mask()
    }
}

impl Access {
    /// The scope of a token (distribution, "Token Scope Documentation").
    pub(crate) fn scope(self, repository: &str) -> String {
        match self {
            Self::Pull => format!("repository:{repository}:pull"),
            Self::Push => format!("repository:{repository}:pull,push"),
        }
    }
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Basic { username, .. } => write!(f, "Basic({username}, …)"),
            Self::ManagedIdentity { client_id } => {
                write!(f, "ManagedIdentity({})", client_id.as_deref().unwrap_or("system-assigned"))
            }
            Self::WorkloadIdentity { tenant_id, client_id, token_file } => {
                write!(f, "WorkloadIdentity({tenant_id:?}, {client_id:?}, {token_file:?})")
            }
            Self::ServicePrincipal { tenant_id, client_id, .. } => {
                write!(f, "ServicePrincipal({tenant_id}, {client_id}, …)")
            }
        }
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
    fn secrets_are_not_printed() {
        let secret = || "hunter2".to_owned();
        let (tenant_id, client_id) = ("t".to_owned(), "c".to_owned());
        let basic = SignIn::Basic { username: "ci".into(), password: secret() };
        let principal = SignIn::ServicePrincipal { tenant_id, client_id, client_secret: secret() };
        let sent = Authorization::Basic { username: "ci".into(), password: secret() };
        let bearer = Authorization::Bearer { token: secret(), expires_at: Instant::now() };
        let printed = format!("{basic:?} {principal:?} {sent:?} {bearer:?}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
