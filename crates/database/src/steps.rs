//! What happened in a run, step by step: written by the holder of its lease, read by the server.

use model::{AttemptOutcome, Epoch, Failure, LeaseToken, RunId, StepKind, StepStatus, VertexResult};
use std::time::Duration;
use time::OffsetDateTime;

use crate::error::{parse, read, storable_text};
use crate::{Database, Error};

/// Vertices of an attempt that are kept: those with the numbers from 1 to this one.
pub const MAX_VERTICES: u32 = 4096;
/// Characters of a vertex' name, and of its stage's.
pub const MAX_VERTEX_NAME: usize = 200;

/// A vertex as the holder of the lease knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VertexRecord {
    /// 1 to [`MAX_VERTICES`].
    pub number: u32,
    /// At most [`MAX_VERTEX_NAME`] characters.
    pub name: String,
    /// As `name`.
    pub stage: Option<String>,
    /// From 1.
    pub line: Option<u32>,
    /// Since the lease was got.
    pub started: Duration,
    /// What became of it, and when; none while it runs.
    pub ended: Option<(VertexResult, Duration)>,
}

/// One try at a run.
#[derive(Debug, Clone)]
pub struct AttemptRow {
    /// From 1.
    pub attempt: i32,
    /// The worker's name.
    pub worker: String,
    pub started_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
    pub outcome: Option<AttemptOutcome>,
    pub failure: Option<Failure>,
    /// In the order in which they began.
    pub steps: Vec<StepRow>,
}

/// What happened to a step.
#[derive(Debug, Clone)]
pub struct StepRow {
    pub kind: StepKind,
    pub status: StepStatus,
    pub started_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
    /// Of a build, by their number.
    pub vertices: Vec<VertexRow>,
}

/// What happened to a vertex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VertexRow {
    pub number: i32,
    pub name: String,
    pub stage: Option<String>,
    pub line: Option<i32>,
    pub result: VertexResult,
    pub started_at: OffsetDateTime,
    pub finished_at: Option<OffsetDateTime>,
}

impl Database {
    /// Writes vertices of the attempt that the lease is for, each number once. A known number gets a new
    /// result and end; the rest of it stays.
    ///
    /// # Errors
    /// The lease is lost, a vertex is beyond the limits, or the database is away.
    pub async fn record_vertices(
        &self,
        run: RunId,
        epoch: Epoch,
        token: &LeaseToken,
        vertices: &[VertexRecord],
    ) -> Result<(), Error> {
        let of = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let text = |text: &String| storable_text(text.clone());
        let running = VertexResult::Running;
        let numbers: Vec<_> = vertices.iter().map(|vertex| of(vertex.number)).collect();
        let names: Vec<_> = vertices.iter().map(|vertex| text(&vertex.name)).collect();
        let stages: Vec<_> = vertices.iter().map(|vertex| vertex.stage.as_ref().map(text)).collect();
        let lines: Vec<_> = vertices.iter().map(|vertex| vertex.line.map(of)).collect();
        let results: Vec<_> =
            vertices.iter().map(|vertex| vertex.ended.map_or(running, |end| end.0)).collect();
        let results: Vec<_> = results.iter().map(|result| result.as_str().to_owned()).collect();
        let started: Vec<_> = vertices.iter().map(|vertex| milliseconds(vertex.started)).collect();
        let finished: Vec<_> =
            vertices.iter().map(|vertex| vertex.ended.map(|end| milliseconds(end.1))).collect();
        sqlx::query!(
            "SELECT slipway.record_vertices($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            run.0,
            epoch.0,
            token.0,
            &numbers,
            &names,
            &stages as &[Option<String>],
            &lines as &[Option<i32>],
            &results,
            &started,
            &finished as &[Option<i64>]
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }

    /// A run's attempts, the first one first, with their steps and vertices. Read from the outside in: what
    /// ends meanwhile shows as something ended in something that goes on, never the other way round.
    ///
    /// # Errors
    /// The database is away.
    pub async fn run_steps(&self, run: RunId) -> Result<Vec<AttemptRow>, Error> {
        let rows = sqlx::query!(
            "SELECT attempt, worker_name, started_at, finished_at, outcome, failure
             FROM slipway.attempts WHERE run_id = $1 ORDER BY attempt",
            run.0
        );
        let mut attempts = Vec::new();
        for row in rows.fetch_all(&self.pool).await? {
            attempts.push(AttemptRow {
                attempt: row.attempt,
                worker: row.worker_name,
                started_at: row.started_at,
                finished_at: row.finished_at,
                outcome: row.outcome.map(|outcome| parse(&outcome)).transpose()?,
                failure: row.failure.map(|failure| read("an attempt's failure", failure)).transpose()?,
                steps: Vec::new(),
            });
        }
        self.steps_into(run, &mut attempts).await?;
        self.vertices_into(run, &mut attempts).await?;
        Ok(attempts)
    }

    async fn steps_into(&self, run: RunId, attempts: &mut [AttemptRow]) -> Result<(), Error> {
        let rows = sqlx::query!(
            "SELECT attempt, kind, status, started_at, finished_at
             FROM slipway.step_runs WHERE run_id = $1 ORDER BY started_at, kind",
            run.0
        );
        for row in rows.fetch_all(&self.pool).await? {
            let (kind, status) = (parse(&row.kind)?, parse(&row.status)?);
            let (started_at, finished_at) = (row.started_at, row.finished_at);
            if let Some(attempt) = attempts.iter_mut().find(|attempt| attempt.attempt == row.attempt) {
                let vertices = Vec::new();
                attempt.steps.push(StepRow { kind, status, started_at, finished_at, vertices });
            }
        }
        Ok(())
    }

    async fn vertices_into(&self, run: RunId, attempts: &mut [AttemptRow]) -> Result<(), Error> {
        let rows = sqlx::query!(
            "SELECT attempt, number, name, stage, line, result, started_at, finished_at
             FROM slipway.vertex_runs WHERE run_id = $1 ORDER BY attempt, number",
            run.0
        );
        for row in rows.fetch_all(&self.pool).await? {
            let build = attempts.iter_mut().find(|attempt| attempt.attempt == row.attempt);
            let build =
                build.and_then(|attempt| attempt.steps.iter_mut().find(|step| step.kind == StepKind::Build));
            if let Some(build) = build {
                build.vertices.push(VertexRow {
                    number: row.number,
                    name: row.name,
                    stage: row.stage,
                    line: row.line,
                    result: parse(&row.result)?,
                    started_at: row.started_at,
                    finished_at: row.finished_at,
                });
            }
        }
        Ok(())
    }
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
