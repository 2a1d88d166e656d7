//! `GET /v1/registries/{registry}/runs`

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use database::RunFilter;
use model::RunStatus;
use serde::Deserialize;

use super::cursor;
use super::lookup::{find_registry, runs_address, show};
use crate::App;
use crate::api::{RunPage, StatusWord};
use crate::http::extract::{PathOf, QueryOf};
use crate::http::kind;
use crate::http::problem::Problem;

const DEFAULT_LIMIT: u32 = 20;
const LARGEST_LIMIT: u32 = 200;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    cursor: Option<String>,
    limit: Option<u32>,
    status: Option<RunStatus>,
    task: Option<String>,
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
    let limit = limit(query.limit)?;
    let cursor = query.cursor.as_deref().map(cursor::read).transpose()?;
    let filter = RunFilter { status: query.status, task: query.task };
    let page = app.database.list_runs(&registry.name, &filter, cursor, limit).await?;
    let next_cursor = page.next.map(cursor::write);
    let link = next_cursor.as_ref().map(|next| {
        let filters = [("status", filter.status.map(RunStatus::as_str)), ("task", filter.task.as_deref())];
        cursor::link(&runs_address(&registry.name), limit, &filters, next)
    });
    let runs = page.runs.into_iter().map(|run| show(&registry, run)).collect();
    Ok((link.unwrap_or_default(), Json(RunPage { runs, next_cursor })).into_response())
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
