//! `/tasks`, one task with its runs, and the forms that make and change one.

mod fields;
pub(crate) mod manage;
mod triggers;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::App;
use crate::http::auth::Caller;
use crate::http::extract::{PathOf, QueryOf};
use crate::http::problem::Problem;
use crate::page::html::Shown as _;
use crate::page::registries::{Choice, choose};
use crate::page::shell::{Shell, render};
use crate::page::view::{self, RunView, TaskView};
use crate::routes::list_runs;
use crate::routes::tasks::{self as list, ListQuery, TaskPath, find_task};

/// Tasks on a page.
const SHOWN: u32 = 100;
/// Runs of one task.
const RUNS: u32 = 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TasksQuery {
    #[serde(default)]
    registry: String,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "tasks.html")]
struct List {
    shell: Shell,
    choice: Choice,
    tasks: Vec<TaskView>,
    more: Option<String>,
}

#[derive(Template)]
#[template(path = "task.html")]
struct One {
    shell: Shell,
    task: TaskView,
    runs: Vec<RunView>,
    /// All of them, in the list of runs.
    all: String,
}

/// The list.
pub(crate) async fn tasks(
    State(app): State<App>,
    caller: Caller,
    QueryOf(TasksQuery { registry, cursor }): QueryOf<TasksQuery>,
) -> Result<Response, Problem> {
    let choice = choose(&app, &caller, &registry).await?;
    let (mut tasks, mut more) = (Vec::new(), None);
    if let Some(name) = &choice.chosen {
        let page = list::page(&app, name, &ListQuery { cursor, limit: Some(SHOWN) }).await?;
        more = page.next_cursor.map(|cursor| format!("/tasks?registry={name}&cursor={cursor}"));
        tasks = page.tasks.into_iter().map(TaskView).collect();
    }
    let shell = Shell::new(&app, caller, "/tasks").await?;
    render(&List { shell, choice, tasks, more })
}

/// One of them.
pub(crate) async fn task(
    State(app): State<App>,
    caller: Caller,
    PathOf(path): PathOf<TaskPath>,
) -> Result<Response, Problem> {
    let task = TaskView(find_task(&app, &path).await?.into());
    let query = list_runs::ListQuery {
        task: Some(task.name.clone()),
        limit: Some(RUNS),
        ..list_runs::ListQuery::default()
    };
    let found = list_runs::page(&app, Some(&task.registry), &query).await?;
    let name = utf8_percent_encode(&task.name, NON_ALPHANUMERIC);
    let all = format!("/runs?registry={}&task={name}", task.registry);
    let shell = Shell::new(&app, caller, "/tasks").await?;
    let runs = view::runs(found.runs, shell.now());
    render(&One { shell, task, runs, all })
}
