//! What whoever runs the service asks first, in numbers.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// The service at one moment. A token of one registry gets its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Statistics {
    /// When this was so, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub queue: QueueNumbers,
    pub workers: WorkerNumbers,
    /// Runs that were asked for within the last 24 hours.
    pub last_day: DayNumbers,
    /// Reports that are to be sent: commit statuses and webhooks.
    pub outbox: WaitingNumbers,
    /// Deliveries that are to be worked off.
    pub inbox: WaitingNumbers,
}

/// Runs that have not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueNumbers {
    pub queued: i64,
    pub started: i64,
    pub publishing: i64,
    /// Seconds that the oldest queued run has waited; 0 when none waits.
    pub oldest_seconds: i64,
}

/// Workers that gave a sign of life lately; of every registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerNumbers {
    pub alive: i64,
    /// Runs that they can do at the same time.
    pub slots: i64,
}

/// Runs, by how they ended. What is missing to `asked` has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DayNumbers {
    pub asked: i64,
    pub succeeded: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub timed_out: i64,
}

/// What waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingNumbers {
    pub waiting: i64,
    /// Seconds that the oldest has waited; 0 when none waits.
    pub oldest_seconds: i64,
}

impl From<database::Statistics> for Statistics {
    fn from(row: database::Statistics) -> Self {
        let database::Statistics { queued, started, publishing, oldest_seconds, workers, slots, .. } = row;
        let database::Statistics { asked, succeeded, failed, cancelled, timed_out, .. } = row;
        Self {
            at: row.at,
            queue: QueueNumbers { queued, started, publishing, oldest_seconds },
            workers: WorkerNumbers { alive: workers, slots },
            last_day: DayNumbers { asked, succeeded, failed, cancelled, timed_out },
            outbox: WaitingNumbers { waiting: row.outbox, oldest_seconds: row.outbox_oldest_seconds },
            inbox: WaitingNumbers { waiting: row.inbox, oldest_seconds: row.inbox_oldest_seconds },
        }
    }
}
