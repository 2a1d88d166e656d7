//! What happened in a run as a waterfall: a row a step and a vertex, with a bar from its start to its end. The
//! rows are a table with every number in words; the bars are drawn beside them, by attributes of SVG, for the
//! Content-Security-Policy allows no inline style.

use time::OffsetDateTime;

use super::html::{Took, took};
use super::view::word;
use crate::api::{Attempt, RunSteps, StepRun, VertexRun};

/// Width of the time line, in units of the drawing.
const WIDTH: f64 = 1000.0;
/// The shortest bar that is seen.
const SHORTEST: f64 = 4.0;
/// Rows of an attempt.
const ROWS: usize = 400;

/// An attempt and its rows.
#[derive(Debug)]
pub(crate) struct Waterfall {
    pub(crate) attempt: Attempt,
    pub(crate) rows: Vec<Row>,
    /// Rows that are not shown.
    pub(crate) more: usize,
    now: OffsetDateTime,
}

/// A step or a vertex.
#[derive(Debug)]
pub(crate) struct Row {
    /// `build`, `push`, or the instruction.
    pub(crate) name: String,
    pub(crate) stage: Option<String>,
    pub(crate) line: Option<i32>,
    /// In the log; absent for a step.
    pub(crate) number: Option<i32>,
    /// The word of its result or status.
    pub(crate) result: &'static str,
    /// Since the attempt began.
    pub(crate) after: Took,
    pub(crate) took: Took,
    /// The bar, in units of the drawing.
    pub(crate) x: f64,
    pub(crate) width: f64,
}

/// Every attempt, the latest first.
pub(crate) fn waterfalls(steps: RunSteps, now: OffsetDateTime) -> Vec<Waterfall> {
    steps.attempts.into_iter().rev().map(|attempt| Waterfall::new(attempt, now)).collect()
}

impl Waterfall {
    fn new(attempt: Attempt, now: OffsetDateTime) -> Self {
        let line = Line { start: attempt.started_at, end: end_of(&attempt).unwrap_or(now), now };
        let mut rows = Vec::new();
        for step in &attempt.steps {
            rows.push(line.step(step));
            rows.extend(step.vertices.iter().map(|vertex| line.vertex(vertex)));
        }
        let more = rows.len().saturating_sub(ROWS);
        rows.truncate(ROWS);
        Self { attempt, rows, more, now }
    }

    pub(crate) fn word(&self) -> &'static str {
        self.attempt.outcome.map_or("running", |outcome| outcome.as_str())
    }

    pub(crate) fn shown_word(&self) -> String {
        word(self.word())
    }

    pub(crate) fn took(&self) -> Took {
        took(self.attempt.started_at, end_of(&self.attempt), self.now)
    }

    /// What was not done again.
    pub(crate) fn cached(&self) -> usize {
        self.rows.iter().filter(|row| row.result == "cached").count()
    }

    pub(crate) fn vertices(&self) -> usize {
        self.rows.iter().filter(|row| row.number.is_some()).count()
    }
}

/// The later of the attempt's own end and its steps': the push may end after the worker is done.
fn end_of(attempt: &Attempt) -> Option<OffsetDateTime> {
    let steps = attempt.steps.iter().map(|step| step.finished_at);
    steps.chain([attempt.finished_at]).collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// From an attempt's start to its end, or to now.
struct Line {
    start: OffsetDateTime,
    end: OffsetDateTime,
    now: OffsetDateTime,
}

impl Line {
    fn step(&self, step: &StepRun) -> Row {
        let (start, end) = (step.started_at, step.finished_at);
        self.row(step.kind.as_str().to_owned(), step.status.as_str(), start, end)
    }

    fn vertex(&self, vertex: &VertexRun) -> Row {
        let (start, end) = (vertex.started_at, vertex.finished_at);
        Row {
            stage: vertex.stage.clone(),
            line: vertex.line,
            number: Some(vertex.number),
            ..self.row(vertex.name.clone(), vertex.result.as_str(), start, end)
        }
    }

    fn row(
        &self,
        name: String,
        result: &'static str,
        start: OffsetDateTime,
        end: Option<OffsetDateTime>,
    ) -> Row {
        let x = self.place(start).min(WIDTH - SHORTEST);
        let width = (self.place(end.unwrap_or(self.end)) - x).clamp(SHORTEST, WIDTH - x);
        let after = took(self.start, Some(start), self.now);
        let took = took(start, end, self.now);
        Row { name, stage: None, line: None, number: None, result, after, took, x, width }
    }

    fn place(&self, at: OffsetDateTime) -> f64 {
        let whole = (self.end - self.start).as_seconds_f64().max(0.001);
        ((at - self.start).as_seconds_f64() / whole * WIDTH).clamp(0.0, WIDTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_bar_stays_within_its_time_line() {
        let (start, end) = (datetime!(2026-11-24 12:00 UTC), datetime!(2026-11-24 12:00:10 UTC));
        let line = Line { start, end, now: end };
        let bar = |from: f64, to: Option<f64>| {
            let at = |seconds| start + time::Duration::seconds_f64(seconds);
            let row = line.row(String::new(), "executed", at(from), to.map(at));
            assert!(row.x >= 0.0 && row.width >= SHORTEST && row.x + row.width <= WIDTH, "{row:?}");
            (row.x, row.width)
        };
        assert_eq!(bar(2.5, Some(7.5)), (250.0, 500.0));
        assert_eq!(bar(5.0, None), (500.0, 500.0));
        assert_eq!(bar(10.0, Some(10.0)), (996.0, 4.0));
        // A worker's clock that goes wrong.
        bar(-3.0, Some(-2.0));
        bar(20.0, Some(30.0));
    }
}
