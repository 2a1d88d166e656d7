//! `GET /v1/registries/{registry}/runs/{run}`

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use database::ReportRow;
use model::RunId;
use tokio::time::Instant;

use super::lookup::{RunPath, find_run, show};
use crate::App;
use crate::api::{Report, Run};
use crate::http::extract::PathOf;
use crate::http::problem::Problem;

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Look at a run.
///
/// With `Prefer: wait=60` the answer comes when the run has ended, or after that many seconds.
#[utoipa::path(
    get, path = "/v1/registries/{registry}/runs/{run}", tag = "runs", operation_id = "getRun",
    params(
        ("registry" = String, Path, example = "local"),
        ("run" = uuid::Uuid, Path),
        ("Prefer" = Option<String>, Header, description = "`wait=` seconds, at most 60 (RFC 7240)", example = "wait=60")
    ),
    responses(
        (status = 200, description = "The run as it is now", body = Run, headers(
            ("Preference-Applied" = Option<String>, description = "The wait that was granted")
        )),
        (status = 404, description = "`run_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn get_run(
    State(app): State<App>,
    PathOf(path): PathOf<RunPath>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wait = preferred_wait(&headers).map(|wait| wait.min(app.config().longest_wait));
    // The ear first: a change between look and wait would be missed otherwise.
    let mut waiter = app.changes.of(RunId(path.run));
    let (registry, mut run) = find_run(&app, &path).await?;
    if let Some(wait) = wait {
        let deadline = Instant::now() + wait;
        while !run.status.is_end() && Instant::now() < deadline && !app.stop.is_cancelled() {
            let longest = app.config().poll.min(deadline - Instant::now());
            tokio::select! {
                () = waiter.changed(longest) => {}
                () = app.stop.cancelled() => {}
            }
            (_, run) = find_run(&app, &path).await?;
        }
    }
    let reports = reports_of(&app, run.id).await?;
    let mut response = Json(Run { reports, ..show(&registry, run) }).into_response();
    let applied = wait.and_then(|wait| HeaderValue::from_str(&format!("wait={}", wait.as_secs())).ok());
    if let Some(applied) = applied {
        response.headers_mut().insert(PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

/// Who was told of a run.
pub(crate) async fn reports_of(app: &App, run: RunId) -> Result<Vec<Report>, Problem> {
    let rows = app.database.reports_of(run).await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

impl From<ReportRow> for Report {
    fn from(row: ReportRow) -> Self {
        let ReportRow { kind, event, host, status, tries, last_error, next_try_at, finished_at } = row;
        let next_try_at = (status == "waiting" && finished_at.is_none()).then_some(next_try_at);
        // The one that ended it is not counted where it is waited for the next.
        let attempts = tries + i32::from(status == "sent");
        let last_error = last_error.map(|error| without_paths(&error));
        Self { kind, event, host, state: status, attempts, last_error, next_try_at }
    }
}

/// Addresses in a sentence, without what is behind the host: that may be as good as a password.
fn without_paths(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let host = after
            .find(|c: char| c == '/' || c == '?' || c == '#' || c.is_whitespace())
            .unwrap_or(after.len());
        let end =
            after.find(|c: char| c.is_whitespace() || matches!(c, ')' | '"' | '`')).unwrap_or(after.len());
        let authority = &after[..host.min(end)];
        shown.push_str(before);
        shown.push_str(authority.rsplit('@').next().unwrap_or_default());
        rest = &after[end..];
    }
    shown.push_str(rest);
    shown
}

/// `wait` of RFC 7240, section 4.3. A preference that can't be read is ignored, as section 2 has it.
fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(','));
    preferences.find_map(|preference| {
        let word = preference.split(';').next()?;
        let (name, value) = word.split_once('=')?;
        let seconds = value.trim().trim_matches('"').parse().ok()?;
        name.trim().eq_ignore_ascii_case("wait").then(|| Duration::from_secs(seconds))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_up_to_its_host() {
        let said = "error sending request for url (https://u:p@chat.example:8443/hook?key=1): see `http://x/y`, http://z";
        let shown = "error sending request for url (https://chat.example:8443): see `http://x`, http://z";
        assert_eq!(without_paths(said), shown);
    }

    #[test]
    fn reads_wait_among_other_preferences() {
        for (text, seconds) in [
            ("wait=60", Some(60)),
            ("respond-async, WAIT = 10", Some(10)),
            ("wait=\"5\"; foo", Some(5)),
            ("wait", None),
            ("wait=-1", None),
            ("wait=soon", None),
            ("return=minimal", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", text.parse().expect("a header"));
            assert_eq!(preferred_wait(&headers), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
