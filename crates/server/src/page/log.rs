//! A run's log on the page: its last part as plain text, for whoever has no script, and the whole of it as a
//! file. The script reads the API's event stream instead.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use database::LogSlice;
use futures_util::stream;
use model::RunId;
use serde::Deserialize;

use crate::App;
use crate::http::extract::{PathOf, QueryOf};
use crate::http::problem::Problem;
use crate::routes::logs::known_attempt;
use crate::routes::lookup::{RunPath, find_run};

/// Bytes of the last part.
const TAIL: i64 = 64 * 1024;
/// Bytes that are read at a time.
const PIECE: i64 = 1024 * 1024;

/// The end of a log.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// Without escape sequences.
    pub(crate) text: String,
    /// Whether something stands before it.
    pub(crate) is_cut: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct WholeQuery {
    attempt: Option<i32>,
}

/// The last part of an attempt's log, from a line's beginning on.
pub(crate) async fn tail(app: &App, run: RunId, attempt: i32) -> Result<Tail, Problem> {
    // Behind any end: the answer says where the end is.
    let end = app.database.read_log(run, Some(attempt), i64::MAX, 1).await?.next_offset;
    let start = (end - TAIL).max(0);
    let LogSlice { bytes, .. } = app.database.read_log(run, Some(attempt), start, TAIL).await?;
    let text = String::from_utf8_lossy(&bytes);
    let whole_lines = match start {
        0 => &text,
        _ => text.split_once('\n').map_or("", |(_, rest)| rest),
    };
    Ok(Tail { text: plain(whole_lines), is_cut: start > 0 })
}

/// `GET /registries/{registry}/runs/{run}/log`: all there is, as text.
pub(crate) async fn whole(
    State(app): State<App>,
    PathOf(path): PathOf<RunPath>,
    QueryOf(query): QueryOf<WholeQuery>,
) -> Result<Response, Problem> {
    let (_, run) = find_run(&app, &path).await?;
    let attempt = known_attempt(query.attempt, run.attempt)?.unwrap_or(run.attempt);
    // Up to where it ends now: a download that follows would not end.
    let end = app.database.read_log(run.id, Some(attempt), i64::MAX, 1).await?.next_offset;
    let pieces = stream::try_unfold(0, move |offset| {
        let app = app.clone();
        async move {
            let left = end - offset;
            if left <= 0 {
                return Ok::<_, database::Error>(None);
            }
            let piece = app.database.read_log(run.id, Some(attempt), offset, left.min(PIECE)).await?;
            let is_over = piece.bytes.is_empty();
            Ok((!is_over).then(|| (Bytes::from(piece.bytes), piece.next_offset)))
        }
    });
    let name = format!("inline; filename=\"{}-{attempt}.log\"", run.id);
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// The text without escape sequences and other control characters; what a carriage return overwrites is gone.
fn plain(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let bare = without_escapes(line);
        let last = bare.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
        lines.push(last.chars().filter(|c| *c == '\t' || !c.is_control()).collect::<String>());
    }
    lines.join("\n")
}

/// Without CSI (`ESC [ … letter`), OSC (`ESC ] … BEL` or `ESC \`) and other two-character sequences.
fn without_escapes(line: &str) -> String {
    let (mut kept, mut rest) = (String::with_capacity(line.len()), line);
    while let Some((before, after)) = rest.split_once('\x1b') {
        kept.push_str(before);
        let mut characters = after.chars();
        rest = match characters.next() {
            Some('[') => {
                let mut last = after[1..].trim_start_matches(|c| matches!(c, '\x20'..='\x3f')).chars();
                last.next();
                last.as_str()
            }
            Some(']') => {
                let end =
                    after.find('\x07').map(|at| at + 1).or_else(|| after.find("\x1b\\").map(|at| at + 2));
                &after[end.unwrap_or(after.len())..]
            }
            _ => characters.as_str(),
        };
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_leave_nothing_behind() {
        for (line, left) in [
            ("\x1b[1;31merror\x1b[0m: x", "error: x"),
            ("\x1b]8;;https://evil.example\x07link\x1b]8;;\x07", "link"),
            ("\x1b]0;title\x1b\\x", "x"),
            ("10%\r50%\r100%\r", "100%"),
            ("a\tb\x08\x00c", "a\tbc"),
            ("\x1b[38;5", ""),
            ("\x1b[31é", ""),
            ("grün\x1bcé", "grüné"),
        ] {
            assert_eq!(plain(line), left, "{line:?}");
        }
    }
}
