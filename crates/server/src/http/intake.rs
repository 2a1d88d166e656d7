//! A delivery's body. In: a stranger's bytes, at a stranger's pace. Out: all of them, within a limit, and out of a
//! budget that every delivery shares, so that many large ones at once wait for each other instead of filling the
//! memory. A large one arrives in a file, and takes its part of the budget once it is whole. Absent: who sent it, and the
//! time that the whole request may take.

use std::collections::HashMap;
use std::io::SeekFrom;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use futures_util::StreamExt;
use model::HookId;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::kind;
use super::problem::Problem;

/// So much of a body costs nothing: who only begins one keeps nobody else out.
const FREE: usize = 64 * 1024;
/// Large bodies on their way at a time: together with the limit of one this bounds the disk that they take.
const ARRIVING: usize = 64;
/// Of one hook: who only knows its address keeps out its large deliveries, and no other hook's.
const ARRIVING_AT_ONE: usize = 8;
/// A git host waits for ten seconds.
const PATIENCE: Duration = Duration::from_secs(8);
/// For a client that reads no answer before it has sent everything.
const LINGER: Duration = Duration::from_secs(5);

/// What all large deliveries share.
pub(crate) struct Intake {
    /// A permit a byte.
    budget: Arc<Semaphore>,
    limit: usize,
    places: Places,
}

/// Who may send a large body at a time.
struct Places {
    all: Arc<Semaphore>,
    of_hooks: Mutex<HashMap<HookId, Weak<Semaphore>>>,
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
}

impl Intake {
    /// Bodies of at most `limit` bytes, `budget` together.
    pub(crate) fn new(limit: usize, budget: usize) -> Self {
        let budget = Arc::new(Semaphore::new(budget.clamp(limit, Semaphore::MAX_PERMITS)));
        let places = Places { all: Arc::new(Semaphore::new(ARRIVING)), of_hooks: Mutex::new(HashMap::new()) };
        Self { budget, limit, places }
    }

    /// All of a body that is for a hook.
    ///
    /// # Errors
    /// `body_too_large`, `body_broken`, `busy`
    pub(crate) async fn take(&self, hook: HookId, headers: &HeaderMap, body: Body) -> Result<Taken, Problem> {
        let begun = self.begin(headers, body).await?;
        if begun.rest.is_none() {
            return Ok(Taken { bytes: begun.bytes, reserved: None });
        }
        let place = tokio::time::timeout(PATIENCE, self.places.of(hook)).await;
        let Ok(Some(_place)) = place else {
            begun.throw_away();
            return Err(busy());
        };
        let (file, length) = self.spill(begun).await?;
        self.read_back(file, length).await
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
        let mut begun = Begun { rest: Some(body.into_data_stream()), bytes: Vec::new() };
        begun.read_to(FREE, self.limit).await?;
        self.check(begun)
    }

    /// All of it in a file without a name, and its length.
    ///
    /// # Errors
    /// `body_too_large`, `body_broken`, `internal`
    async fn spill(&self, mut begun: Begun) -> Result<(File, usize), Problem> {
        let mut file = File::from_std(tempfile::tempfile().map_err(unwritten)?);
        let mut length = 0;
        while !begun.bytes.is_empty() {
            length += begun.bytes.len();
            if length > self.limit {
                begun.throw_away();
                return Err(self.too_large());
            }
            file.write_all(&begun.bytes).await.map_err(unwritten)?;
            begun.bytes.clear();
            begun.read_to(FREE, self.limit).await?;
        }
        file.seek(SeekFrom::Start(0)).await.map_err(unwritten)?;
        Ok((file, length))
    }

    /// Into memory, once there is room for it.
    ///
    /// # Errors
    /// `busy`, `internal`
    async fn read_back(&self, mut file: File, length: usize) -> Result<Taken, Problem> {
        let room = u32::try_from(length).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.budget).acquire_many_owned(room);
        let Ok(Ok(reserved)) = tokio::time::timeout(PATIENCE, room).await else { return Err(busy()) };
        let mut bytes = Vec::with_capacity(length);
        file.read_to_end(&mut bytes).await.map_err(unwritten)?;
        Ok(Taken { bytes, reserved: Some(reserved) })
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

impl Places {
    /// One for a body that is for `hook`, as soon as there is one.
    async fn of(&self, hook: HookId) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let one = self.of_hook(hook).acquire_owned().await.ok()?;
        Some((one, Arc::clone(&self.all).acquire_owned().await.ok()?))
    }

    fn of_hook(&self, hook: HookId) -> Arc<Semaphore> {
        let mut of_hooks = self.of_hooks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = of_hooks.get(&hook).and_then(Weak::upgrade) {
            return places;
        }
        of_hooks.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(ARRIVING_AT_ONE));
        of_hooks.insert(hook, Arc::downgrade(&places));
        places
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

fn unwritten(error: std::io::Error) -> Problem {
    tracing::error!(%error, "a delivery could not be put into a file");
    let hint = "The folder for temporary files of the server is full or can't be written; its log says more.";
    Problem::new(&kind::INTERNAL, "The delivery could not be put into a file.", hint)
}

fn busy() -> Problem {
    let detail = "Too many large deliveries came at once.";
    Problem::new(&kind::BUSY, detail, "Deliver it again in a few seconds.")
        .with_header(header::RETRY_AFTER, HeaderValue::from(10))
}
