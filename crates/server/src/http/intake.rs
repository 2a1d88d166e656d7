//! A delivery's body. In: a stranger's bytes, at a stranger's pace. Out: all of them, within a limit, and out of a
//! budget that every delivery shares, so that many large ones at once wait for each other instead of filling the
//! memory. Absent: who sent it, and the time that the whole request may take.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::kind;
use super::problem::Problem;

/// So much of a body costs nothing: who only begins one keeps nobody else out.
const FREE: usize = 64 * 1024;
/// A git host waits for ten seconds.
const PATIENCE: Duration = Duration::from_secs(8);
/// For a client that reads no answer before it has sent everything.
const LINGER: Duration = Duration::from_secs(5);

/// What all large deliveries share.
pub(crate) struct Intake {
    /// A permit a byte.
    budget: Arc<Semaphore>,
    limit: usize,
}

/// A body, and its part of the budget until that is dropped.
pub(crate) struct Taken {
    pub(crate) bytes: Vec<u8>,
    reserved: Option<OwnedSemaphorePermit>,
}

impl Taken {
    /// Keep the second as long as the first is needed.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Option<OwnedSemaphorePermit>) {
        (self.bytes, self.reserved)
    }
}

/// A body of which only the beginning was read.
struct Begun {
    rest: Option<axum::body::BodyDataStream>,
    bytes: Vec<u8>,
    declared: Option<usize>,
}

impl Intake {
    /// Bodies of at most `limit` bytes, `budget` together.
    pub(crate) fn new(limit: usize, budget: usize) -> Self {
        let budget = Arc::new(Semaphore::new(budget.clamp(limit, Semaphore::MAX_PERMITS)));
        Self { budget, limit }
    }

    /// All of a body.
    ///
    /// # Errors
    /// `body_too_large`, `body_broken`, `busy`
    pub(crate) async fn take(&self, headers: &HeaderMap, body: Body) -> Result<Taken, Problem> {
        let begun = self.begin(headers, body).await?;
        self.finish(begun).await
    }

    /// Reads the beginning; a small body is whole then. One that says beforehand that it is too large is not read.
    ///
    /// # Errors
    /// `body_too_large`, `body_broken`
    async fn begin(&self, headers: &HeaderMap, body: Body) -> Result<Begun, Problem> {
        let declared =
            headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > self.limit) {
            throw_away(body);
            return Err(self.too_large());
        }
        let mut begun = Begun { rest: Some(body.into_data_stream()), bytes: Vec::new(), declared };
        begun.read_to(FREE, self.limit).await?;
        self.check(begun)
    }

    /// Reads the rest, once there is room for it.
    ///
    /// # Errors
    /// `body_too_large`, `body_broken`, `busy`
    async fn finish(&self, mut begun: Begun) -> Result<Taken, Problem> {
        if begun.rest.is_none() {
            return Ok(Taken { bytes: begun.bytes, reserved: None });
        }
        let most = begun.declared.unwrap_or(self.limit);
        let room = Arc::clone(&self.budget).acquire_many_owned(u32::try_from(most).unwrap_or(u32::MAX));
        let Ok(Ok(reserved)) = tokio::time::timeout(PATIENCE, room).await else {
            begun.throw_away();
            return Err(busy());
        };
        begun.bytes.reserve(most.saturating_sub(begun.bytes.len()));
        begun.read_to(usize::MAX, self.limit).await?;
        let begun = self.check(begun)?;
        Ok(Taken { bytes: begun.bytes, reserved: Some(reserved) })
    }

    fn check(&self, begun: Begun) -> Result<Begun, Problem> {
        if begun.bytes.len() <= self.limit {
            return Ok(begun);
        }
        begun.throw_away();
        Err(self.too_large())
    }

    fn too_large(&self) -> Problem {
        let detail = format!("A delivery has at most {} bytes.", self.limit);
        Problem::new(
            &kind::BODY_TOO_LARGE,
            detail,
            "No git host sends more than 25 MB; see what the sender puts in.",
        )
    }
}

impl Begun {
    /// Reads until the end, or until there is more than one of the two.
    async fn read_to(&mut self, enough: usize, limit: usize) -> Result<(), Problem> {
        while let Some(rest) = &mut self.rest
            && self.bytes.len() <= enough.min(limit)
        {
            match rest.next().await {
                Some(Ok(part)) => self.bytes.extend_from_slice(&part),
                Some(Err(error)) => {
                    let detail = format!("The delivery broke off: {error}.");
                    return Err(Problem::new(&kind::BODY_BROKEN, detail, "Deliver it again."));
                }
                None => self.rest = None,
            }
        }
        Ok(())
    }

    /// For an answer before the end.
    fn throw_away(self) {
        if let Some(rest) = self.rest {
            drain(rest);
        }
    }
}

/// For an answer that does not depend on the body.
pub(crate) fn throw_away(body: Body) {
    drain(body.into_data_stream());
}

/// Reads on for a moment beside the answer: a connection that is closed on unread bytes is reset, and the answer
/// with it.
fn drain(mut body: axum::body::BodyDataStream) {
    tokio::spawn(tokio::time::timeout(LINGER, async move { while let Some(Ok(_)) = body.next().await {} }));
}

fn busy() -> Problem {
    let detail = "Too many large deliveries came at once.";
    Problem::new(&kind::BUSY, detail, "Deliver it again in a few seconds.")
        .with_header(header::RETRY_AFTER, HeaderValue::from(10))
}
