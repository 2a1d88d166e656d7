//! The list of runs: filters, pages, and the query that reads no more than a page needs.

use model::{RunId, RunStatus};

use crate::runs::Row;
use crate::{Database, Error, RunRow};

/// Which runs.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// A registry's name; every one when absent.
    pub registry: Option<String>,
    pub status: Option<RunStatus>,
    /// A task's name.
    pub task: Option<String>,
    /// The word of a [`Cause`].
    pub cause: Option<String>,
    /// Of the branch or tag that is built, whole.
    pub branch: Option<String>,
    /// Beginning of the commit's id, in lower case.
    pub commit: Option<String>,
}

/// Some runs, newest first.
#[derive(Debug, Clone)]
pub struct RunPage {
    pub runs: Vec<RunRow>,
    /// Where the next page begins: after this run.
    pub next: Option<RunId>,
}

impl Database {
    /// A page of runs, newest first, after the run `cursor`.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list_runs(
        &self,
        filter: &RunFilter,
        cursor: Option<RunId>,
        limit: u32,
    ) -> Result<RunPage, Error> {
        // Planned anew each time: which index serves depends on which filters there are, and a plan that is kept for
        // all of them reads a registry's whole history. The macros keep every statement. Registry by registry, for each
        // index begins with it.
        let rows = sqlx::query_as::<_, Row>(
            "SELECT r.id, r.number, r.registry, r.spec, r.images, r.task, r.cause, r.trust, r.status::text AS status, r.attempt,
                 r.max_attempts, r.cancel_requested_at IS NOT NULL AS cancel_requested, r.created_at, r.started_at,
                 r.finished_at, r.log_removed_at, r.revision, r.digest, r.failure,
                 (SELECT p.address FROM slipway.publications p WHERE p.run_id = r.id AND p.attempt = r.attempt) AS address,
                 (SELECT jsonb_agg(jsonb_build_object('repository', i.repository, 'tag', i.tag, 'superseded_by', i.superseded_by)
                      ORDER BY i.repository, i.tag)
                  FROM slipway.publications p JOIN slipway.publication_images i ON i.publication_id = p.id
                  WHERE p.run_id = r.id AND p.attempt = r.attempt AND i.superseded_by IS NOT NULL) AS skipped
             FROM slipway.registries g CROSS JOIN LATERAL (
                 SELECT * FROM slipway.runs
                 WHERE registry = g.name AND ($2::text IS NULL OR status = $2::text::slipway.run_status)
                     AND ($3::uuid IS NULL OR id < $3) AND ($5::text IS NULL OR task = $5)
                     AND ($6::text IS NULL OR cause_type = $6) AND ($7::text IS NULL OR branch = $7)
                     AND ($8::text IS NULL OR (commit >= $8 AND commit < $8 || 'g'))
                 ORDER BY id DESC LIMIT $4) r
             WHERE $1::text IS NULL OR g.name = $1
             ORDER BY r.id DESC LIMIT $4",
        )
        .persistent(false)
        .bind(&filter.registry)
        .bind(filter.status.map(RunStatus::as_str))
        .bind(cursor.map(|cursor| cursor.0))
        .bind(i64::from(limit) + 1)
        .bind(&filter.task)
        .bind(&filter.cause)
        .bind(&filter.branch)
        .bind(&filter.commit);
        let mut runs = rows
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(RunRow::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        let more = runs.len() > limit as usize;
        runs.truncate(limit as usize);
        let next = runs.last().map(|run| run.id).filter(|_| more);
        Ok(RunPage { runs, next })
    }
}
