//! The last part of a log, for whoever has no script: lines with their numbers, and where each vertex begins, so
//! that links lead to them.

use std::collections::HashSet;

use database::LogSlice;
use model::RunId;

use super::PIECE;
use super::plain::plain;
use crate::App;
use crate::http::problem::Problem;

/// Bytes of the last part.
const BYTES: i64 = 64 * 1024;
/// Lines of it.
const LINES: usize = 2000;
/// Bytes before it whose lines are counted; behind more than that, lines have no number.
const COUNTED: i64 = 4 * 1024 * 1024;

/// The end of a log.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    pub(crate) lines: Vec<Line>,
    /// Whether something stands before it.
    pub(crate) is_cut: bool,
    /// Vertices that have no line in it.
    pub(crate) elsewhere: Vec<i32>,
}

/// A line without its escape sequences.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) number: Option<usize>,
    /// The vertex whose first line it is.
    pub(crate) vertex: Option<i32>,
    pub(crate) text: String,
}

/// The last part of an attempt's log, from a line's beginning on.
pub(crate) async fn tail(app: &App, run: RunId, attempt: i32) -> Result<Tail, Problem> {
    // Behind any end: the answer says where the end is.
    let end = app.database.read_log(run, Some(attempt), i64::MAX, 1).await?.next_offset;
    let start = (end - BYTES).max(0);
    let LogSlice { bytes, .. } = app.database.read_log(run, Some(attempt), start, BYTES).await?;
    let before = if start <= COUNTED { Some(count_lines(app, run, attempt, start).await?) } else { None };
    Ok(Tail::new(&String::from_utf8_lossy(&bytes), before, start > 0))
}

/// How many lines end before an offset.
async fn count_lines(app: &App, run: RunId, attempt: i32, end: i64) -> Result<usize, Problem> {
    let (mut lines, mut at) = (0, 0);
    while at < end {
        let piece = app.database.read_log(run, Some(attempt), at, (end - at).min(PIECE)).await?;
        if piece.bytes.is_empty() {
            break;
        }
        lines += piece.bytes.iter().filter(|byte| **byte == b'\n').count();
        at = piece.next_offset;
    }
    Ok(lines)
}

impl Tail {
    /// Of a text with so many lines before it; one that is cut begins within a line.
    fn new(text: &str, before: Option<usize>, is_cut: bool) -> Self {
        let whole: Vec<&str> = text.strip_suffix('\n').unwrap_or(text).split('\n').collect();
        let skipped = usize::from(is_cut).max(whole.len().saturating_sub(LINES));
        let mut seen = HashSet::new();
        let line = |(index, line): (usize, &&str)| Line {
            number: before.map(|before| before + index + 1),
            vertex: vertex(line).filter(|vertex| seen.insert(*vertex)),
            text: plain(line),
        };
        let lines = match text.is_empty() {
            true => Vec::new(),
            false => whole.iter().enumerate().skip(skipped).map(line).collect(),
        };
        Self { lines, is_cut: skipped > 0, elsewhere: Vec::new() }
    }

    /// With the vertices that links lead to.
    pub(crate) fn with_vertices(mut self, vertices: impl Iterator<Item = i32>) -> Self {
        let shown: HashSet<i32> = self.lines.iter().filter_map(|line| line.vertex).collect();
        self.elsewhere = vertices.filter(|vertex| !shown.contains(vertex)).collect();
        self
    }
}

/// The number that a line of a vertex begins with: `#3 `.
fn vertex(line: &str) -> Option<i32> {
    line.strip_prefix('#')?.split_once(' ')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_numbers_of_the_whole_log() {
        let tail = Tail::new("half\n#3 a\n#3 b\n#x\n", Some(7), true);
        let lines: Vec<_> = tail.lines.iter().map(|line| (line.number, line.vertex, &*line.text)).collect();
        assert_eq!(lines, [(Some(9), Some(3), "#3 a"), (Some(10), None, "#3 b"), (Some(11), None, "#x")]);
        assert!(tail.is_cut);
        assert_eq!(tail.with_vertices([2, 3].into_iter()).elsewhere, [2]);
    }

    #[test]
    fn short_lines_are_not_all_shown() {
        let tail = Tail::new(&"\n".repeat(5000), Some(0), false);
        assert_eq!((tail.lines.len(), tail.lines[0].number, tail.is_cut), (LINES, Some(3001), true));
        let none = Tail::new("", Some(0), false);
        assert!(none.lines.is_empty() && !none.is_cut);
    }
}
