//! `/registries/{registry}/runs/{run}`: a run with what happened in it, and its log.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::html::Shown as _;
use super::log::{self, Tail};
use super::shell::{Shell, render};
use super::steps::{Waterfall, waterfalls};
use super::view::RunView;
use crate::App;
use crate::api::Run;
use crate::http::auth::Caller;
use crate::http::extract::{PathOf, QueryOf};
use crate::http::problem::Problem;
use crate::routes::get_run::reports_of;
use crate::routes::logs::known_attempt;
use crate::routes::lookup::{RunPath, find_run, show};
use crate::routes::steps::get_run_steps;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunQuery {
    /// Whose log is shown; the latest when absent.
    attempt: Option<i32>,
    /// Asked for by the script, which has the log already.
    #[serde(default)]
    live: bool,
}

#[derive(Template)]
#[template(path = "run.html")]
struct Page {
    shell: Shell,
    run: RunView,
    waterfalls: Vec<Waterfall>,
    /// Whose log is shown.
    attempt: i32,
    tail: Tail,
    live: bool,
}

impl Page {
    fn attempts(&self) -> std::ops::RangeInclusive<i32> {
        1..=self.run.attempt
    }

    fn shows(&self, attempt: &i32) -> bool {
        self.attempt == *attempt
    }

    /// Where the script reads the log: another attempt than the latest has ended, and nothing follows it.
    fn log_address(&self) -> String {
        format!("/v1/registries/{}/runs/{}/logs?attempt={}", self.run.registry, self.run.id, self.attempt)
    }
}

/// The run.
pub(crate) async fn run(
    State(app): State<App>,
    caller: Caller,
    PathOf(path): PathOf<RunPath>,
    QueryOf(query): QueryOf<RunQuery>,
) -> Result<Response, Problem> {
    let (registry, row) = find_run(&app, &path).await?;
    let attempt = known_attempt(query.attempt, row.attempt)?.unwrap_or(row.attempt);
    let tail = match query.live {
        true => Tail::default(),
        false => log::tail(&app, row.id, attempt).await?,
    };
    let Json(steps) = get_run_steps(State(app.clone()), PathOf(path)).await?;
    let shell = Shell::new(&app, caller, "/runs").await?;
    let waterfalls = waterfalls(steps, shell.now());
    let shown = waterfalls.iter().filter(|fall| fall.attempt.attempt == attempt);
    let tail = tail.with_vertices(shown.flat_map(|fall| &fall.rows).filter_map(|row| row.number));
    let reports = reports_of(&app, row.id).await?;
    let run = RunView { run: Run { reports, ..show(&registry, row) }, now: shell.now() };
    render(&Page { shell, run, waterfalls, attempt, tail, live: query.live })
}
