//! The log of one run on its way to the database: lines are gathered for a moment and appended at
//! their byte offset, in order, the run's secrets masked. A database that is away for a while loses
//! nothing: lines wait. A log that is longer than it may be ends with a line that says so, and the run goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use database::Database;
use mask::{Mask, Masked};
use model::in_words;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use crate::lease::Lease;
use crate::metrics::METRICS;

/// How long lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(200);
/// The largest chunk, in bytes.
const CHUNK: usize = 256 << 10;
/// Bytes that wait while the database is away; beyond it a cell that logs more has to wait.
const WAITING: usize = 4 << 20;

/// Takes lines; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct LogSink {
    lines: mpsc::UnboundedSender<Waiting>,
    room: Arc<Semaphore>,
}

/// Lines, and the room that they take until they are gathered.
type Waiting = (String, OwnedSemaphorePermit);

impl LogSink {
    /// Hands lines over; waits while too many bytes are waiting already.
    pub(crate) async fn write(&self, lines: String) {
        let room = u32::try_from(lines.len().clamp(1, WAITING)).unwrap_or(u32::MAX);
        if let Ok(room) = Arc::clone(&self.room).acquire_many_owned(room).await {
            let _ = self.lines.send((lines, room));
        }
    }
}

/// Writes until every sink is dropped.
#[derive(Debug)]
pub(crate) struct LogWriter {
    task: tokio::task::JoinHandle<()>,
    lost: Arc<Notify>,
}

impl LogWriter {
    /// Starts writing for a lease.
    pub(crate) fn start(
        database: Database,
        lease: Lease,
        mask: &Mask,
        longest: Option<u64>,
    ) -> (LogSink, Self) {
        let (lines, queue) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(WAITING));
        let lost = Arc::new(Notify::new());
        let task = tokio::spawn(write_all(
            database,
            lease,
            queue,
            (mask.begin(), Cut::at(longest)),
            Arc::clone(&lost),
        ));
        (LogSink { lines, room }, Self { task, lost })
    }

    /// Waits until everything is written, but not longer than `limit`.
    pub(crate) async fn finish(self, limit: Duration) {
        if tokio::time::timeout(limit, self.task).await.is_err() {
            tracing::warn!("the end of a log was not written in time");
        }
        self.lost.notify_waiters();
    }
}

async fn write_all(
    database: Database,
    lease: Lease,
    mut queue: mpsc::UnboundedReceiver<Waiting>,
    (mut masked, mut cut): (Masked, Cut),
    lost: Arc<Notify>,
) {
    let mut offset = 0_i64;
    loop {
        let mut lines = Vec::new();
        let more = queue.recv().await;
        // Of the oldest line of the chunk.
        let arrived = Instant::now();
        let chunk = match &more {
            Some((first, _)) => {
                lines.extend_from_slice(first.as_bytes());
                gather(&mut queue, &mut lines).await;
                masked.push(&lines)
            }
            None => masked.end(),
        };
        let chunk = cut.pass(chunk);
        for part in chunk.chunks(CHUNK) {
            if !append(&database, &lease, offset, part).await {
                lost.notify_waiters();
                return;
            }
            offset += i64::try_from(part.len()).unwrap_or(0);
            METRICS.log_lag.observe(arrived.elapsed().as_secs_f64());
            METRICS.log_bytes.inc_by(part.len() as u64);
        }
        if more.is_none() {
            return;
        }
    }
}

/// What of a log is kept.
#[derive(Debug)]
struct Cut {
    longest: Option<u64>,
    /// None: its end was told.
    left: Option<u64>,
}

impl Cut {
    fn at(longest: Option<u64>) -> Self {
        Self { longest, left: longest.or(Some(u64::MAX)) }
    }

    /// Whole lines, as long as there is room for them; then one that says why it ends; then nothing.
    fn pass(&mut self, mut chunk: Vec<u8>) -> Vec<u8> {
        let Some(left) = self.left else { return Vec::new() };
        if let Some(rest) = left.checked_sub(chunk.len() as u64) {
            self.left = Some(rest);
            return chunk;
        }
        chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        chunk.truncate(chunk.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        let longest = in_words(self.longest.unwrap_or_default());
        let end = format!(
            "The log ends here: it is longer than {longest}, the worker's --run-log. The run goes on.\n"
        );
        chunk.extend_from_slice(end.as_bytes());
        self.left = None;
        chunk
    }
}

async fn gather(queue: &mut mpsc::UnboundedReceiver<Waiting>, chunk: &mut Vec<u8>) {
    let deadline = tokio::time::Instant::now() + GATHER;
    while chunk.len() < CHUNK {
        match tokio::time::timeout_at(deadline, queue.recv()).await {
            Ok(Some((lines, _))) => chunk.extend_from_slice(lines.as_bytes()),
            _ => return,
        }
    }
}

/// Appends one chunk, again and again while the database is away. False when the lease is lost.
async fn append(database: &Database, lease: &Lease, offset: i64, bytes: &[u8]) -> bool {
    loop {
        match database.append_log(lease.run, lease.epoch, &lease.token, lease.attempt, offset, bytes).await {
            Ok(()) => return true,
            Err(error) if error.is_lease_lost() => return false,
            Err(error) => {
                tracing::warn!(run = %lease.run, %error, "a log chunk waits for the database");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_ends_with_a_whole_line_and_a_word_about_its_end_and_nothing_follows() {
        let mut cut = Cut::at(Some(10));
        assert_eq!(cut.pass(b"one\n".to_vec()), b"one\n");
        let end = String::from_utf8(cut.pass(b"two\nthree\n".to_vec())).expect("text");
        assert!(end.starts_with("two\nThe log ends here: it is longer than 10 bytes,"), "{end}");
        assert!(cut.pass(b"four\n".to_vec()).is_empty());
        let mut whole = Cut::at(None);
        assert_eq!(whole.pass(vec![b'x'; 1 << 20]).len(), 1 << 20);
    }
}
