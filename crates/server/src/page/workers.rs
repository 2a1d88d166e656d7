//! `/workers`: who builds, and what.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use time::OffsetDateTime;

use super::html::Shown as _;
use super::shell::{Shell, render};
use super::view::RunView;
use crate::App;
use crate::api::{Worker, WorkerRun};
use crate::http::auth::Caller;
use crate::http::problem::Problem;
use crate::routes::lookup::{RunPath, find_run, show};
use crate::routes::workers::list_workers;

#[derive(Template)]
#[template(path = "workers.html")]
struct Page {
    shell: Shell,
    workers: Vec<WorkerView>,
}

/// A worker with the runs it holds.
struct WorkerView {
    worker: Worker,
    runs: Vec<RunView>,
}

impl Page {
    fn alive(&self) -> usize {
        self.workers.iter().filter(|view| view.worker.is_alive).count()
    }
}

impl WorkerView {
    fn runs(&self) -> &[RunView] {
        &self.runs
    }
}

/// The list.
pub(crate) async fn workers(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let Json(list) = list_workers(State(app.clone()), caller.clone()).await?;
    let shell = Shell::new(&app, caller, "/workers").await?;
    let mut workers = Vec::new();
    for worker in list.workers {
        let runs = runs_of(&app, &worker.runs, shell.now()).await?;
        workers.push(WorkerView { worker, runs });
    }
    render(&Page { shell, workers })
}

async fn runs_of(app: &App, held: &[WorkerRun], now: OffsetDateTime) -> Result<Vec<RunView>, Problem> {
    let mut runs = Vec::new();
    for run in held {
        let path = RunPath { registry: run.registry.clone(), run: run.id.0 };
        let (registry, row) = find_run(app, &path).await?;
        runs.push(RunView { run: show(&registry, row), now });
    }
    Ok(runs)
}
