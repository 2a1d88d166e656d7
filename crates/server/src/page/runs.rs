//! `/runs`: the runs of one registry or of all, by what is asked for in the address.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use model::{Cause, RunStatus};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::html::Shown as _;
use super::shell::{Shell, render};
use super::view::{self, RunView, word};
use crate::App;
use crate::http::auth::Caller;
use crate::http::extract::QueryOf;
use crate::http::kind;
use crate::http::problem::Problem;
use crate::routes::list_runs::{self, ListQuery};
use crate::routes::lookup::find_registry;
use crate::routes::registries::list_registries;

/// Runs on a page.
const SHOWN: u32 = 50;

/// What the form sends: a field that was left empty comes as an empty text.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    #[serde(default)]
    registry: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    task: String,
    #[serde(default)]
    cause: String,
    #[serde(default)]
    branch: String,
    #[serde(default)]
    commit: String,
    #[serde(default)]
    limit: String,
    #[serde(default)]
    cursor: String,
}

#[derive(Template)]
#[template(path = "runs.html")]
struct Page {
    shell: Shell,
    filter: Filter,
    registries: Vec<String>,
    runs: Vec<RunView>,
    /// The address of the next page.
    older: Option<String>,
}

impl Page {
    fn statuses(&self) -> Vec<(&'static str, String)> {
        RunStatus::ALL.iter().map(|status| (status.as_str(), word(status.as_str()))).collect()
    }

    fn causes(&self) -> Vec<(&'static str, &'static str)> {
        let words = ["a person", "a push", "a pull request"];
        Cause::WORDS.into_iter().zip(words).collect()
    }

    fn same(one: &str, other: &str) -> bool {
        one == other
    }

    fn is_filtered(&self) -> bool {
        let Filter { registry, status, task, cause, branch, commit, .. } = &self.filter;
        [registry, status, task, cause, branch, commit].iter().any(|field| !field.is_empty())
    }
}

/// The list.
pub(crate) async fn runs(
    State(app): State<App>,
    caller: Caller,
    QueryOf(mut filter): QueryOf<Filter>,
) -> Result<Response, Problem> {
    filter.trim();
    let there = |field: &str| (!field.is_empty()).then(|| field.to_owned());
    let query = ListQuery {
        cursor: there(&filter.cursor),
        limit: Some(there(&filter.limit).map_or(Ok(SHOWN), |limit| limit.parse().map_err(no_number))?),
        status: there(&filter.status)
            .map(|status| status.parse().map_err(|_| unknown_status()))
            .transpose()?,
        task: there(&filter.task),
        cause: there(&filter.cause),
        branch: there(&filter.branch),
        commit: there(&filter.commit),
    };
    let registry = there(&filter.registry);
    if let Some(registry) = &registry {
        caller.check(caller.role(), Some(registry))?;
        find_registry(&app, registry).await?;
    }
    let found = list_runs::page(&app, registry.as_deref().or(caller.registry()), &query).await?;
    let Json(list) = list_registries(State(app.clone()), caller.clone()).await?;
    let registries = list.registries.into_iter().map(|registry| registry.name).collect();
    let older = found.next_cursor.map(|cursor| filter.address(&cursor));
    let shell = Shell::new(&app, caller, "/runs").await?;
    let runs = view::runs(found.runs, shell.now());
    render(&Page { shell, filter, registries, runs, older })
}

impl Filter {
    fn fields(&mut self) -> [(&'static str, &mut String); 7] {
        let Self { registry, status, task, cause, branch, commit, limit, .. } = self;
        [
            ("registry", registry),
            ("status", status),
            ("task", task),
            ("cause", cause),
            ("branch", branch),
            ("commit", commit),
            ("limit", limit),
        ]
    }

    fn trim(&mut self) {
        for (_, field) in self.fields() {
            *field = field.trim().to_owned();
        }
    }

    fn address(&mut self, cursor: &str) -> String {
        let mut address = "/runs?".to_owned();
        for (name, field) in self.fields() {
            if !field.is_empty() {
                address += &format!("{name}={}&", utf8_percent_encode(field, NON_ALPHANUMERIC));
            }
        }
        format!("{address}cursor={cursor}")
    }
}

fn unknown_status() -> Problem {
    let hint = "Choose one of the statuses in the list.";
    Problem::new(&kind::PARAMETER_INVALID, "That is none of the statuses.", hint).in_field("status")
}

fn no_number(_: std::num::ParseIntError) -> Problem {
    Problem::new(&kind::PARAMETER_INVALID, "`limit` is no number.", "Ask for 1 to 200.").in_field("limit")
}
