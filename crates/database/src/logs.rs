//! Reading logs: bytes by their offset within one attempt's log. Writing them is a lease holder's.

use model::RunId;

use crate::{Database, Error};

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSlice {
    /// Whose log it is.
    pub attempt: i32,
    /// Where `bytes` begins.
    pub offset: i64,
    pub bytes: Vec<u8>,
    /// Where to go on. Less than what was asked for when the log is shorter than that.
    pub next_offset: i64,
    /// Whether nothing will follow `next_offset`: the attempt has ended and all of it was read.
    pub complete: bool,
}

impl Database {
    /// At most about `limit` bytes (a piece of a chunk at least) of an attempt's log, from `offset` on.
    /// Without `attempt`: of the present one.
    ///
    /// # Errors
    /// The database is away.
    pub async fn read_log(
        &self,
        run: RunId,
        attempt: Option<i32>,
        offset: i64,
        limit: i64,
    ) -> Result<LogSlice, Error> {
        // Whether it is over is asked in the same statement as the end: a line can't slip in between.
        let log = sqlx::query!(
            r#"SELECT a.attempt AS "attempt!", slipway.log_end(r.id, a.attempt) AS "end!",
                   (r.attempt > a.attempt OR r.status IN ('succeeded', 'failed', 'cancelled', 'timed_out')) AS "over!"
               FROM slipway.runs r, LATERAL (SELECT coalesce($2, r.attempt) AS attempt) a WHERE r.id = $1"#,
            run.0,
            attempt
        );
        let Some(log) = log.fetch_optional(&self.pool).await? else {
            return Ok(LogSlice { attempt: 1, offset: 0, bytes: Vec::new(), next_offset: 0, complete: true });
        };
        let mut slice = LogSlice {
            attempt: log.attempt,
            offset,
            bytes: Vec::new(),
            next_offset: offset,
            complete: false,
        };
        if offset >= log.end {
            slice.next_offset = log.end;
            slice.complete = log.over;
            return Ok(slice);
        }
        let limit = limit.max(1);
        // The chunk that `offset` lies in by one step down the index. `max(start)` may be planned as a look at every
        // chunk before it: then each line of a log costs as much as the log is long.
        let chunks = sqlx::query!(
            r#"SELECT start, bytes FROM slipway.log_chunks
               WHERE run_id = $1 AND attempt = $2 AND start < $3::bigint + $4::bigint AND start >= coalesce(
                   (SELECT start FROM slipway.log_chunks WHERE run_id = $1 AND attempt = $2 AND start <= $3
                    ORDER BY start DESC LIMIT 1), 0)
               ORDER BY start"#,
            run.0,
            log.attempt,
            offset,
            limit
        );
        for chunk in chunks.fetch_all(&self.pool).await? {
            let skip = usize::try_from((slice.next_offset - chunk.start).max(0)).unwrap_or(usize::MAX);
            let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(slice.bytes.len());
            let part = chunk.bytes.get(skip..).unwrap_or_default();
            let part = &part[..part.len().min(room)];
            slice.bytes.extend_from_slice(part);
            slice.next_offset += i64::try_from(part.len()).unwrap_or(0);
        }
        slice.complete = log.over && slice.next_offset >= log.end;
        Ok(slice)
    }
}
