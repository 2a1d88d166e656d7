//! Access tokens, and workers.

use model::{Role, RunId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{RoleWord, WorkerLimitsWord};

/// An access token without its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    #[schema(value_type = Uuid)]
    pub id: model::TokenId,
    #[schema(example = "ci")]
    pub name: String,
    /// Its first characters.
    #[schema(example = "sw_a1b2")]
    pub shown: String,
    #[schema(value_type = RoleWord)]
    pub role: Role,
    /// Absent: every registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Name of the token that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<OffsetDateTime>,
    /// To the minute.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<OffsetDateTime>,
    /// The token itself; only in the answer that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    #[schema(example = "ci", min_length = 1, max_length = 100)]
    pub name: String,
    #[schema(value_type = RoleWord)]
    pub role: Role,
    /// Absent: every registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// Seconds from now until it ends by itself; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 315_360_000)]
    pub expires_in_seconds: Option<u32>,
}

/// Tokens, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenList {
    pub tokens: Vec<Token>,
}

/// A process that leases runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    #[schema(value_type = Uuid)]
    pub id: model::WorkerId,
    pub name: String,
    #[schema(example = "linux/amd64")]
    pub platform: String,
    /// Runs that it does at the same time.
    pub slots: i32,
    #[schema(value_type = WorkerLimitsWord)]
    pub limits: model::WorkerLimits,
    #[serde(with = "time::serde::rfc3339")]
    pub registered_at: OffsetDateTime,
    /// Its last sign of life.
    #[serde(with = "time::serde::rfc3339")]
    pub seen_at: OffsetDateTime,
    pub is_alive: bool,
    /// What it is doing, as far as the token may see.
    pub runs: Vec<WorkerRun>,
}

/// A run that a worker holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerRun {
    #[schema(value_type = Uuid)]
    pub id: RunId,
    pub registry: String,
}

/// Workers, those that live first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerList {
    pub workers: Vec<Worker>,
}
