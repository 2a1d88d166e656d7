//! `POST /v1/registries/{registry}/tasks/{task}/runs`

use axum::extract::State;
use axum::response::Response;
use database::NewRun as NewRow;
use model::{BuildSpec, Cause, Trust};

use super::create_run::{answered, check_spec, replayed, write_down};
use super::idempotency::IdempotencyKey;
use super::lookup::find_registry;
use super::patch::patched;
use super::tasks::{TaskPath, find_task};
use crate::App;
use crate::api::{Build, NewTaskRun, Run};
use crate::http::auth::Caller;
use crate::http::extract::{JsonOf, PathOf};
use crate::http::problem::Problem;
use crate::new_run::{check_use_of_credentials, fill_images, leave_out_registry, notify_of};

/// Run a task.
///
/// As it is saved, or with a merge patch of its `build`. The run keeps a copy of what it ran.
#[utoipa::path(post, path = "/v1/registries/{registry}/tasks/{task}/runs", tag = "tasks", operation_id = "runTask",
    params(
        ("registry" = String, Path, example = "local"),
        ("task" = String, Path, example = "app"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 printable ASCII characters, chosen by the client")
    ),
    request_body = NewTaskRun,
    responses(
        (status = 201, description = "Queued", body = Run, headers(
            ("Location" = String, description = "Address of the run"),
            ("Idempotency-Replayed" = Option<String>, description = "`true` where an earlier request made this run")
        )),
        (status = 404, description = "`task_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`spec_invalid`, `platform_unavailable` or `idempotency_key_reused`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn run_task(
    State(app): State<App>,
    caller: Caller,
    PathOf(path): PathOf<TaskPath>,
    headers: axum::http::HeaderMap,
    JsonOf(new): JsonOf<NewTaskRun>,
) -> Result<Response, Problem> {
    let registry = find_registry(&app, &path.registry).await?;
    let idempotency = IdempotencyKey::of(&headers, &(&path.task, &new))?;
    if let Some(made) = replayed(&app, &registry, idempotency.as_ref()).await? {
        return answered(&registry, made);
    }
    let task = find_task(&app, &path).await?;
    let build = patched(&Build::from(task.spec.build.clone()), new.build.unwrap_or_default())?;
    let mut spec = BuildSpec::from(build);
    leave_out_registry(&mut spec.images, &registry);
    check_spec(&app, &registry.name, &spec).await?;
    check_use_of_credentials(&caller, Some(&task.spec.build), &spec)?;
    let mut row = NewRow::quick(&registry.name, spec);
    row.task = Some((task.id, task.name.clone()));
    row.cause = Cause::asked(caller.name());
    row.trust = new.trust.unwrap_or(Trust::Trusted);
    row.notify = notify_of(&registry, &task.spec.notify);
    row.idempotency = idempotency.map(|i| (i.key, i.request));
    fill_images(&mut row, &registry)?;
    answered(&registry, write_down(&app, row).await?)
}
