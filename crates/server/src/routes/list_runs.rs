//! `GET /v1/registries/{registry}/runs`, and `GET /v1/runs` for every registry that the token sees.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use database::RunFilter;
use model::{Cause, RunStatus};
use serde::Deserialize;

use super::lookup::{find_registry, runs_address, show};
use super::{cursor, moves};
use crate::App;
use crate::api::{CauseWord, RunPage, StatusWord};
use crate::http::auth::Caller;
use crate::http::extract::{PathOf, QueryOf};
use crate::http::kind;
use crate::http::problem::Problem;

const DEFAULT_LIMIT: u32 = 20;
const LARGEST_LIMIT: u32 = 200;
/// Where the runs of every registry are.
const ALL: &str = "/v1/runs";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    pub(crate) cursor: Option<String>,
    pub(crate) limit: Option<u32>,
    pub(crate) status: Option<RunStatus>,
    pub(crate) task: Option<String>,
    pub(crate) cause: Option<String>,
    pub(crate) branch: Option<String>,
    pub(crate) commit: Option<String>,
}

/// List runs, newest first.
///
/// Pages are stable: a run that is created meanwhile shifts nothing.
#[utoipa::path(
    get, path = "/v1/registries/{registry}/runs", tag = "runs", operation_id = "listRuns",
    params(
        ("registry" = String, Path, example = "local"),
        ("status" = Option<StatusWord>, Query, description = "Only runs that stand there"),
        ("task" = Option<String>, Query, description = "Only runs of that task"),
        ("cause" = Option<CauseWord>, Query, description = "Only runs that this started"),
        ("branch" = Option<String>, Query, description = "Only runs of that branch or tag, as `main` or `v1.2`"),
        ("commit" = Option<String>, Query, description = "Only runs of a commit whose id begins so: 4 hexadecimal digits or more", min_length = 4, max_length = 64, pattern = "^[0-9a-f]{4,64}$"),
        ("limit" = Option<u32>, Query, description = "Runs on a page, 20 when absent", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")
    ),
    responses(
        (status = 200, description = "A page", body = RunPage, headers(
            ("Link" = Option<String>, description = "The next page, `rel=\"next\"`; absent on the last one")
        )),
        (status = 404, description = "`registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_runs(
    State(app): State<App>,
    PathOf(registry): PathOf<String>,
    QueryOf(query): QueryOf<ListQuery>,
) -> Result<Response, Problem> {
    let registry = find_registry(&app, &registry).await?;
    let page = page(&app, Some(&registry.name), &query).await?;
    Ok(answer(&runs_address(&registry.name), &query, page))
}

/// List the runs of every registry, newest first.
///
/// Those that the token may see. With `Accept: text/event-stream` it tells instead which of them move: `run`
/// events carry `{"registry":"local","run":"…","status":"started"}`; `missed` says that some may have been
/// missed, and that it is time to look.
#[utoipa::path(
    get, path = "/v1/runs", tag = "runs", operation_id = "listAllRuns",
    params(
        ("status" = Option<StatusWord>, Query, description = "Only runs that stand there"),
        ("task" = Option<String>, Query, description = "Only runs of tasks of that name"),
        ("cause" = Option<CauseWord>, Query, description = "Only runs that this started"),
        ("branch" = Option<String>, Query, description = "Only runs of that branch or tag, as `main` or `v1.2`"),
        ("commit" = Option<String>, Query, description = "Only runs of a commit whose id begins so: 4 hexadecimal digits or more", min_length = 4, max_length = 64, pattern = "^[0-9a-f]{4,64}$"),
        ("limit" = Option<u32>, Query, description = "Runs on a page, 20 when absent", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")
    ),
    responses(
        (status = 200, description = "A page, or the stream", headers(
            ("Link" = Option<String>, description = "The next page, `rel=\"next\"`; absent on the last one")
        ), content((RunPage = "application/json"), (String = "text/event-stream"))),
    )
)]
pub(crate) async fn list_all_runs(
    State(app): State<App>,
    caller: Caller,
    QueryOf(query): QueryOf<ListQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("text/event-stream") {
        return Ok(moves::stream(&app, caller));
    }
    let page = page(&app, caller.registry(), &query).await?;
    Ok(answer(ALL, &query, page))
}

/// A page of one registry's runs, or of all.
pub(crate) async fn page(app: &App, registry: Option<&str>, query: &ListQuery) -> Result<RunPage, Problem> {
    let limit = limit(query.limit)?;
    let cursor = query.cursor.as_deref().map(cursor::read).transpose()?;
    let filter = RunFilter {
        registry: registry.map(str::to_owned),
        status: query.status,
        task: query.task.clone(),
        cause: query.cause.as_deref().map(cause).transpose()?,
        branch: query.branch.as_deref().map(branch),
        commit: query.commit.as_deref().map(commit).transpose()?,
    };
    let found = app.database.list_runs(&filter, cursor, limit).await?;
    let registries = app.database.list_registries().await?;
    let shown = found.runs.into_iter().filter_map(|run| {
        let registry = registries.iter().find(|registry| registry.name == run.registry)?;
        Some(show(registry, run))
    });
    Ok(RunPage { runs: shown.collect(), next_cursor: found.next.map(cursor::write) })
}

fn answer(address: &str, query: &ListQuery, page: RunPage) -> Response {
    let filters = [
        ("status", query.status.map(RunStatus::as_str)),
        ("task", query.task.as_deref()),
        ("cause", query.cause.as_deref()),
        ("branch", query.branch.as_deref()),
        ("commit", query.commit.as_deref()),
    ];
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    let link = page.next_cursor.as_ref().map(|next| cursor::link(address, limit, &filters, next));
    (link.unwrap_or_default(), Json(page)).into_response()
}

pub(crate) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=LARGEST_LIMIT => Ok(limit),
        limit => Err(Problem::new(
            &kind::PARAMETER_INVALID,
            format!("A page of {limit} is not possible."),
            format!("Ask for 1 to {LARGEST_LIMIT}."),
        )
        .in_field("limit")),
    }
}

fn cause(asked: &str) -> Result<String, Problem> {
    if Cause::WORDS.contains(&asked) {
        return Ok(asked.to_owned());
    }
    let detail = "Nothing of that name starts a run.";
    let hint = format!("Choose from {}.", Cause::WORDS.join(", "));
    Err(Problem::new(&kind::PARAMETER_INVALID, detail, hint).in_field("cause"))
}

/// As the database has it: without what says that it is a branch or a tag.
fn branch(asked: &str) -> String {
    let bare = asked.strip_prefix("refs/heads/").or_else(|| asked.strip_prefix("refs/tags/"));
    bare.unwrap_or(asked).to_owned()
}

fn commit(asked: &str) -> Result<String, Problem> {
    let is_beginning = (4..=64).contains(&asked.len()) && asked.bytes().all(|b| b.is_ascii_hexdigit());
    if is_beginning {
        return Ok(asked.to_ascii_lowercase());
    }
    let hint = "Give the first 4 to 64 hexadecimal digits of its id.";
    Err(Problem::new(&kind::PARAMETER_INVALID, "That is not a commit's id.", hint).in_field("commit"))
}
