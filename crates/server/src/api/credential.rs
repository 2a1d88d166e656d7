//! Credentials: what goes in never comes out.

use model::CredentialKind;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::CredentialKindWord;

/// A credential without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Credential {
    #[schema(example = "github")]
    pub name: String,
    #[schema(value_type = CredentialKindWord)]
    pub kind: CredentialKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Host keys for git over ssh, as known_hosts(5) writes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// A credential to be kept. Written over one of the same name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    #[schema(value_type = CredentialKindWord)]
    pub kind: CredentialKind,
    /// For `git` and `registry`; a token often wants any name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255)]
    pub username: Option<String>,
    /// Password, token, private key (for git over ssh, without a passphrase), `whsec_…`, or a build's secret.
    #[schema(min_length = 1, max_length = 65536, format = Password)]
    pub secret: String,
    /// Host keys for git over ssh, as ssh-keyscan prints them: a private key needs them, for no other host is
    /// trusted. Compare their fingerprints with those that the host's operator publishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<String>,
}

impl std::fmt::Debug for NewCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewCredential({:?}, …)", self.kind)
    }
}

/// A registry's credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CredentialList {
    pub credentials: Vec<Credential>,
}
