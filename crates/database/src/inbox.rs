//! The inbox: deliveries that are stored are worked off, one after the other. In: what each means, which somebody else
//! decides. Out: its runs, made in the transaction that marks it done.

use model::{DeliveryId, GitHost};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::error::{json, parse, read};
use crate::pushes::take_turn;
use crate::runs::insert_run;
use crate::{Database, DeliveryContent, DeliveryStatus, Error, NewRun, Pushed, TaskDecision};

/// A delivery to be worked off.
#[derive(Debug, Clone)]
pub struct Inbox {
    pub id: DeliveryId,
    pub registry: String,
    pub hook: String,
    pub host: GitHost,
    pub repositories: Vec<String>,
    pub event: String,
    pub content: DeliveryContent,
    pub received_at: OffsetDateTime,
}

/// What a delivery means.
#[derive(Debug, Clone)]
pub struct Worked {
    pub status: DeliveryStatus,
    pub summary: String,
    /// For each task that was looked at, with the run that should be.
    pub decisions: Vec<(TaskDecision, Option<Box<NewRun>>)>,
    /// The push that it tells of, where that is known for sure.
    pub push: Option<Pushed>,
}

/// A delivery that was worked off, for good.
#[derive(Debug, Clone)]
pub struct WorkedOff {
    pub id: DeliveryId,
    /// The hook's name.
    pub hook: String,
    pub host: GitHost,
    pub status: DeliveryStatus,
    pub summary: String,
}

impl Database {
    /// Works off the oldest waiting delivery, if there is one: what it means is decided by `decide`, and
    /// its runs are made in the transaction that marks it done. Answers which it was.
    ///
    /// # Errors
    /// The delivery that could not be worked off, where it came so far, and why. It waits on: see
    /// [`Database::postpone_delivery`].
    pub async fn work_delivery<F>(
        &self,
        decide: impl FnOnce(Inbox) -> F,
    ) -> Result<Option<WorkedOff>, (Option<DeliveryId>, Error)>
    where
        F: Future<Output = Result<Worked, Error>>,
    {
        let mut at = None;
        self.pool.whole(self.work_oldest(decide, &mut at)).await.map_err(|error| (at, error))
    }

    async fn work_oldest<F>(
        &self,
        decide: impl FnOnce(Inbox) -> F,
        at: &mut Option<DeliveryId>,
    ) -> Result<Option<WorkedOff>, Error>
    where
        F: Future<Output = Result<Worked, Error>>,
    {
        let mut transaction = self.pool.begin().await?;
        let row = sqlx::query!(
            "SELECT d.id, d.registry, d.hook_id, h.name AS hook, h.host, h.repositories, d.event, d.headers, d.body, d.received_at
             FROM slipway.deliveries d JOIN slipway.hooks h ON h.id = d.hook_id
             WHERE d.status = 'received' AND d.next_try_at <= now()
             ORDER BY d.next_try_at, d.id LIMIT 1 FOR UPDATE OF d SKIP LOCKED"
        );
        let Some(row) = row.fetch_optional(&mut *transaction).await? else { return Ok(None) };
        *at = Some(DeliveryId(row.id));
        let (id, hook, host) = (DeliveryId(row.id), row.hook.clone(), parse(&row.host)?);
        let inbox = Inbox {
            id,
            registry: row.registry,
            hook: row.hook,
            host,
            repositories: read("a hook's repositories", row.repositories)?,
            event: row.event,
            content: DeliveryContent { headers: read("headers", row.headers)?, body: row.body },
            received_at: row.received_at,
        };
        let mut worked = decide(inbox).await?;
        if let Some(push) = worked.push.take() {
            let turn = take_turn(&mut transaction, row.hook_id, row.id, &push).await?;
            match turn.is_late {
                true => worked.came_late(push),
                false => worked.goes(turn.round),
            }
        }
        let (status, summary, decisions) = carried_out(&mut transaction, worked).await?;
        sqlx::query!(
            "UPDATE slipway.deliveries SET status = $2, summary = $3, decisions = $4, worked_at = now() WHERE id = $1",
            row.id,
            status.as_str(),
            summary,
            json(&decisions)?
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Some(WorkedOff { id, hook, host, status, summary }))
    }

    /// Puts a delivery that could not be worked off behind the others. Answers whose it was, where that was the last
    /// try.
    ///
    /// # Errors
    /// The database is away.
    pub async fn postpone_delivery(&self, delivery: DeliveryId) -> Result<Option<GitHost>, Error> {
        let postponed = sqlx::query!(
            r#"UPDATE slipway.deliveries d SET tries = tries + 1, next_try_at = now() + make_interval(secs => least(300, power(2, tries))),
                 status = CASE WHEN tries >= 10 THEN 'failed' ELSE d.status END,
                 summary = CASE WHEN tries >= 10 THEN 'It could not be worked off; the service''s log says why.' ELSE summary END
               FROM slipway.hooks h WHERE d.id = $1 AND d.status = 'received' AND h.id = d.hook_id
               RETURNING h.host, d.status = 'failed' AS "is_over!""#,
            delivery.0
        );
        let postponed = postponed.fetch_optional(&self.pool).await?;
        postponed.filter(|row| row.is_over).map(|row| parse(&row.host)).transpose()
    }
}

impl Worked {
    /// A later push of the ref was there before: what it names is no longer what is newest, and starts nothing.
    fn came_late(&mut self, push: Pushed) {
        let (summary, reason) = push.late;
        (self.status, self.summary) = (DeliveryStatus::Ignored, summary);
        for (decision, run) in self.decisions.iter_mut().filter(|(decision, _)| decision.starts) {
            (decision.starts, *run) = (false, None);
            decision.reason.clone_from(&reason);
        }
    }

    /// A ref that goes the same way once more is another cause.
    fn goes(&mut self, round: i32) {
        for run in self.decisions.iter_mut().filter(|_| round > 1).filter_map(|(_, run)| run.as_mut()) {
            run.cause_key = run.cause_key.take().map(|key| format!("{key}~{round}"));
        }
    }
}

/// Makes the runs that are not there yet, and says which are.
async fn carried_out(
    connection: &mut PgConnection,
    worked: Worked,
) -> Result<(DeliveryStatus, String, Vec<TaskDecision>), Error> {
    let mut decisions = Vec::new();
    for (mut decision, run) in worked.decisions {
        if let Some(run) = run {
            let made = insert_run(connection, &run).await?;
            decision.was_there = made != run.id;
            if decision.was_there {
                decision.reason = format!("{}; run {made} is for the same commit", decision.reason);
            }
            decision.run = Some(made);
        }
        decisions.push(decision);
    }
    let mut started = decisions.iter().filter(|decision| decision.run.is_some()).peekable();
    let nothing_new = started.peek().is_some() && started.all(|decision| decision.was_there);
    let summary = match nothing_new {
        true => format!("{}; nothing was started: it was built, or is being built", worked.summary),
        false => worked.summary,
    };
    Ok((worked.status, summary, decisions))
}
