//! A run's attempts, their steps and vertices as lines for people: what, since when, how long, what became of it.

use server::api::{Attempt, RunSteps, StepRun, VertexRun};
use time::OffsetDateTime;

use super::render::duration;

/// More vertices than that are counted, and listed where somebody asks.
const FEW: usize = 20;

/// Times with a `+` count from the attempt's start. Of many vertices only those that run or did not end well
/// are listed, unless `all` are asked for.
pub(crate) fn lines(run: &RunSteps, all: bool) -> String {
    let count: usize =
        run.attempts.iter().flat_map(|attempt| &attempt.steps).map(|step| step.vertices.len()).sum();
    let all = all || count <= FEW;
    let lines: Vec<String> = run.attempts.iter().flat_map(|attempt| of_attempt(attempt, all)).collect();
    lines.join("\n")
}

fn of_attempt(attempt: &Attempt, all: bool) -> Vec<String> {
    let Attempt { attempt: number, worker, started_at, finished_at, .. } = attempt;
    let outcome =
        attempt.outcome.map_or("under way".to_owned(), |outcome| outcome.as_str().replace('_', " "));
    let took = finished_at.map(|end| format!(" after {}", between(*started_at, end))).unwrap_or_default();
    let mut lines = vec![format!("attempt {number} on {worker}: {outcome}{took}")];
    if let Some(failure) = &attempt.failure {
        lines.extend(failure.message.lines().map(|line| format!("  {line}")));
    }
    lines.extend(attempt.steps.iter().flat_map(|step| of_step(step, *started_at, all)));
    lines
}

fn of_step(step: &StepRun, from: OffsetDateTime, all: bool) -> Vec<String> {
    let status = step.status.as_str().replace('_', " ");
    let times = times(from, step.started_at, step.finished_at);
    let mut lines = vec![format!("  {:<5} {status:<11} {times}", step.kind.as_str()).trim_end().to_owned()];
    let shown = step.vertices.iter().filter(|vertex| all || is_of_note(vertex));
    lines.extend(shown.map(|vertex| of_vertex(vertex, from)));
    let hidden = step.vertices.iter().filter(|vertex| !all && !is_of_note(vertex)).count();
    if hidden > 0 {
        let cached =
            step.vertices.iter().filter(|vertex| vertex.result == model::VertexResult::Cached).count();
        lines.push(format!("    {hidden} more, {cached} of them cached; --steps lists them"));
    }
    lines
}

fn is_of_note(vertex: &VertexRun) -> bool {
    !matches!(vertex.result, model::VertexResult::Cached | model::VertexResult::Executed)
}

fn of_vertex(vertex: &VertexRun, from: OffsetDateTime) -> String {
    let number = format!("#{}", vertex.number);
    let times = times(from, vertex.started_at, vertex.finished_at);
    let line = vertex.line.map(|line| format!("line {line}"));
    let place = [vertex.stage.clone(), line].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let place = if place.is_empty() { place } else { format!("  ({place})") };
    format!("    {number:<4} {:<11} {times}  {}{place}", vertex.result.as_str(), vertex.name)
}

/// Since when and how long; nothing for how long while it goes on.
fn times(from: OffsetDateTime, start: OffsetDateTime, end: Option<OffsetDateTime>) -> String {
    let since = format!("+{}", between(from, start));
    let took = end.map(|end| between(start, end)).unwrap_or_default();
    format!("{since:>8} {took:>8}")
}

fn between(start: OffsetDateTime, end: OffsetDateTime) -> String {
    duration((end - start).as_seconds_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(vertices: usize) -> RunSteps {
        let vertex = |number: usize| {
            serde_json::json!({ "number": number, "name": format!("RUN echo {number}"), "stage": "build", "line": number + 1,
                "result": if number == 2 { "failed" } else { "cached" },
                "started_at": "2026-01-01T00:00:01Z", "finished_at": "2026-01-01T00:01:05.5Z" })
        };
        let vertices: Vec<_> = (1..=vertices).map(vertex).collect();
        let run = serde_json::json!({ "attempts": [{
            "attempt": 1, "worker": "w1", "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:01:07Z",
            "outcome": "timed_out",
            "failure": { "kind": "timed_out", "blame": "limits", "message": "It took too long." },
            "steps": [
                { "kind": "build", "status": "succeeded", "started_at": "2026-01-01T00:00:00Z",
                  "finished_at": "2026-01-01T00:01:06Z", "vertices": vertices },
                { "kind": "push", "status": "started", "started_at": "2026-01-01T00:01:06Z", "vertices": [] },
            ],
        }] });
        serde_json::from_value(run).expect("the API's shape")
    }

    #[test]
    fn each_has_its_line_with_what_became_of_it_and_its_times() {
        let expected = "attempt 1 on w1: timed out after 1m 07s
  It took too long.
  build succeeded      +0.0s   1m 06s
    #1   cached         +1.0s   1m 04s  RUN echo 1  (build, line 2)
    #2   failed         +1.0s   1m 04s  RUN echo 2  (build, line 3)
  push  started      +1m 06s";
        assert_eq!(lines(&run(2), false), expected);
    }

    #[test]
    fn of_many_only_those_of_note_are_listed_until_all_are_asked_for() {
        let few = lines(&run(30), false);
        assert!(few.contains("RUN echo 2 ") && !few.contains("RUN echo 3 "), "{few}");
        assert!(few.contains("29 more, 29 of them cached; --steps lists them"), "{few}");
        assert!(lines(&run(30), true).contains("RUN echo 30 "));
    }
}
