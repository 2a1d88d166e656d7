//! The run's log, as BuildKit's `--progress=plain` writes it: `#3 [2/4] RUN make`, `#3 0.52 a line`; and
//! beside it, under the same numbers, that vertices start and end.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use model::{Vertex, VertexResult};
use port::{Outside, VertexEvent, VertexStart};

/// A longer line is written in pieces of this size, each with its number: nothing is lost.
const MAX_LINE: usize = 16 << 10;

/// How many last lines a failure shows.
const LAST_LINES: usize = 10;

/// Hands out numbers in the order in which vertices start.
pub(crate) struct Log<'a> {
    outside: &'a dyn Outside,
    next: AtomicU32,
}

impl<'a> Log<'a> {
    pub(crate) fn new(outside: &'a dyn Outside) -> Self {
        Self { outside, next: AtomicU32::new(1) }
    }

    /// Writes the vertex' name under the next number.
    pub(crate) fn start(&self, vertex: &Vertex) -> VertexLog<'a> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let log = VertexLog { outside: self.outside, number, started: Instant::now() };
        log.line(&one_line(&vertex.name()));
        self.outside.vertex(VertexEvent::Started(VertexStart {
            number,
            name: one_line(&vertex.instruction),
            stage: vertex.stage.clone(),
            line: vertex.location.as_ref().map(|location| location.line),
        }));
        log
    }

    /// A vertex that was done fails after all: its layer can't be packed.
    pub(crate) fn failed_late(&self, number: u32) {
        self.outside.vertex(VertexEvent::Ended { number, result: VertexResult::Failed });
    }
}

/// One vertex' part of the log.
pub(crate) struct VertexLog<'a> {
    outside: &'a dyn Outside,
    number: u32,
    started: Instant,
}

impl VertexLog<'_> {
    pub(crate) fn line(&self, text: &str) {
        self.outside.log(&format!("#{} {text}\n", self.number));
    }

    /// What its lines begin with: 3 for `#3`.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn cached(&self) {
        self.line("CACHED");
        self.end(VertexResult::Cached);
    }

    pub(crate) fn done(&self) {
        self.line(&format!("DONE {:.1}s", self.seconds()));
        self.end(VertexResult::Executed);
    }

    pub(crate) fn error(&self, message: &str) {
        self.line(&format!("ERROR {}", one_line(message)));
        self.end(VertexResult::Failed);
    }

    /// Another one failed; what became of this one says nothing about it.
    pub(crate) fn interrupted(&self) {
        self.end(VertexResult::Interrupted);
    }

    fn end(&self, result: VertexResult) {
        self.outside.vertex(VertexEvent::Ended { number: self.number, result });
    }

    /// For what a process writes.
    pub(crate) fn output(&self) -> OutputLines<'_> {
        OutputLines { log: self, pending: [Vec::new(), Vec::new()], last: Vec::new() }
    }

    fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Cuts two streams into lines.
pub(crate) struct OutputLines<'a> {
    log: &'a VertexLog<'a>,
    /// The unfinished line of each stream.
    pending: [Vec<u8>; 2],
    last: Vec<String>,
}

impl OutputLines<'_> {
    pub(crate) fn write(&mut self, stream: sandbox::Stream, bytes: &[u8]) {
        let index = usize::from(stream == sandbox::Stream::Stderr);
        let mut pending = std::mem::take(&mut self.pending[index]);
        pending.extend_from_slice(bytes);
        let mut lines = Vec::new();
        let mut rest = pending.as_slice();
        loop {
            match rest.iter().take(MAX_LINE + 1).position(|b| *b == b'\n') {
                Some(end) => {
                    lines.push(text(&rest[..end]));
                    rest = &rest[end + 1..];
                }
                None if rest.len() > MAX_LINE => {
                    let (piece, more) = rest.split_at(whole_characters(&rest[..MAX_LINE]));
                    lines.push(text(piece));
                    rest = more;
                }
                None => break,
            }
        }
        self.pending[index] = rest.to_vec();
        self.emit(lines);
    }

    /// Writes what has no newline, and answers the last lines of all.
    pub(crate) fn finish(mut self) -> Vec<String> {
        let rest: Vec<String> = self.pending.iter().filter(|p| !p.is_empty()).map(|p| text(p)).collect();
        self.emit(rest);
        self.last
    }

    fn emit(&mut self, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        let seconds = self.log.seconds();
        let mut out = String::new();
        for line in &lines {
            let _ = writeln!(out, "#{} {seconds:.2} {line}", self.log.number);
        }
        self.log.outside.log(&out);
        self.last.extend(lines);
        let surplus = self.last.len().saturating_sub(LAST_LINES);
        self.last.drain(..surplus);
    }
}

/// A carriage return only moves a terminal's cursor; what it would overwrite stays readable.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

/// Where to cut so that no UTF-8 sequence is torn (it has at most four bytes).
fn whole_characters(bytes: &[u8]) -> usize {
    let start = bytes.iter().rev().take(4).position(|b| *b & 0xc0 != 0x80);
    match start {
        Some(back) if bytes[bytes.len() - 1 - back] >= 0xc0 => bytes.len() - 1 - back,
        _ => bytes.len(),
    }
}
