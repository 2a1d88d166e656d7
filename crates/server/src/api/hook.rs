//! Hooks, and what they were sent.

use database::{DeliveryStatus, TaskDecision};
use model::GitHost;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{DeliveryStatusWord, GitHostWord};

/// An address that a git host delivers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hook {
    #[schema(example = "github")]
    pub name: String,
    #[schema(value_type = GitHostWord)]
    pub host: GitHost,
    /// Addresses of repositories whose events it may bring; any when empty.
    pub repositories: Vec<String>,
    /// Goes up with every change; the ETag.
    pub version: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    /// How long the secret before the present one is still good.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub previous_secret_until: Option<OffsetDateTime>,
    /// What to enter at the git host; only in the answer that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What to enter at the git host; only in the answer that made it, and not where it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// A hook to be made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHook {
    #[schema(example = "github", pattern = "^[a-z0-9][a-z0-9._-]{0,62}$")]
    pub name: String,
    #[schema(value_type = GitHostWord)]
    pub host: GitHost,
    /// Addresses of repositories whose events it may bring; any when empty.
    #[serde(default)]
    pub repositories: Vec<String>,
    /// A secret that the git host made, such as GitLab's signing token; 32 random bytes when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 16, max_length = 200, format = Password)]
    pub secret: Option<String>,
}

impl std::fmt::Debug for NewHook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewHook({}, {:?}, …)", self.name, self.host)
    }
}

/// For the document only: a JSON merge patch of a hook.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HookPatch {
    pub repositories: Option<Vec<String>>,
}

/// How a secret is changed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateHook {
    /// Seconds that the present secret stays good, a day when absent.
    #[serde(default = "a_day")]
    #[schema(minimum = 0, maximum = 2592000, default = 86400)]
    pub grace_seconds: i32,
    /// The new one, where the git host made it; 32 random bytes when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 16, max_length = 200, format = Password)]
    pub secret: Option<String>,
}

impl std::fmt::Debug for RotateHook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RotateHook({} s, …)", self.grace_seconds)
    }
}

fn a_day() -> i32 {
    86400
}

/// A registry's hooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HookList {
    pub hooks: Vec<Hook>,
}

/// What a hook was sent, and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    #[schema(value_type = Uuid)]
    pub id: model::DeliveryId,
    /// The hook's name.
    pub hook: String,
    /// The sender's own id of it.
    pub sender_id: String,
    #[schema(example = "push")]
    pub event: String,
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    #[schema(value_type = DeliveryStatusWord)]
    pub status: DeliveryStatus,
    /// What it was and what became of it, as a sentence.
    pub summary: String,
    /// For each task that was looked at.
    #[schema(value_type = Vec<DecisionSchema>)]
    pub decisions: Vec<TaskDecision>,
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub worked_at: Option<OffsetDateTime>,
    /// Bytes of the body.
    pub size: i64,
    /// Those that a host says something of the delivery by; only of one delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Vec<(String, String)>>,
    /// As it was sent; only of one delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// Why a task was started or not.
#[derive(ToSchema)]
#[schema(as = TaskDecision)]
#[expect(dead_code, reason = "it exists for its schema")]
pub(super) struct DecisionSchema {
    task: String,
    starts: bool,
    /// `branch main`, `no path matched`, …
    reason: String,
    /// What it started, now or before.
    run: Option<Uuid>,
    /// Whether that run was there before: then nothing was started. Left out when it is false.
    was_there: Option<bool>,
}

/// Deliveries, the newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeliveryPage {
    pub deliveries: Vec<Delivery>,
    /// Give it as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
