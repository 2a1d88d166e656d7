//! Tasks: saved definitions.

use model::{Notify, TaskSpec, Trigger, Trust};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::registry::NotifySchema;
use super::{Build, TrustWord};

/// A saved definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    #[schema(value_type = Uuid)]
    pub id: model::TaskId,
    #[schema(example = "app")]
    pub name: String,
    pub registry: String,
    /// What a run of it builds.
    pub build: Build,
    /// Whether triggers start it. A person still can.
    pub enabled: bool,
    #[schema(value_type = Vec<TriggerSchema>)]
    pub triggers: Vec<Trigger>,
    #[schema(value_type = Vec<NotifySchema>)]
    pub notify: Vec<Notify>,
    /// Also in the header ETag: give it back in If-Match to change what you saw, and nothing newer.
    pub version: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// A task to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    #[schema(example = "app", pattern = "^[a-z0-9][a-z0-9._-]{0,62}$")]
    pub name: String,
    pub build: Build,
    #[serde(default = "yes")]
    pub enabled: bool,
    #[serde(default)]
    #[schema(value_type = Vec<TriggerSchema>)]
    pub triggers: Vec<Trigger>,
    #[serde(default)]
    #[schema(value_type = Vec<NotifySchema>)]
    pub notify: Vec<Notify>,
}

/// All of a task that can be changed; for a merge patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskChange {
    pub build: Build,
    #[serde(default = "yes")]
    pub enabled: bool,
    #[serde(default)]
    #[schema(value_type = Vec<TriggerSchema>)]
    pub triggers: Vec<Trigger>,
    #[serde(default)]
    #[schema(value_type = Vec<NotifySchema>)]
    pub notify: Vec<Notify>,
}

/// For the document only: a JSON merge patch of [`TaskChange`].
#[derive(ToSchema)]
#[schema(as = TaskPatch)]
#[expect(dead_code, reason = "it exists for its schema")]
pub struct TaskPatch {
    build: Option<BuildPatch>,
    enabled: Option<bool>,
    triggers: Option<Vec<TriggerSchema>>,
    notify: Option<Vec<NotifySchema>>,
}

/// For the document only: a JSON merge patch of [`Build`].
#[derive(ToSchema)]
#[schema(as = BuildPatch)]
#[expect(dead_code, reason = "it exists for its schema")]
pub(super) struct BuildPatch {
    source: Option<super::NewSource>,
    source_credential: Option<String>,
    dockerfile: Option<String>,
    images: Option<Vec<String>>,
    target: Option<String>,
    build_args: Option<std::collections::BTreeMap<String, String>>,
    secrets: Option<std::collections::BTreeMap<String, String>>,
    #[schema(example = "linux/amd64")]
    platform: Option<String>,
    no_cache: Option<bool>,
    source_date_epoch: Option<i64>,
    #[schema(minimum = 1, maximum = 86400)]
    timeout_seconds: Option<u32>,
}

/// What a run of a task does differently.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTaskRun {
    /// A JSON merge patch (RFC 7396) of the task's `build`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BuildPatch>)]
    pub build: Option<serde_json::Map<String, serde_json::Value>>,
    /// `untrusted` gives the run no secrets and a cache of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<TrustWord>)]
    pub trust: Option<Trust>,
}

/// What starts a task.
#[derive(ToSchema)]
#[schema(as = Trigger)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(dead_code, reason = "it exists for its schema")]
pub(super) enum TriggerSchema {
    /// A push. With neither `branches` nor `tags`: to the branch that the source names, or else to the default branch.
    Commit {
        /// Names or patterns (`*`, `**`, `?`), of which one has to match.
        branches: Option<Vec<String>>,
        tags: Option<Vec<String>>,
        /// One changed file has to match one of them.
        paths: Option<Vec<String>>,
        /// Files that match are not looked at.
        ignore_paths: Option<Vec<String>>,
    },
    /// A pull (merge) request that was opened or got new commits.
    PullRequest {
        /// Of the branch it goes to.
        branches: Option<Vec<String>>,
        paths: Option<Vec<String>>,
        ignore_paths: Option<Vec<String>>,
    },
}

/// Tasks, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskPage {
    pub tasks: Vec<Task>,
    /// Give it as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

fn yes() -> bool {
    true
}

impl From<TaskChange> for TaskSpec {
    fn from(change: TaskChange) -> Self {
        let TaskChange { build, enabled, triggers, notify } = change;
        Self { build: build.into(), enabled, triggers, notify }
    }
}

impl From<TaskSpec> for TaskChange {
    fn from(spec: TaskSpec) -> Self {
        let TaskSpec { build, enabled, triggers, notify } = spec;
        Self { build: build.into(), enabled, triggers, notify }
    }
}
