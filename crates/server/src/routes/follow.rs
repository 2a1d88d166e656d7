//! A log as server-sent events: one task a stream reads the database and waits for a slow reader; it
//! ends with the run, with its client, with the token it was asked for by, or with the server. Every `log` event's id is the position behind
//! it, so that a client goes on from `Last-Event-ID` without a gap or a repetition.

use std::convert::Infallible;
use std::time::Instant;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use database::{Registry, RunRow};
use model::RunStatus;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tracing::Instrument;

use super::lookup::show;
use crate::App;
use crate::duties::changes::Waiter;
use crate::http::auth::Caller;
use crate::http::kind;
use crate::http::problem::Problem;

/// Bytes of one event.
const PIECE: i64 = 64 * 1024;
/// Events that may wait for a slow reader.
const AHEAD: usize = 8;

/// A place in a run's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) attempt: i32,
    pub(crate) offset: i64,
}

impl Position {
    /// Reads `Last-Event-ID`.
    pub(crate) fn read(id: &str, attempts: i32) -> Result<Self, Problem> {
        let numbers = || {
            let (attempt, offset) = id.split_once(':')?;
            Some(Self { attempt: attempt.parse().ok()?, offset: offset.parse().ok()? })
        };
        let position = numbers().filter(|p| p.attempt >= 1 && p.offset >= 0);
        position.filter(|p| p.attempt <= attempts.max(1)).ok_or_else(|| {
            let id: String = id.chars().take(40).collect();
            Problem::new(
                &kind::HEADER_INVALID,
                format!("`{id}` is not the id of an event of this log."),
                "Send the last id that was received, `<attempt>:<byte>`, or none.",
            )
            .in_field("Last-Event-ID")
        })
    }

    fn id(self) -> String {
        format!("{}:{}", self.attempt, self.offset)
    }
}

/// The answer that follows the log from `position`.
pub(crate) fn stream(
    app: App,
    caller: Caller,
    registry: Registry,
    run: RunRow,
    position: Position,
) -> Response {
    let (events, receiver) = mpsc::channel(AHEAD);
    let ping = app.config().ping;
    let waiter = app.changes.of(run.id);
    let asked = Instant::now();
    let reader = Reader { app, caller, asked, registry, run, position, waiter, events, status: None };
    tokio::spawn(reader.follow().in_current_span());
    Sse::new(ReceiverStream::new(receiver))
        .keep_alive(KeepAlive::new().interval(ping).text("ping"))
        .into_response()
}

struct Reader {
    app: App,
    caller: Caller,
    /// When the token was looked at last.
    asked: Instant,
    registry: Registry,
    run: RunRow,
    position: Position,
    waiter: Waiter,
    events: mpsc::Sender<Result<Event, Infallible>>,
    /// The status that was told last.
    status: Option<RunStatus>,
}

/// The client is gone, or its token.
struct Gone;

impl Reader {
    async fn follow(mut self) {
        let _open = self.app.metrics.stream_opened();
        let stop = self.app.stop.clone();
        let gone = self.events.clone();
        tokio::select! {
            _ = self.tell_everything() => {}
            () = gone.closed() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn tell_everything(&mut self) -> Result<(), Gone> {
        loop {
            self.tell_status().await?;
            // The run was looked at before its log: once it has ended, nothing is added to the log.
            let drained = self.tell_log().await?;
            if drained && self.run.attempt > self.position.attempt {
                self.position = Position { attempt: self.position.attempt + 1, offset: 0 };
                let data = json!({ "attempt": self.position.attempt });
                self.send(Event::default().event("attempt").id(self.position.id()), data).await?;
                continue;
            }
            if drained && self.run.status.is_end() {
                return self.tell_end().await;
            }
            self.waiter.changed(self.app.config().poll).await;
            self.is_still_asked().await?;
            self.look().await;
        }
    }

    /// Ends with the token: it is looked at again now and then, also while there is much to tell.
    async fn is_still_asked(&mut self) -> Result<(), Gone> {
        if self.asked.elapsed() < self.app.config().ping {
            return Ok(());
        }
        self.asked = Instant::now();
        if self.caller.is_still_good(&self.app).await { Ok(()) } else { Err(Gone) }
    }

    async fn tell_status(&mut self) -> Result<(), Gone> {
        if self.status == Some(self.run.status) {
            return Ok(());
        }
        self.status = Some(self.run.status);
        let data = json!({ "status": self.run.status, "attempt": self.run.attempt });
        self.send(Event::default().event("status"), data).await
    }

    /// Sends what there is; whether that was all.
    async fn tell_log(&mut self) -> Result<bool, Gone> {
        loop {
            let Position { attempt, offset } = self.position;
            let slice = match self.app.database.read_log(self.run.id, Some(attempt), offset, PIECE).await {
                Ok(slice) => slice,
                Err(error) => {
                    tracing::warn!(%error, run = %self.run.id, "a log stream waits for the database");
                    return Ok(false);
                }
            };
            let over = slice.complete || self.run.status.is_end() || self.run.attempt > attempt;
            let whole = whole_characters(&slice.bytes, over);
            if whole.is_empty() {
                return Ok(over || slice.bytes.is_empty());
            }
            let length = i64::try_from(whole.len()).unwrap_or_default();
            let data = match std::str::from_utf8(whole) {
                Ok(text) => json!({ "attempt": attempt, "offset": offset, "text": text }),
                Err(_) => json!({ "attempt": attempt, "offset": offset, "base64": STANDARD.encode(whole) }),
            };
            self.position.offset += length;
            self.send(Event::default().event("log").id(self.position.id()), data).await?;
            self.is_still_asked().await?;
        }
    }

    async fn tell_end(&mut self) -> Result<(), Gone> {
        let run = show(&self.registry, self.run.clone());
        let data = serde_json::to_value(run).unwrap_or_default();
        self.send(Event::default().event("end").id(self.position.id()), data).await
    }

    async fn look(&mut self) {
        match self.app.database.get_run(self.run.id).await {
            Ok(Some(run)) => self.run = run,
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, run = %self.run.id, "a log stream waits for the database"),
        }
    }

    async fn send(&self, event: Event, data: serde_json::Value) -> Result<(), Gone> {
        self.events.send(Ok(event.data(data.to_string()))).await.map_err(|_| Gone)
    }
}

/// The bytes up to a character that is not all there yet; all of them where nothing will follow.
fn whole_characters(bytes: &[u8], over: bool) -> &[u8] {
    match std::str::from_utf8(bytes) {
        // Only the last character can be cut: `error_len` is absent exactly then.
        Err(error) if error.error_len().is_none() && !(over && error.valid_up_to() == 0) => {
            &bytes[..error.valid_up_to()]
        }
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_not_cut_unless_it_stays_cut() {
        let text = "añ".as_bytes();
        assert_eq!(whole_characters(&text[..2], false), b"a");
        assert_eq!(whole_characters(text, false), text);
        assert_eq!(whole_characters(&text[1..2], false), b"");
        assert_eq!(whole_characters(&text[1..2], true), &text[1..2]);
        assert_eq!(whole_characters(b"\xff\xfea", false), b"\xff\xfea");
    }

    #[test]
    fn reads_the_ids_it_writes() {
        let position = Position { attempt: 2, offset: 4096 };
        assert_eq!(Position::read(&position.id(), 2).ok(), Some(position));
        for bad in ["", "1", "1:", ":1", "0:0", "1:-1", "3:0", "1:2:3"] {
            assert!(Position::read(bad, 2).is_err(), "{bad}");
        }
    }
}
