//! `/v1/registries/{registry}/tasks`: saved definitions.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use database::{Changed, CredentialRow, TaskRow};
use model::{CredentialKind, SourceSpec, TaskSpec};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::cursor;
use super::etag::{self, check_seen, outdated};
use super::list_runs::limit;
use super::lookup::find_registry;
use super::names::check_name;
use super::patch::patched;
use super::registries::{check_credential, check_notify, receivers_named};
use crate::App;
use crate::api::{NewTask, Task, TaskChange, TaskPage, TaskPatch};
use crate::git_key;
use crate::http::extract::{JsonOf, PathOf, QueryOf};
use crate::http::kind;
use crate::http::problem::Problem;
use crate::new_run::{check_platform, leave_out_registry};

/// `{registry}/tasks/{task}`
#[derive(Debug, Deserialize)]
pub(crate) struct TaskPath {
    pub(crate) registry: String,
    pub(crate) task: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    pub(crate) cursor: Option<String>,
    pub(crate) limit: Option<u32>,
}

/// List tasks.
#[utoipa::path(get, path = "/v1/registries/{registry}/tasks", tag = "tasks", operation_id = "listTasks",
    params(
        ("registry" = String, Path, example = "local"),
        ("limit" = Option<u32>, Query, description = "Tasks on a page, 20 when absent", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")
    ),
    responses(
        (status = 200, description = "A page, by name", body = TaskPage, headers(
            ("Link" = Option<String>, description = "The next page, `rel=\"next\"`; absent on the last one")
        )),
        (status = 404, description = "`registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list_tasks(
    State(app): State<App>,
    PathOf(registry): PathOf<String>,
    QueryOf(query): QueryOf<ListQuery>,
) -> Result<Response, Problem> {
    let registry = find_registry(&app, &registry).await?;
    let limit = limit(query.limit)?;
    let page = page(&app, &registry.name, &query).await?;
    let address = format!("/v1/registries/{}/tasks", registry.name);
    let link = page.next_cursor.as_ref().map(|next| cursor::link(&address, limit, &[], next));
    Ok((link.unwrap_or_default(), Json(page)).into_response())
}

/// A page of a registry's tasks.
pub(crate) async fn page(app: &App, registry: &str, query: &ListQuery) -> Result<TaskPage, Problem> {
    let limit = limit(query.limit)?;
    let after = query.cursor.as_deref().map(cursor::read_text).transpose()?;
    let mut rows = app.database.list_tasks(registry, after.as_deref(), limit + 1).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| more).map(|row| cursor::write_text(&row.name));
    Ok(TaskPage { tasks: rows.into_iter().map(Into::into).collect(), next_cursor })
}

/// Make a task.
#[utoipa::path(post, path = "/v1/registries/{registry}/tasks", tag = "tasks", operation_id = "createTask",
    params(("registry" = String, Path, example = "local")),
    request_body(content = NewTask, example = json!({
        "name": "app",
        "build": { "source": "https://example.com/team/app.git#main", "images": ["team/app:{{.Run.ID}}"] },
        "triggers": [{ "type": "commit", "branches": ["main"] }],
    })),
    responses(
        (status = 201, description = "Made", body = Task, headers(("ETag" = String, description = "Its version"))),
        (status = 404, description = "`registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`already_exists`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`name_invalid`, `task_invalid` or `platform_unavailable`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create_task(
    State(app): State<App>,
    PathOf(registry): PathOf<String>,
    JsonOf(new): JsonOf<NewTask>,
) -> Result<Response, Problem> {
    let registry = find_registry(&app, &registry).await?;
    let NewTask { name, build, enabled, triggers, notify } = new;
    check_name(&name)?;
    let mut spec = TaskSpec { build: build.into(), enabled, triggers, notify };
    leave_out_registry(&mut spec.build.images, &registry);
    validate(&app, &registry.name, &spec).await?;
    check_its_platform(&app, &spec.build).await?;
    let repository = spec.build.source.repository();
    let made = app.database.create_task(&registry.name, &name, &spec, repository.as_deref()).await?;
    let made = made.ok_or_else(|| {
        let detail = format!("There is a task `{name}` already.");
        let hint = format!("`slipway task update {name}` changes it, as its page does; by REST, PATCH.");
        Problem::new(&kind::ALREADY_EXISTS, detail, hint).in_field("name")
    })?;
    receivers_named(&app, &registry.name, &spec.notify).await?;
    Ok(tagged(StatusCode::CREATED, made))
}

/// Look at a task.
#[utoipa::path(get, path = "/v1/registries/{registry}/tasks/{task}", tag = "tasks", operation_id = "getTask",
    params(("registry" = String, Path, example = "local"), ("task" = String, Path, example = "app")),
    responses(
        (status = 200, description = "The task", body = Task, headers(("ETag" = String, description = "Its version"))),
        (status = 404, description = "`task_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_task(
    State(app): State<App>,
    PathOf(path): PathOf<TaskPath>,
) -> Result<Response, Problem> {
    Ok(tagged(StatusCode::OK, find_task(&app, &path).await?))
}

/// Change a task.
///
/// A JSON merge patch (RFC 7396). With If-Match it is made only if nobody changed the task meanwhile. Runs
/// that are there stay as they are.
#[utoipa::path(patch, path = "/v1/registries/{registry}/tasks/{task}", tag = "tasks", operation_id = "changeTask",
    params(
        ("registry" = String, Path, example = "local"),
        ("task" = String, Path, example = "app"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was seen")
    ),
    request_body = TaskPatch,
    responses(
        (status = 200, description = "Changed", body = Task, headers(("ETag" = String, description = "Its version"))),
        (status = 404, description = "`task_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "`outdated`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`task_invalid` or `platform_unavailable`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn change_task(
    State(app): State<App>,
    PathOf(path): PathOf<TaskPath>,
    headers: HeaderMap,
    JsonOf(patch): JsonOf<Map<String, Value>>,
) -> Result<Response, Problem> {
    let registry = find_registry(&app, &path.registry).await?;
    // Without If-Match a change that came between is no reason to fail: the patch is applied to it.
    for _ in 0..5 {
        let there = find_task(&app, &path).await?;
        check_seen(&headers, there.version)?;
        let platform = there.spec.build.platform.clone();
        let change: TaskChange = patched(&TaskChange::from(there.spec), patch.clone())?;
        let mut spec = TaskSpec::from(change);
        leave_out_registry(&mut spec.build.images, &registry);
        validate(&app, &there.registry, &spec).await?;
        // What is saved may outlive its workers; nothing else has to wait for them.
        if spec.build.platform != platform {
            check_its_platform(&app, &spec.build).await?;
        }
        let repository = spec.build.source.repository();
        match app.database.update_task(there.id, there.version, &spec, repository.as_deref()).await? {
            Changed::Yes(row) => {
                if patch.contains_key("notify") {
                    receivers_named(&app, &row.registry, &spec.notify).await?;
                }
                return Ok(tagged(StatusCode::OK, *row));
            }
            Changed::NotFound => return Err(task_not_found(&path.task)),
            Changed::Outdated => {}
        }
    }
    Err(outdated())
}

/// Remove a task.
///
/// Its runs stay. With If-Match only if nobody changed it meanwhile.
#[utoipa::path(delete, path = "/v1/registries/{registry}/tasks/{task}", tag = "tasks", operation_id = "deleteTask",
    params(
        ("registry" = String, Path, example = "local"),
        ("task" = String, Path, example = "app"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was seen")
    ),
    responses(
        (status = 204, description = "Removed"),
        (status = 404, description = "`task_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "`outdated`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn delete_task(
    State(app): State<App>,
    PathOf(path): PathOf<TaskPath>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let task = find_task(&app, &path).await?;
    let seen = check_seen(&headers, task.version)?;
    match app.database.delete_task(task.id, seen).await? || seen.is_none() {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(outdated()),
    }
}

/// The task of a path.
pub(crate) async fn find_task(app: &App, path: &TaskPath) -> Result<TaskRow, Problem> {
    let registry = find_registry(app, &path.registry).await?;
    let found = app.database.get_task(&registry.name, &path.task).await?;
    found.ok_or_else(|| task_not_found(&path.task))
}

fn task_not_found(name: &str) -> Problem {
    let shown: String = name.chars().take(100).collect();
    Problem::new(
        &kind::TASK_NOT_FOUND,
        format!("There is no task `{shown}`."),
        "`slipway task list` lists them.",
    )
    .in_field("task")
}

async fn validate(app: &App, registry: &str, spec: &TaskSpec) -> Result<(), Problem> {
    let refuse = |field: String, message: String, hint: String| {
        Err(Problem::new(&kind::TASK_INVALID, message, hint).in_field(field))
    };
    if let Err(error) = spec.build.validate() {
        return refuse(format!("build.{}", error.field), error.message, error.hint);
    }
    if matches!(spec.build.source, SourceSpec::Upload { .. }) {
        let hint = "Name a git repository; an upload is for one run.";
        return refuse("build.source".into(), "A task's source can't be an upload.".into(), hint.into());
    }
    if let Err(error) = triggers::validate(&spec.triggers) {
        return refuse(error.field, error.message, error.hint);
    }
    check_build_credentials(app, registry, &spec.build, &kind::TASK_INVALID, "build.").await?;
    check_notify(app, registry, &spec.notify, &kind::TASK_INVALID).await
}

/// As of a run: what would be refused then is not kept.
async fn check_its_platform(app: &App, build: &model::BuildSpec) -> Result<(), Problem> {
    check_platform(&app.database.platforms().await?, build)
        .map_err(|problem| problem.in_field("build.platform"))
}

/// That what a build names is there.
pub(crate) async fn check_build_credentials(
    app: &App,
    registry: &str,
    build: &model::BuildSpec,
    kind: &'static kind::Kind,
    prefix: &str,
) -> Result<(), Problem> {
    if let Some(name) = &build.source_credential {
        let field = format!("{prefix}source_credential");
        let found = check_credential(app, registry, name, CredentialKind::Git, kind, &field).await?;
        check_fits(&build.source, &found)
            .map_err(|(message, hint)| Problem::new(kind, message, hint).in_field(field))?;
    }
    for (id, name) in &build.secrets {
        check_credential(app, registry, name, CredentialKind::Build, kind, &format!("{prefix}secrets.{id}"))
            .await?;
    }
    Ok(())
}

/// A source over ssh wants a key, and one of its host's; any other wants none.
fn check_fits(source: &SourceSpec, credential: &CredentialRow) -> Result<(), (String, String)> {
    let SourceSpec::Git { .. } = source else { return Ok(()) };
    let name = &credential.name;
    match (source.ssh(), &credential.known_hosts) {
        (Some(_), None) => Err((
            format!("The credential `{name}` is a token, and the source is fetched over ssh."),
            "Name one that holds a private key and host keys, or write the address with https://.".to_owned(),
        )),
        (None, Some(_)) => Err((
            format!("The credential `{name}` is a key for ssh, and the source's address is none of ssh."),
            "Write the address as git@host:path or ssh://git@host/path, or name a credential with a token."
                .to_owned(),
        )),
        (Some(address), Some(hosts)) if !git_key::knows(hosts, &address) => Err((
            format!("The credential `{name}` holds no host key for {}.", address.known_as()),
            git_key::HOW_TO_PIN.to_owned(),
        )),
        (Some(_), Some(_)) | (None, None) => Ok(()),
    }
}

fn tagged(status: StatusCode, row: TaskRow) -> Response {
    etag::tagged(status, row.version, Task::from(row))
}

impl From<TaskRow> for Task {
    fn from(row: TaskRow) -> Self {
        let TaskRow { id, registry, name, spec, version, created_at, updated_at } = row;
        let TaskChange { build, enabled, triggers, notify } = spec.into();
        Self { id, name, registry, build, enabled, triggers, notify, version, created_at, updated_at }
    }
}
