//! `POST /v1/registries/{registry}/runs/{run}/rerun`

use axum::extract::State;
use axum::response::Response;
use database::NewRun as NewRow;
use model::Rerun;

use super::create_run::{answered, check_spec};
use super::lookup::{RunPath, find_run};
use crate::App;
use crate::api::Run;
use crate::http::auth::Caller;
use crate::http::extract::PathOf;
use crate::http::problem::Problem;
use crate::new_run::{fill_images, notify_of};

/// Do a run once more.
///
/// A new run of the same build, for the same cause and with the same trust: of the task as it was then, not as
/// it is now. Whoever is told of the task's runs is told of this one.
#[utoipa::path(
    post, path = "/v1/registries/{registry}/runs/{run}/rerun", tag = "runs", operation_id = "rerun",
    params(("registry" = String, Path, example = "local"), ("run" = uuid::Uuid, Path)),
    responses(
        (status = 201, description = "Queued", body = Run, headers(("Location" = String, description = "Address of the new run"))),
        (status = 404, description = "`run_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`spec_invalid`, `platform_unavailable` or `source_not_found`: something that it needs is gone", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn rerun(
    State(app): State<App>,
    caller: Caller,
    PathOf(path): PathOf<RunPath>,
) -> Result<Response, Problem> {
    let (registry, run) = find_run(&app, &path).await?;
    check_spec(&app, &registry.name, &run.spec).await?;
    let task = match &run.task {
        Some(name) => app.database.get_task(&registry.name, name).await?,
        None => None,
    };
    // What a run of it used, it may use again: the same source with the same credentials.
    let mut row = NewRow::quick(&registry.name, run.spec);
    row.notify = notify_of(&registry, task.as_ref().map_or(&[], |task| &task.spec.notify));
    row.task = task.map(|task| (task.id, task.name));
    row.cause = run.cause.again(Rerun { of: run.id, by: caller.name().to_owned() });
    row.trust = run.trust;
    row.max_attempts = run.max_attempts;
    fill_images(&mut row, &registry)?;
    answered(&registry, app.database.create_run(row).await?)
}
