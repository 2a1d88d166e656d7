//! `/`: what matters now.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use model::RunStatus;

use super::html::{Shown as _, duration};
use super::shell::{Shell, render};
use super::view::{self, RunView};
use crate::App;
use crate::api::{Run, Statistics};
use crate::http::auth::Caller;
use crate::http::problem::Problem;
use crate::routes::list_runs::{self, ListQuery};
use crate::routes::registries::list_registries;
use crate::routes::statistics;

/// Runs in each of the lists.
const SHOWN: u32 = 8;

#[derive(Template)]
#[template(path = "front.html")]
struct Page {
    shell: Shell,
    numbers: Statistics,
    /// Publishing, started, and then those that wait.
    under_way: Vec<RunView>,
    failed: Vec<RunView>,
    latest: Vec<RunView>,
    /// Whether a run's registry has to be said.
    several: bool,
}

impl Page {
    #[expect(clippy::cast_precision_loss, reason = "seconds that are shown")]
    fn age(seconds: &i64) -> String {
        duration(*seconds as f64)
    }

    fn failed_in_a_day(&self) -> i64 {
        self.numbers.last_day.failed + self.numbers.last_day.timed_out
    }

    fn at_work(&self) -> i64 {
        self.numbers.queue.started + self.numbers.queue.publishing
    }
}

/// The overview.
pub(crate) async fn front(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let Json(numbers) = statistics::statistics(State(app.clone()), caller.clone()).await?;
    let list = async |status: Option<RunStatus>| {
        let query = ListQuery { status, limit: Some(SHOWN), ..ListQuery::default() };
        list_runs::page(&app, caller.registry(), &query).await.map(|page| page.runs)
    };
    let mut under_way = Vec::new();
    for status in [RunStatus::Publishing, RunStatus::Started, RunStatus::Queued] {
        under_way.extend(list(Some(status)).await?);
    }
    under_way.truncate(SHOWN as usize);
    let mut failed = list(Some(RunStatus::Failed)).await?;
    failed.extend(list(Some(RunStatus::TimedOut)).await?);
    newest(&mut failed);
    let latest = list(None).await?;
    let Json(registries) = list_registries(State(app.clone()), caller.clone()).await?;
    let several = registries.registries.len() > 1;
    let shell = Shell::new(&app, caller, "/").await?;
    let now = shell.now();
    let [under_way, failed, latest] = [under_way, failed, latest].map(|runs| view::runs(runs, now));
    render(&Page { shell, numbers, under_way, failed, latest, several })
}

fn newest(runs: &mut Vec<Run>) {
    runs.sort_by_key(|run| std::cmp::Reverse(run.id.0));
    runs.truncate(SHOWN as usize);
}
