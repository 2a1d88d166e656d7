//! `POST /v1/registries/{registry}/runs/{run}/cancel`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use database::Cancel;
use model::{RunId, RunStatus};

use super::lookup::{RunPath, find_run, run_not_found, show};
use crate::App;
use crate::api::Run;
use crate::http::extract::PathOf;
use crate::http::kind;
use crate::http::problem::Problem;

/// Cancel a run.
///
/// May be repeated. It is honoured until the push of the image's manifest begins.
#[utoipa::path(
    post, path = "/v1/registries/{registry}/runs/{run}/cancel", tag = "runs", operation_id = "cancelRun",
    params(("registry" = String, Path, example = "local"), ("run" = uuid::Uuid, Path)),
    responses(
        (status = 202, description = "It will be, or already is when it was still queued", body = Run),
        (status = 200, description = "It was cancelled before", body = Run),
        (status = 404, description = "`run_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`run_finished` or `cancel_too_late`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn cancel_run(
    State(app): State<App>,
    PathOf(path): PathOf<RunPath>,
) -> Result<(StatusCode, Json<Run>), Problem> {
    let id = RunId(path.run);
    find_run(&app, &path).await?;
    let status = match app.database.request_cancel(id).await? {
        Cancel::Requested => StatusCode::ACCEPTED,
        Cancel::Done(RunStatus::Cancelled) => StatusCode::OK,
        Cancel::Done(status) => return Err(finished(id, status)),
        Cancel::TooLate => return Err(too_late(id)),
        Cancel::NotFound => return Err(run_not_found(id)),
    };
    app.changes.tell(id);
    let (registry, run) = find_run(&app, &path).await?;
    Ok((status, Json(show(&registry, run))))
}

fn finished(run: RunId, status: RunStatus) -> Problem {
    let detail = format!("Run {run} has ended already: {status}.");
    Problem::new(&kind::RUN_FINISHED, detail, "There is nothing left to cancel.")
}

fn too_late(run: RunId) -> Problem {
    Problem::new(
        &kind::CANCEL_TOO_LATE,
        format!("The image of run {run} is being tagged at this moment."),
        "Wait for its end, then remove the tag from the registry if it is not wanted.",
    )
}
