//! Tasks that are made, changed and removed: what the API does at the same request, by a form.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::fields;
use crate::App;
use crate::api::{Credential, Task};
use crate::http::auth::Caller;
use crate::http::extract::{JsonOf, PathOf};
use crate::http::problem::Problem;
use crate::page::form::{Form, Values, difference, done, read, seen};
use crate::page::view::task_address;
use crate::routes::credentials::list_credentials;
use crate::routes::tasks::{TaskPath, change_task, create_task, delete_task, find_task};

const ARGUMENTS: &str = "build.build_args";

/// `GET /registries/{registry}/new-task`
pub(crate) async fn new(
    State(app): State<App>,
    caller: Caller,
    PathOf(registry): PathOf<String>,
) -> Result<Response, Problem> {
    let credentials = credentials(&app, &registry).await?;
    blank(&registry, &fields::fresh(), &credentials).ask(&app, caller).await
}

/// `POST` to the same.
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    PathOf(registry): PathOf<String>,
    sent: Values,
) -> Result<Response, Problem> {
    let sent = sent.compact("triggers").compact("notify");
    let credentials = credentials(&app, &registry).await?;
    match make(&app, &registry, &sent).await {
        Ok(()) => Ok(done(&task_address(&registry, sent.line("name")))),
        Err(problem) => blank(&registry, &sent, &credentials).refused(&app, caller, problem).await,
    }
}

async fn make(app: &App, registry: &str, sent: &Values) -> Result<(), Problem> {
    let mut body = fields::body(sent)?;
    body.insert("name".to_owned(), sent.line("name").into());
    create_task(State(app.clone()), PathOf(registry.to_owned()), JsonOf(read(body)?)).await?;
    Ok(())
}

/// `GET /registries/{registry}/tasks/{task}/edit`
pub(crate) async fn edit(
    State(app): State<App>,
    caller: Caller,
    PathOf(path): PathOf<TaskPath>,
) -> Result<Response, Problem> {
    let task: Task = find_task(&app, &path).await?.into();
    let credentials = credentials(&app, &path.registry).await?;
    filled(&task, &fields::values(&task), &credentials).ask(&app, caller).await
}

/// `POST` to the same. Only what was touched is changed, and only if nobody else changed the task meanwhile.
pub(crate) async fn change(
    State(app): State<App>,
    caller: Caller,
    PathOf(path): PathOf<TaskPath>,
    sent: Values,
) -> Result<Response, Problem> {
    let sent = sent.compact("triggers").compact("notify");
    let task: Task = find_task(&app, &path).await?.into();
    let credentials = credentials(&app, &path.registry).await?;
    match save(&app, path, &task, &sent).await {
        Ok(()) => Ok(done(&task_address(&task.registry, &task.name))),
        Err(problem) => filled(&task, &sent, &credentials).refused(&app, caller, problem).await,
    }
}

async fn save(app: &App, path: TaskPath, task: &Task, sent: &Values) -> Result<(), Problem> {
    let patch = difference_to(task, sent.clone())?;
    change_task(State(app.clone()), PathOf(path), seen(sent), JsonOf(patch)).await?;
    Ok(())
}

/// What was touched. The value of a build argument may have several lines, which the form shows and can't read:
/// untouched, they stay as they are.
fn difference_to(task: &Task, mut after: Values) -> Result<Map<String, Value>, Problem> {
    let mut before = fields::values(task);
    let is_touched = before.take(ARGUMENTS).trim_end() != after.text(ARGUMENTS).trim_end();
    if !is_touched {
        after.take(ARGUMENTS);
    }
    let (mut before, after) = (fields::body(&before)?, fields::body(&after)?);
    if is_touched {
        before["build"]["build_args"] = json!(task.build.build_args);
    }
    Ok(difference(&before, &after))
}

/// `POST …/enable`
pub(crate) async fn enable(
    app: State<App>,
    path: PathOf<TaskPath>,
    sent: Values,
) -> Result<Response, Problem> {
    switch(app, path, &sent, true).await
}

/// `POST …/disable`
pub(crate) async fn disable(
    app: State<App>,
    path: PathOf<TaskPath>,
    sent: Values,
) -> Result<Response, Problem> {
    switch(app, path, &sent, false).await
}

async fn switch(
    app: State<App>,
    PathOf(path): PathOf<TaskPath>,
    sent: &Values,
    enabled: bool,
) -> Result<Response, Problem> {
    let page = task_address(&path.registry, &path.task);
    let patch = Map::from_iter([("enabled".to_owned(), Value::Bool(enabled))]);
    change_task(app, PathOf(path), seen(sent), JsonOf(patch)).await?;
    Ok(done(&page))
}

/// `GET …/delete`: asks.
pub(crate) async fn ask_to_delete(
    State(app): State<App>,
    caller: Caller,
    PathOf(path): PathOf<TaskPath>,
) -> Result<Response, Problem> {
    let task = find_task(&app, &path).await?;
    removal(&path).of_version(task.version).ask(&app, caller).await
}

/// `POST …/delete`
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller,
    PathOf(path): PathOf<TaskPath>,
    sent: Values,
) -> Result<Response, Problem> {
    let (form, list) = (removal(&path), format!("/tasks?registry={}", path.registry));
    match delete_task(State(app.clone()), PathOf(path), seen(&sent)).await {
        Ok(_) => Ok(done(&list)),
        Err(problem) => form.filled(&sent).refused(&app, caller, problem).await,
    }
}

fn removal(path: &TaskPath) -> Form {
    let back = (task_address(&path.registry, &path.task), &path.task);
    Form::new("/tasks", format!("Delete the task {}?", path.task), back, "Delete the task")
        .confirm("Nothing starts it any more. Its runs stay.")
}

fn blank(registry: &str, values: &Values, credentials: &[Credential]) -> Form {
    let back = (format!("/tasks?registry={registry}"), "Tasks");
    let form = Form::new("/tasks", format!("New task in {registry}"), back, "Make the task");
    fields::form(form, true, values, credentials)
}

fn filled(task: &Task, values: &Values, credentials: &[Credential]) -> Form {
    let back = (task_address(&task.registry, &task.name), &task.name);
    let form =
        Form::new("/tasks", format!("Change the task {}", task.name), back, "Save").of_version(task.version);
    fields::form(form, false, values, credentials)
}

async fn credentials(app: &App, registry: &str) -> Result<Vec<Credential>, Problem> {
    let Json(list) = list_credentials(State(app.clone()), PathOf(registry.to_owned())).await?;
    Ok(list.credentials)
}
