//! Registries, and the webhooks that they and tasks send.

use model::{Notify, SignIn};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// Where runs push to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Registry {
    #[schema(example = "prod")]
    pub name: String,
    /// `host[:port]`.
    #[schema(example = "team.azurecr.io")]
    pub address: String,
    /// http instead of https.
    pub plain_http: bool,
    #[schema(value_type = SignInSchema)]
    pub sign_in: SignIn,
    /// Webhooks about every run here.
    #[schema(value_type = Vec<NotifySchema>)]
    pub notify: Vec<Notify>,
    /// Goes up with every change; the ETag.
    pub version: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// Receivers of webhooks that answered 410 Gone: nothing is sent there until `notify`, here or of a task, names
    /// them anew. Only in the answer about one registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone_receivers: Vec<GoneReceiver>,
}

/// A receiver of webhooks that answered 410 Gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GoneReceiver {
    pub url: String,
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
}

/// A registry to be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRegistry {
    /// Lower-case letters, digits and `-`.
    #[schema(example = "prod", pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    pub name: String,
    /// `host[:port]`, without a scheme or a path.
    #[schema(example = "team.azurecr.io")]
    pub address: String,
    /// http instead of https; always so on loopback.
    #[serde(default)]
    pub plain_http: bool,
    #[serde(default)]
    #[schema(value_type = SignInSchema)]
    pub sign_in: SignIn,
    #[serde(default)]
    #[schema(value_type = Vec<NotifySchema>)]
    pub notify: Vec<Notify>,
}

/// All of a registry that can be changed; for a merge patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryChange {
    pub address: String,
    #[serde(default)]
    pub plain_http: bool,
    #[serde(default)]
    #[schema(value_type = SignInSchema)]
    pub sign_in: SignIn,
    #[serde(default)]
    #[schema(value_type = Vec<NotifySchema>)]
    pub notify: Vec<Notify>,
}

/// For the document only: a JSON merge patch of [`RegistryChange`].
#[derive(ToSchema)]
#[schema(as = RegistryPatch)]
#[expect(dead_code, reason = "it exists for its schema")]
pub struct RegistryPatch {
    address: Option<String>,
    plain_http: Option<bool>,
    sign_in: Option<SignInSchema>,
    notify: Option<Vec<NotifySchema>>,
}

/// How a registry is signed in to. Secrets are named, never held.
#[derive(ToSchema)]
#[schema(as = SignIn)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(dead_code, reason = "it exists for its schema")]
pub(super) enum SignInSchema {
    Anonymous,
    /// User and password, for the registry itself or for its token service.
    Basic {
        /// Name of a credential of kind `registry`.
        credential: String,
    },
    /// The machine's managed identity; a user-assigned one by its client id.
    ManagedIdentity {
        client_id: Option<String>,
    },
    /// A token that Kubernetes puts into the publisher's pod.
    WorkloadIdentity {
        tenant_id: Option<String>,
        client_id: Option<String>,
    },
    ServicePrincipal {
        tenant_id: String,
        client_id: String,
        /// Name of a credential of kind `registry`.
        credential: String,
    },
}

/// An outgoing webhook, signed as Standard Webhooks has it.
#[derive(ToSchema)]
#[schema(as = Notify)]
#[expect(dead_code, reason = "it exists for its schema")]
pub(super) struct NotifySchema {
    /// http or https, without user and password.
    #[schema(example = "https://example.com/hook")]
    url: String,
    /// Name of a credential of kind `webhook`.
    credential: String,
    /// Every one when empty.
    events: Option<Vec<RunEventSchema>>,
}

/// What can be told of a run.
#[derive(ToSchema)]
#[schema(as = RunEvent)]
#[expect(dead_code, reason = "it exists for its schema")]
pub(super) enum RunEventSchema {
    #[serde(rename = "run.queued")]
    Queued,
    #[serde(rename = "run.started")]
    Started,
    #[serde(rename = "run.finished")]
    Finished,
}

/// Every registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegistryList {
    pub registries: Vec<Registry>,
}
