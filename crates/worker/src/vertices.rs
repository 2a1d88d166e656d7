//! What a cell says of its vertices, on its way to the database: the latest of each is kept, and written some
//! times a second, all that is new in one statement. The cell is a stranger: it gets a bounded number of rows
//! of bounded size, the run's secrets masked. Its times are those at which its words arrive here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use database::{Database, MAX_VERTEX_NAME, MAX_VERTICES, VertexRecord};
use mask::Mask;
use model::VertexResult;
use port::{VertexEvent, VertexStart};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use crate::lease::Lease;

/// How long news are gathered before they are written.
const GATHER: Duration = Duration::from_millis(250);
/// Until the next try while the database is away.
const PAUSE: Duration = Duration::from_secs(1);
/// Words that wait for the writer; a cell that says more has to wait.
const WAITING: usize = 256;

/// Takes what a cell says.
#[derive(Debug)]
pub(crate) struct VertexSink {
    events: mpsc::Sender<(Duration, VertexEvent)>,
    began: Instant,
}

impl VertexSink {
    /// It happens now.
    pub(crate) async fn tell(&self, mut event: VertexEvent) {
        if let VertexEvent::Started(start) = &mut event {
            shorten(&mut start.name);
            start.stage.iter_mut().for_each(shorten);
        }
        let _ = self.events.send((self.began.elapsed(), event)).await;
    }
}

/// Writes until the sink is dropped.
#[derive(Debug)]
pub(crate) struct VertexWriter(tokio::task::JoinHandle<()>);

impl VertexWriter {
    /// Starts writing for a lease, which was got when it `began`.
    pub(crate) fn start(database: Database, lease: Lease, mask: Mask, began: Instant) -> (VertexSink, Self) {
        let (events, queue) = mpsc::channel(WAITING);
        let vertices = Vertices { mask, told: BTreeMap::new(), news: BTreeSet::new() };
        let task = tokio::spawn(write_all(database, lease, queue, vertices));
        (VertexSink { events, began }, Self(task))
    }

    /// Waits until everything is written, but not longer than `limit`.
    pub(crate) async fn finish(self, limit: Duration) {
        let task = self.0.abort_handle();
        if tokio::time::timeout(limit, self.0).await.is_err() {
            task.abort();
            tracing::warn!("the last vertices of a run were not written in time");
        }
    }
}

type Queue = mpsc::Receiver<(Duration, VertexEvent)>;

async fn write_all(database: Database, lease: Lease, mut queue: Queue, mut vertices: Vertices) {
    let mut open = true;
    while open || !vertices.news.is_empty() {
        open = vertices.gather(&mut queue).await;
        let news = vertices.news();
        if news.is_empty() {
            continue;
        }
        match database.record_vertices(lease.run, lease.epoch, &lease.token, &news).await {
            Ok(()) => vertices.news.clear(),
            Err(error) if error.is_lease_lost() => return,
            Err(error) if error.is_unavailable() => {
                tracing::warn!(run = %lease.run, %error, "vertices of a run wait for the database");
                tokio::time::sleep(PAUSE).await;
            }
            // Nothing of a run depends on them.
            Err(error) => {
                tracing::warn!(run = %lease.run, %error, "vertices of a run were refused");
                vertices.news.clear();
            }
        }
    }
}

/// What is known of a run's vertices.
struct Vertices {
    mask: Mask,
    told: BTreeMap<u32, VertexRecord>,
    /// Numbers of those that are not written as they are.
    news: BTreeSet<u32>,
}

impl Vertices {
    /// Waits for something to write, and a moment longer for more. False when nothing will follow.
    async fn gather(&mut self, queue: &mut Queue) -> bool {
        if self.news.is_empty() {
            match queue.recv().await {
                Some((at, event)) => self.hear(at, event),
                None => return false,
            }
        }
        let deadline = tokio::time::Instant::now() + GATHER;
        loop {
            match timeout_at(deadline, queue.recv()).await {
                Ok(Some((at, event))) => self.hear(at, event),
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }

    fn news(&self) -> Vec<VertexRecord> {
        self.news.iter().filter_map(|number| self.told.get(number)).cloned().collect()
    }

    fn hear(&mut self, at: Duration, event: VertexEvent) {
        let number = match event {
            VertexEvent::Started(start) => self.started(at, start),
            VertexEvent::Ended { number, result } => self.ended(at, number, result),
        };
        self.news.extend(number);
    }

    /// A number counts once, and up to the limit.
    fn started(&mut self, at: Duration, start: VertexStart) -> Option<u32> {
        let VertexStart { number, name, stage, line } = start;
        if !(1..=MAX_VERTICES).contains(&number) || self.told.contains_key(&number) {
            return None;
        }
        let shown = |text: &str| cut(&self.mask.text(text));
        let (name, stage) = (shown(&name), stage.as_deref().map(shown));
        let line = line.filter(|line| (1..=i32::MAX as u32).contains(line));
        self.told.insert(number, VertexRecord { number, name, stage, line, started: at, ended: None });
        Some(number)
    }

    /// What was done may still fail; any other end is the last.
    fn ended(&mut self, at: Duration, number: u32, result: VertexResult) -> Option<u32> {
        let vertex = self.told.get_mut(&number)?;
        let may = match vertex.ended {
            None => result != VertexResult::Running,
            Some((before, _)) => before == VertexResult::Executed && result == VertexResult::Failed,
        };
        may.then(|| {
            vertex.ended = Some((result, at));
            number
        })
    }
}

/// Far more than is shown, so that a secret is still whole where it is masked.
fn shorten(text: &mut String) {
    text.truncate(text.floor_char_boundary(WAITING * MAX_VERTEX_NAME));
}

/// One line of bounded length; the last character says that there was more.
fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(MAX_VERTEX_NAME) {
        None => line.to_owned(),
        Some(_) => line.chars().take(MAX_VERTEX_NAME - 1).chain(['…']).collect(),
    }
}
