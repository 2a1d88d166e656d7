//! `GET /v1/registries/{registry}/runs/{run}/logs`: as text from an offset, or followed as server-sent
//! events.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use database::RunRow;
use model::RunId;
use serde::Deserialize;

use super::follow::{self, Position};
use super::lookup::{RunPath, find_run};
use crate::App;
use crate::http::auth::Caller;
use crate::http::extract::{PathOf, QueryOf};
use crate::http::kind;
use crate::http::problem::Problem;

const DEFAULT_LIMIT: u32 = 4 * 1024 * 1024;
const LARGEST_LIMIT: u32 = 16 * 1024 * 1024;

const X_ATTEMPT: HeaderName = HeaderName::from_static("x-log-attempt");
const X_NEXT_OFFSET: HeaderName = HeaderName::from_static("x-log-next-offset");
const X_COMPLETE: HeaderName = HeaderName::from_static("x-log-complete");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogQuery {
    attempt: Option<i32>,
    offset: Option<i64>,
    limit: Option<u32>,
}

/// Read or follow a run's log.
///
/// As text: the bytes from `offset` on, at most `limit`; the headers say where to go on. With `Accept:
/// text/event-stream` it follows until the run ends: `log` events carry
/// `{"attempt":1,"offset":0,"text":"…"}` (`base64` instead of `text` where the bytes are not UTF-8),
/// `attempt` says that the run is tried again, `status` that it moved, and `end` carries the finished
/// run. Ids are `<attempt>:<byte>`; given back as `Last-Event-ID` the stream goes on without a gap.
#[utoipa::path(
    get, path = "/v1/registries/{registry}/runs/{run}/logs", tag = "runs", operation_id = "readLog",
    params(
        ("registry" = String, Path, example = "local"),
        ("run" = uuid::Uuid, Path),
        ("attempt" = Option<i32>, Query, description = "The latest when absent", minimum = 1),
        ("offset" = Option<u64>, Query, description = "Byte to begin with"),
        ("limit" = Option<u32>, Query, description = "Bytes, 4 MiB when absent", minimum = 1, maximum = 16777216),
        ("Last-Event-ID" = Option<String>, Header, description = "Where a stream broke off", example = "1:4096")
    ),
    responses(
        (status = 200, description = "Log bytes, or the stream", headers(
            ("X-Log-Attempt" = i32, description = "The attempt these bytes are of; text only"),
            ("X-Log-Next-Offset" = u64, description = "`offset` for what follows; text only"),
            ("X-Log-Complete" = bool, description = "Whether nothing will follow; text only")
        ), content((String = "text/plain"), (String = "text/event-stream"))),
        (status = 404, description = "`run_not_found`, `registry_not_found` or `attempt_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 410, description = "`log_removed`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 416, description = "`offset_beyond_log`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn read_log(
    State(app): State<App>,
    caller: Caller,
    PathOf(path): PathOf<RunPath>,
    QueryOf(query): QueryOf<LogQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (registry, run) = find_run(&app, &path).await?;
    let attempt = known_attempt(query.attempt, run.attempt)?;
    let offset = offset(query.offset.unwrap_or(0))?;
    still_there(&run)?;
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accept.contains("text/event-stream") {
        let position = match headers.get("last-event-id") {
            Some(id) => Position::read(id.to_str().unwrap_or_default(), run.attempt)?,
            None => Position { attempt: attempt.unwrap_or_else(|| run.attempt.max(1)), offset },
        };
        check_offset(&app, run.id, position).await?;
        return Ok(follow::stream(app, caller, registry, run, position));
    }
    let attempt = attempt.unwrap_or_else(|| run.attempt.max(1));
    let limit = limit(query.limit)?;
    text(&app, run.id, Position { attempt, offset }, limit).await
}

async fn text(app: &App, run: RunId, from: Position, limit: u32) -> Result<Response, Problem> {
    let slice = app.database.read_log(run, Some(from.attempt), from.offset, limit.into()).await?;
    if slice.next_offset < from.offset {
        return Err(beyond(from.offset, slice.next_offset));
    }
    let mut response = slice.bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_ATTEMPT, slice.attempt.into());
    headers.insert(X_NEXT_OFFSET, slice.next_offset.into());
    headers.insert(X_COMPLETE, HeaderValue::from_static(if slice.complete { "true" } else { "false" }));
    Ok(response)
}

/// A position behind the end is refused, for a client that waits there would wait for ever.
async fn check_offset(app: &App, run: RunId, position: Position) -> Result<(), Problem> {
    let slice = app.database.read_log(run, Some(position.attempt), position.offset, 1).await?;
    match slice.next_offset < position.offset {
        true => Err(beyond(position.offset, slice.next_offset)),
        false => Ok(()),
    }
}

/// A log that was removed is not an empty one.
pub(crate) fn still_there(run: &RunRow) -> Result<(), Problem> {
    let Some(at) = run.log_removed_at else { return Ok(()) };
    Err(Problem::new(
        &kind::LOG_REMOVED,
        format!("The log of this run was removed on {}.", at.date()),
        "Ended runs keep their logs as long as the server's --keep-logs and --keep-logs-size say.",
    ))
}

pub(crate) fn known_attempt(asked: Option<i32>, attempts: i32) -> Result<Option<i32>, Problem> {
    match asked {
        Some(attempt) if !(1..=attempts.max(1)).contains(&attempt) => Err(Problem::new(
            &kind::ATTEMPT_NOT_FOUND,
            format!("The run has had {attempts} attempts; there is no attempt {attempt}."),
            "Leave the attempt out for the latest.",
        )
        .in_field("attempt")),
        other => Ok(other),
    }
}

fn offset(asked: i64) -> Result<i64, Problem> {
    match asked {
        0.. => Ok(asked),
        _ => Err(Problem::new(
            &kind::PARAMETER_INVALID,
            "An offset is 0 or more.",
            "Begin with 0, or with X-Log-Next-Offset of the answer before.",
        )
        .in_field("offset")),
    }
}

fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=LARGEST_LIMIT => Ok(limit),
        _ => Err(Problem::new(
            &kind::PARAMETER_INVALID,
            format!("A piece of a log has 1 to {LARGEST_LIMIT} bytes."),
            "Ask for less, and go on at X-Log-Next-Offset.",
        )
        .in_field("limit")),
    }
}

fn beyond(asked: i64, length: i64) -> Problem {
    Problem::new(
        &kind::OFFSET_BEYOND_LOG,
        format!("The log has {length} bytes; byte {asked} is behind its end."),
        "Begin with the next offset of the answer before, or with 0.",
    )
    .in_field("offset")
}
