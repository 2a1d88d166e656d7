//! The reporter: tells git hosts and receivers of webhooks what the outbox holds, and again after a
//! pause where it was not heard. Any number of servers may.

use database::{OUTBOX_TRIES, OutboxRow};
use futures_util::{StreamExt, stream};

use crate::App;
use crate::reports::{self, NotSent};

/// Taken in one go; and so many are sent side by side, so that a slow receiver holds up no other.
const BATCH: i64 = 64;
const SIDE_BY_SIDE: usize = 16;
/// A row that was taken is nobody else's for so many seconds.
const TAKEN: i32 = 60;
/// Seconds before each further try: Standard Webhooks' schedule, without its longest steps for the first.
const PAUSES: [i32; 9] = [5, 30, 300, 1800, 7200, 18000, 36000, 50400, 72000];

/// Tells until the server stops.
pub(crate) async fn report(app: App) {
    let http = match egress::Client::new(&egress::Options::default(), app.config().policy.clone()) {
        Ok(http) => http,
        Err(error) => {
            tracing::error!(%error, "nobody is told of runs");
            return;
        }
    };
    loop {
        let full = match app.database.take_outbox(BATCH, TAKEN).await {
            Ok(rows) => {
                let full = rows.len() as i64 == BATCH;
                let tell = stream::iter(rows).for_each_concurrent(SIDE_BY_SIDE, |row| tell(&app, &http, row));
                tokio::select! {
                    () = tell => {}
                    () = app.stop.cancelled() => return,
                }
                full
            }
            Err(error) => {
                tracing::warn!(%error, "the outbox could not be read");
                false
            }
        };
        if full {
            continue;
        }
        tokio::select! {
            () = app.outbox.notified() => {}
            () = tokio::time::sleep(app.config().work_every) => {}
            () = app.stop.cancelled() => return,
        }
    }
}

async fn tell(app: &App, http: &egress::Client, row: OutboxRow) {
    let written = match reports::send(app, http, &row).await {
        Ok(()) => {
            app.metrics.reported(&row.report, "sent");
            app.database.outbox_sent(&row).await
        }
        Err(not_sent) => {
            let pause = match &not_sent {
                NotSent::Later(_) if row.tries + 1 < OUTBOX_TRIES => {
                    PAUSES.get(usize::try_from(row.tries).unwrap_or(0)).copied()
                }
                _ => None,
            };
            let outcome = if pause.is_some() { "retried" } else { "given_up" };
            tracing::warn!(run = %row.run, event = row.event, reason = %not_sent, tries = row.tries + 1, outcome, "a report was not heard");
            app.metrics.reported(&row.report, outcome);
            app.database.outbox_failed(&row, &not_sent.to_string(), pause).await
        }
    };
    if let Err(error) = written {
        tracing::warn!(%error, "what became of a report could not be written down; it may be sent twice");
    }
}
