//! Who may do what, and how a registry is signed in to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a token may do; each role may do what those before it may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks.
    Reader,
    /// Starts and cancels runs.
    Submitter,
    /// Changes tasks, hooks and credentials.
    Contributor,
    /// Changes registries and tokens.
    Administrator,
}

impl Role {
    /// Every one, the smallest first.
    pub const ALL: [Self; 4] = [Self::Reader, Self::Submitter, Self::Contributor, Self::Administrator];

    /// The word used in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Submitter => "submitter",
            Self::Contributor => "contributor",
            Self::Administrator => "administrator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no role: reader, submitter, contributor or administrator"))
    }
}

/// What a credential is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// Fetching a source: user and password (or token), or a private key for ssh.
    Git,
    /// Signing in to a registry: a password, or a service principal's secret.
    Registry,
    /// Signing outgoing webhooks: `whsec_` and base64.
    Webhook,
    /// A build's secret.
    Build,
}

impl CredentialKind {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Git, Self::Registry, Self::Webhook, Self::Build];

    /// The word used in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Registry => "registry",
            Self::Webhook => "webhook",
            Self::Build => "build",
        }
    }
}

impl FromStr for CredentialKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no kind of credential: git, registry, webhook or build"))
    }
}

/// How a registry is signed in to. Secrets are named, never held.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum SignIn {
    #[default]
    Anonymous,
    /// User and password, for the registry itself or for its token service.
    Basic {
        /// Name of a credential of kind `registry`.
        credential: String,
    },
    /// The machine's managed identity; a user-assigned one by its client id.
    ManagedIdentity {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
    },
    /// A token that Kubernetes puts into the publisher's pod.
    WorkloadIdentity {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
    },
    ServicePrincipal {
        tenant_id: String,
        client_id: String,
        /// Name of a credential of kind `registry`.
        credential: String,
    },
}

impl SignIn {
    /// Whether a token of Microsoft Entra's is what the registry gets.
    #[must_use]
    pub fn is_azures(&self) -> bool {
        match self {
            Self::Anonymous | Self::Basic { .. } => false,
            Self::ManagedIdentity { .. } | Self::WorkloadIdentity { .. } | Self::ServicePrincipal { .. } => {
                true
            }
        }
    }

    /// The credential it names.
    #[must_use]
    pub fn credential(&self) -> Option<&str> {
        match self {
            Self::Basic { credential } | Self::ServicePrincipal { credential, .. } => Some(credential),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_do_what_the_smaller_ones_may() {
        assert!(Role::ALL.is_sorted());
        assert!("owner".parse::<Role>().is_err_and(|error| error.contains("reader, submitter")));
    }
}
