//! What git hosts delivered: stored, listed, looked at. `inbox` works it off.

use model::{DeliveryId, HookId, RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::{json, parse, read};
use crate::{Database, Error};

/// A delivery that was verified.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    pub registry: String,
    pub hook: HookId,
    /// The sender's own id of it.
    pub sender_id: String,
    pub event: String,
    /// Without those that hold a secret.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Whether a delivery came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    New(DeliveryId),
    Again(DeliveryId),
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// It waits to be worked off.
    Received,
    /// It started runs, or would have had they not been there.
    Matched,
    Ignored,
    /// It can't be read.
    Failed,
}

/// Why a task was started or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDecision {
    /// The task's name.
    pub task: String,
    pub starts: bool,
    pub reason: String,
    /// What it started, now or before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Whether that run was there before: nothing was started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_there: bool,
}

/// A delivery without its content.
#[derive(Debug, Clone)]
pub struct DeliveryRow {
    pub id: DeliveryId,
    pub registry: String,
    /// The hook's name.
    pub hook: String,
    pub sender_id: String,
    pub event: String,
    pub received_at: OffsetDateTime,
    pub status: DeliveryStatus,
    pub summary: String,
    pub decisions: Vec<TaskDecision>,
    pub worked_at: Option<OffsetDateTime>,
    /// Bytes.
    pub size: i64,
}

/// What was sent.
#[derive(Debug, Clone)]
pub struct DeliveryContent {
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl DeliveryStatus {
    /// The word used in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Matched => "matched",
            Self::Ignored => "ignored",
            Self::Failed => "failed",
        }
    }
}

impl std::str::FromStr for DeliveryStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Received, Self::Matched, Self::Ignored, Self::Failed];
        all.into_iter().find(|status| status.as_str() == text).ok_or_else(|| format!("`{text}` is no status"))
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    registry: String,
    hook: String,
    sender_id: String,
    event: String,
    received_at: OffsetDateTime,
    status: String,
    summary: String,
    decisions: Value,
    worked_at: Option<OffsetDateTime>,
    size: i64,
}

impl TryFrom<Row> for DeliveryRow {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let Row {
            id,
            registry,
            hook,
            sender_id,
            event,
            received_at,
            status,
            summary,
            decisions,
            worked_at,
            size,
        } = row;
        let (id, status, decisions) = (DeliveryId(id), parse(&status)?, read("decisions", decisions)?);
        Ok(Self {
            id,
            registry,
            hook,
            sender_id,
            event,
            received_at,
            status,
            summary,
            decisions,
            worked_at,
            size,
        })
    }
}

impl Database {
    /// Stores a delivery, once for each id of its sender.
    ///
    /// # Errors
    /// The database is away.
    pub async fn receive_delivery(&self, new: &NewDelivery) -> Result<Received, Error> {
        let id = Uuid::now_v7();
        let inserted = sqlx::query!(
            "INSERT INTO slipway.deliveries (id, registry, hook_id, sender_id, event, headers, body)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (hook_id, sender_id) DO NOTHING",
            id,
            new.registry,
            new.hook.0,
            new.sender_id,
            new.event,
            json(&new.headers)?,
            new.body
        );
        if inserted.execute(&self.pool).await?.rows_affected() == 1 {
            return Ok(Received::New(DeliveryId(id)));
        }
        let there = sqlx::query_scalar!(
            "SELECT id FROM slipway.deliveries WHERE hook_id = $1 AND sender_id = $2",
            new.hook.0,
            new.sender_id
        );
        Ok(Received::Again(DeliveryId(there.fetch_one(&self.pool).await?)))
    }

    /// Has a delivery worked off once more. None: there is no such.
    ///
    /// # Errors
    /// The database is away.
    pub async fn replay_delivery(&self, registry: &str, delivery: DeliveryId) -> Result<bool, Error> {
        let again = sqlx::query!(
            "UPDATE slipway.deliveries SET status = 'received', tries = 0, next_try_at = now()
             WHERE registry = $1 AND id = $2",
            registry,
            delivery.0
        );
        Ok(again.execute(&self.pool).await?.rows_affected() == 1)
    }

    /// A page of a registry's deliveries, the newest first, before `cursor`.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list_deliveries(
        &self,
        registry: &str,
        status: Option<DeliveryStatus>,
        hook: Option<&str>,
        cursor: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, Error> {
        // Planned anew each time, as in `list_runs`.
        let rows = sqlx::query_as::<_, Row>(
            "SELECT d.id, d.registry, h.name AS hook, d.sender_id, d.event, d.received_at, d.status, d.summary,
                 d.decisions, d.worked_at, length(d.body)::bigint AS size
             FROM slipway.deliveries d JOIN slipway.hooks h ON h.id = d.hook_id
             WHERE d.registry = $1 AND ($2::text IS NULL OR d.status = $2) AND ($3::uuid IS NULL OR d.id < $3)
                 AND ($5::text IS NULL OR h.name = $5)
             ORDER BY d.id DESC LIMIT $4",
        )
        .persistent(false)
        .bind(registry)
        .bind(status.map(DeliveryStatus::as_str))
        .bind(cursor.map(|cursor| cursor.0))
        .bind(i64::from(limit))
        .bind(hook);
        rows.fetch_all(&self.pool).await?.into_iter().map(DeliveryRow::try_from).collect()
    }

    /// The delivery of that id, with what was sent.
    ///
    /// # Errors
    /// The database is away.
    pub async fn get_delivery(
        &self,
        registry: &str,
        delivery: DeliveryId,
    ) -> Result<Option<(DeliveryRow, DeliveryContent)>, Error> {
        let row = sqlx::query_as!(
            Row,
            r#"SELECT d.id, d.registry, h.name AS hook, d.sender_id, d.event, d.received_at, d.status, d.summary,
                   d.decisions, d.worked_at, length(d.body)::bigint AS "size!"
               FROM slipway.deliveries d JOIN slipway.hooks h ON h.id = d.hook_id
               WHERE d.registry = $1 AND d.id = $2"#,
            registry,
            delivery.0
        );
        let Some(row) = row.fetch_optional(&self.pool).await? else { return Ok(None) };
        let content = sqlx::query!("SELECT headers, body FROM slipway.deliveries WHERE id = $1", delivery.0);
        let content = content.fetch_one(&self.pool).await?;
        let content = DeliveryContent { headers: read("headers", content.headers)?, body: content.body };
        Ok(Some((row.try_into()?, content)))
    }
}
