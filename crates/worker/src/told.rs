//! What a cell tells without asking, log lines and vertices, on its way to the database while the run goes on.
//! In: a lease. Out: a sink for each, and one wait for all of it at the end.

use std::time::{Duration, Instant};

use database::Database;
use mask::Mask;

use crate::lease::Lease;
use crate::log::{LogSink, LogWriter};
use crate::vertices::{VertexSink, VertexWriter};

/// How long the end of it may take to reach the database.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// Takes what a cell tells.
pub(crate) struct Told {
    pub(crate) log: LogSink,
    pub(crate) vertices: VertexSink,
}

/// Carries it to the database.
pub(crate) struct Writers {
    log: LogWriter,
    vertices: VertexWriter,
}

impl Told {
    /// `began` is when the lease was got; a log has `longest` bytes at most.
    pub(crate) fn start(
        database: Database,
        lease: &Lease,
        mask: &Mask,
        began: Instant,
        longest: Option<u64>,
    ) -> (Self, Writers) {
        let (log, log_writer) = LogWriter::start(database.clone(), lease.clone(), mask, longest);
        let (vertices, vertex_writer) = VertexWriter::start(database, lease.clone(), mask.clone(), began);
        (Self { log, vertices }, Writers { log: log_writer, vertices: vertex_writer })
    }
}

impl Writers {
    /// Every sink is dropped: what is left is written.
    pub(crate) async fn finish(self) {
        tokio::join!(self.log.finish(LAST_WORDS), self.vertices.finish(LAST_WORDS));
    }
}
