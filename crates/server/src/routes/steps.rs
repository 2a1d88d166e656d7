//! `GET /v1/registries/{registry}/runs/{run}/steps`

use axum::Json;
use axum::extract::State;
use database::{AttemptRow, StepRow, VertexRow};

use super::lookup::{RunPath, find_run};
use crate::App;
use crate::api::{Attempt, RunSteps, StepRun, VertexRun};
use crate::http::extract::PathOf;
use crate::http::problem::Problem;

/// See what happened in a run, step by step.
///
/// Each attempt with its steps, and the build's vertices with what became of them and when. Of a run that goes
/// on, what is known now: a moment behind at most.
#[utoipa::path(
    get, path = "/v1/registries/{registry}/runs/{run}/steps", tag = "runs", operation_id = "getRunSteps",
    params(
        ("registry" = String, Path, example = "local"),
        ("run" = uuid::Uuid, Path)
    ),
    responses(
        (status = 200, description = "The attempts, the first one first", body = RunSteps),
        (status = 404, description = "`run_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_run_steps(
    State(app): State<App>,
    PathOf(path): PathOf<RunPath>,
) -> Result<Json<RunSteps>, Problem> {
    let (_, run) = find_run(&app, &path).await?;
    let attempts = app.database.run_steps(run.id).await?;
    Ok(Json(RunSteps { attempts: attempts.into_iter().map(Attempt::from).collect() }))
}

impl From<AttemptRow> for Attempt {
    fn from(row: AttemptRow) -> Self {
        Self {
            attempt: row.attempt,
            worker: row.worker,
            started_at: row.started_at,
            finished_at: row.finished_at,
            outcome: row.outcome,
            failure: row.failure.map(Into::into),
            steps: row.steps.into_iter().map(StepRun::from).collect(),
        }
    }
}

impl From<StepRow> for StepRun {
    fn from(row: StepRow) -> Self {
        let StepRow { kind, status, started_at, finished_at, vertices } = row;
        Self {
            kind,
            status,
            started_at,
            finished_at,
            vertices: vertices.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<VertexRow> for VertexRun {
    fn from(row: VertexRow) -> Self {
        let VertexRow { number, name, stage, line, result, started_at, finished_at } = row;
        Self { number, name, stage, line, result, started_at, finished_at }
    }
}
