//! The reporter: tells git hosts and receivers of webhooks what the outbox holds, and again after a
//! pause where it was not heard. Any number of servers may.

use std::time::Instant;

use database::{OUTBOX_TRIES, OutboxRow, Report};
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

/// Whoever asks for a longer pause does not get it: seconds.
const LONGEST_WAIT: i64 = 6 * 3600;

/// Tells until the server stops.
pub(crate) async fn report(app: App) {
    let http = match egress::Client::new(&egress::Options::default()) {
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
                let tell =
                    stream::iter(rows).for_each_concurrent(SIDE_BY_SIDE, |row| tell(&app, http.http(), row));
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

async fn tell(app: &App, http: &reqwest::Client, row: OutboxRow) {
    let began = Instant::now();
    let sent = reports::send(app, http, &row).await;
    app.metrics.report_tried(&row.report, began.elapsed());
    let written = match sent {
        Ok(()) => {
            app.metrics.reported(&row.report, "sent", 1);
            let lag = app.database.outbox_sent(&row).await;
            lag.map(|seconds| app.metrics.report_heard(&row.report, seconds))
        }
        Err(not_sent) => not_told(app, &row, &not_sent).await,
    };
    if let Err(error) = written {
        tracing::warn!(%error, "what became of a report could not be written down; it may be sent twice");
    }
}

async fn not_told(app: &App, row: &OutboxRow, not_sent: &NotSent) -> Result<(), database::Error> {
    let pause = match not_sent {
        NotSent::Later { wait, .. } => pause(row, *wait),
        NotSent::Never(_) | NotSent::Gone => None,
    };
    let outcome = if pause.is_some() { "retried" } else { "given_up" };
    tracing::warn!(run = %row.run, event = row.event, reason = %not_sent, tries = row.tries + 1, outcome, "a report was not heard");
    app.metrics.reported(&row.report, outcome, 1);
    app.database.outbox_failed(row, &not_sent.to_string(), pause).await?;
    if let (NotSent::Gone, Report::Webhook { url, .. }) = (not_sent, &row.report) {
        let others = app.database.receiver_gone(&row.registry, url, &not_sent.to_string()).await?;
        app.metrics.reported(&row.report, outcome, others);
        tracing::warn!(
            registry = row.registry,
            url,
            "a receiver of webhooks is gone; it is told nothing more"
        );
    }
    Ok(())
}

/// Seconds to the next try, if there is one: the schedule's, less up to a fifth so that not all come at once, or
/// what the answer asked for, if that is longer.
fn pause(row: &OutboxRow, wait: Option<i64>) -> Option<i32> {
    if row.tries + 1 >= OUTBOX_TRIES {
        return None;
    }
    let pause = PAUSES.get(usize::try_from(row.tries).unwrap_or(0)).copied()?;
    let earlier = pause * i32::from(row.id.as_bytes()[0]) / (5 * 255);
    let wait = wait.map_or(0, |wait| wait.clamp(0, LONGEST_WAIT));
    Some((pause - earlier).max(i32::try_from(wait).unwrap_or(0)))
}
