//! Follows a run's log to its end. A connection that breaks is made anew from the last event's id, so
//! that nothing is missed and nothing comes twice.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{RunId, RunStatus};
use reqwest::Response;
use serde::Deserialize;
use server::api::Run;
use std::collections::VecDeque;
use tokio::time::Instant;

use super::error::ClientError;
use super::events::{Event, Parser};
use super::service::Service;

/// The service says something at least every 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);
/// How long a service that is gone is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// What happened to the run.
#[derive(Debug)]
pub(crate) enum Happening {
    Status {
        status: RunStatus,
        attempt: i32,
    },
    /// The service tries the run again; its log begins anew.
    Attempt(i32),
    Log {
        attempt: i32,
        offset: u64,
        bytes: Vec<u8>,
    },
    /// The connection broke and is made anew.
    Lost(String),
    End(Box<Run>),
}

/// A run that is followed.
#[derive(Debug)]
pub(crate) struct Follow {
    service: Service,
    run: RunId,
    response: Option<Response>,
    parser: Parser,
    events: VecDeque<Event>,
    last_id: Option<String>,
    /// Behind the last byte that was handed out.
    position: (i32, u64),
    /// Since when nothing was heard, and how long to wait before the next try.
    lost: Option<(Instant, Duration)>,
}

#[derive(Deserialize)]
struct StatusData {
    status: RunStatus,
    attempt: i32,
}

#[derive(Deserialize)]
struct AttemptData {
    attempt: i32,
}

#[derive(Deserialize)]
struct LogData {
    attempt: i32,
    offset: u64,
    text: Option<String>,
    base64: Option<String>,
}

impl Follow {
    /// From the log's beginning.
    pub(crate) fn new(service: Service, run: RunId) -> Self {
        Self {
            service,
            run,
            response: None,
            parser: Parser::default(),
            events: VecDeque::new(),
            last_id: None,
            position: (0, 0),
            lost: None,
        }
    }

    /// What happened next. May be dropped while it waits, and called again.
    pub(crate) async fn next(&mut self) -> Result<Happening, ClientError> {
        loop {
            while let Some(event) = self.events.pop_front() {
                if let Some(happening) = self.understand(&event) {
                    return Ok(happening);
                }
            }
            if self.response.is_none() {
                self.connect().await?;
            }
            if let Some(cause) = self.read().await {
                self.response = None;
                self.parser = Parser::default();
                self.lost.get_or_insert((Instant::now(), FIRST_PAUSE));
                return Ok(Happening::Lost(cause));
            }
        }
    }

    /// Takes what the connection has; why it broke, if it did.
    async fn read(&mut self) -> Option<String> {
        let response = self.response.as_mut()?;
        match tokio::time::timeout(SILENCE, response.chunk()).await {
            Ok(Ok(Some(bytes))) => {
                self.lost = None;
                self.events.extend(self.parser.take(&bytes));
                None
            }
            Ok(Ok(None)) => Some("the service ended the stream".to_owned()),
            Ok(Err(error)) => Some(self.service.unreachable(&error).to_string()),
            Err(_) => Some("the service was silent".to_owned()),
        }
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        loop {
            if let Some((_, pause)) = &mut self.lost {
                tokio::time::sleep(*pause).await;
                *pause = (*pause * 2).min(LONGEST_PAUSE);
            }
            match self.service.log_events(self.run, self.last_id.as_deref()).await {
                Ok(response) => {
                    self.response = Some(response);
                    return Ok(());
                }
                Err(error) => {
                    let (since, _) = *self.lost.get_or_insert((Instant::now(), FIRST_PAUSE));
                    // A first try that fails says so at once; a run that was seen is worth some patience.
                    let seen = self.last_id.is_some() || self.position.0 > 0;
                    if !error.may_pass() || !seen || since.elapsed() > PATIENCE {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn understand(&mut self, event: &Event) -> Option<Happening> {
        if event.id.is_some() {
            self.last_id.clone_from(&event.id);
        }
        match event.name.as_str() {
            "log" => self.log(serde_json::from_str(&event.data).ok()?),
            "attempt" => {
                let AttemptData { attempt } = serde_json::from_str(&event.data).ok()?;
                self.position = (attempt, 0);
                Some(Happening::Attempt(attempt))
            }
            "status" => {
                let StatusData { status, attempt } = serde_json::from_str(&event.data).ok()?;
                self.position.0 = self.position.0.max(1);
                Some(Happening::Status { status, attempt })
            }
            "end" => Some(Happening::End(Box::new(serde_json::from_str(&event.data).ok()?))),
            _ => None,
        }
    }

    /// The bytes that were not handed out yet.
    fn log(&mut self, data: LogData) -> Option<Happening> {
        let LogData { attempt, offset, text, base64 } = data;
        let bytes = match (text, base64) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(base64)) => STANDARD.decode(base64).ok()?,
            (None, None) => return None,
        };
        let known = if self.position.0 == attempt { self.position.1 } else { 0 };
        let seen = usize::try_from(known.saturating_sub(offset)).ok()?;
        let end = offset + bytes.len() as u64;
        if seen >= bytes.len() {
            return None;
        }
        self.position = (attempt, end);
        Some(Happening::Log { attempt, offset: offset + seen as u64, bytes: bytes[seen..].to_vec() })
    }
}
