//! `POST /v1/registries/{registry}/runs/{run}/rerun`

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use database::{NewRun as NewRow, RunRow};
use model::{BuildSpec, Rerun, SourceSpec};

use super::create_run::{answered, check_spec, replayed};
use super::idempotency::IdempotencyKey;
use super::lookup::{RunPath, find_run};
use crate::App;
use crate::api::Run;
use crate::http::auth::Caller;
use crate::http::extract::PathOf;
use crate::http::problem::Problem;
use crate::new_run::{check_use_of_credentials, fill_images_of, notify_of};

/// Do a run once more.
///
/// A new run of the same build, for the same cause and with the same trust: of the task as it was then, not as
/// it is now. Whoever is told of the task's runs is told of this one; where the task is gone, it is a run of no task. A token that may not manage credentials does so
/// with a build that names some only while the task has it like that.
#[utoipa::path(
    post, path = "/v1/registries/{registry}/runs/{run}/rerun", tag = "runs", operation_id = "rerun",
    params(
        ("registry" = String, Path, example = "local"),
        ("run" = uuid::Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 printable ASCII characters, chosen by the client")
    ),
    responses(
        (status = 201, description = "Queued", body = Run, headers(
            ("Location" = String, description = "Address of the new run"),
            ("Idempotency-Replayed" = Option<String>, description = "`true` where an earlier request made this run")
        )),
        (status = 403, description = "`role_too_small`: it names credentials, and the task is not as it was then, or gone", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`run_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`spec_invalid`, `platform_unavailable` or `source_not_found`: something that it needs is gone; `idempotency_key_reused`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn rerun(
    State(app): State<App>,
    caller: Caller,
    PathOf(path): PathOf<RunPath>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (registry, run) = find_run(&app, &path).await?;
    let idempotency = IdempotencyKey::of(&headers, &("rerun", run.id))?;
    if let Some(made) = replayed(&app, &registry, idempotency.as_ref()).await? {
        return answered(&registry, made);
    }
    check_spec(&app, &registry.name, &run.spec).await?;
    let task = match &run.task {
        Some(name) => app.database.get_task(&registry.name, name).await?,
        None => None,
    };
    let saved = task.as_ref().map(|task| as_started(&task.spec.build, &run));
    check_use_of_credentials(&caller, saved.as_ref(), &run.spec)?;
    let of_task = run.task;
    let mut row = NewRow::quick(&registry.name, run.spec);
    row.notify = notify_of(&registry, task.as_ref().map_or(&[], |task| &task.spec.notify));
    row.task = task.map(|task| (task.id, task.name));
    row.cause = run.cause.again(Rerun { of: run.id, by: caller.name().to_owned() });
    row.trust = run.trust;
    row.max_attempts = run.max_attempts;
    row.idempotency = idempotency.map(|key| (key.key, key.request));
    fill_images_of(&mut row, &registry, of_task.as_deref())?;
    answered(&registry, app.database.create_run(row).await?)
}

/// The build of a task as it is now, at the ref that the run was for where a hook named it: the event did, and nobody
/// who asks.
fn as_started(saved: &BuildSpec, run: &RunRow) -> BuildSpec {
    let mut build = saved.clone();
    if run.cause.event().is_some()
        && let SourceSpec::Git { reference: ran, .. } = &run.spec.source
        && let SourceSpec::Git { reference, .. } = &mut build.source
    {
        reference.clone_from(ran);
    }
    build
}
