//! What happened in a run, step by step: attempts, their steps, and the vertices of the build graph.

use model::{AttemptOutcome, StepKind, StepStatus, VertexResult};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{AttemptOutcomeWord, Failure, StepKindWord, StepStatusWord, VertexResultWord};

/// What happened in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunSteps {
    /// The first one first; none while the run has never been taken by a worker.
    pub attempts: Vec<Attempt>,
}

/// One try at a run, on one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// From 1.
    pub attempt: i32,
    /// Name of the worker.
    #[schema(example = "builder-1")]
    pub worker: String,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<OffsetDateTime>,
    /// Absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AttemptOutcomeWord>)]
    pub outcome: Option<AttemptOutcome>,
    /// Why it did not succeed, also where another attempt followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// In the order in which they began.
    pub steps: Vec<StepRun>,
}

/// What happened to a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepRun {
    #[schema(value_type = StepKindWord)]
    pub kind: StepKind,
    #[schema(value_type = StepStatusWord)]
    pub status: StepStatus,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<OffsetDateTime>,
    /// Of a build, those that have begun, in that order; some may run at the same time. The first 4096 are
    /// kept. Empty for a push.
    pub vertices: Vec<VertexRun>,
}

/// What happened to a vertex of the build graph: to an instruction, mostly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VertexRun {
    /// As in the run's log, where its lines begin with `#3 `. Counts from 1 in the order of beginning.
    pub number: i32,
    /// As the user wrote it, cut to 200 characters.
    #[schema(example = "RUN make", max_length = 200)]
    pub name: String,
    /// The stage's name, or `stage-1` for one without beside others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "build", max_length = 200)]
    pub stage: Option<String>,
    /// In the Dockerfile, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub line: Option<i32>,
    #[schema(value_type = VertexResultWord)]
    pub result: VertexResult,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// Absent while it runs.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<OffsetDateTime>,
}
