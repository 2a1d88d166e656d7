//! The reporter: tells git hosts and receivers of webhooks what the outbox holds, and again after a
//! pause where it was not heard. Any number of servers may.

use std::collections::HashMap;
use std::time::Instant;

use database::{OUTBOX_TRIES, OutboxRow, Report};
use failpoint::Point;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};

use crate::App;
use crate::reports::{self, NotSent};

/// So many are sent side by side, and so many of them to one host: one that does not answer holds up its own alone.
const SIDE_BY_SIDE: usize = 32;
const TO_ONE_HOST: usize = 4;
/// A row that was taken is nobody else's for so many seconds: longer than a request and what is written about it take.
const TAKEN: i32 = 120;
/// Seconds before each further try: Standard Webhooks' schedule, without its longest steps for the first.
const PAUSES: [i32; 9] = [5, 30, 300, 1800, 7200, 18000, 36000, 50400, 72000];

/// Whoever asks for a longer pause does not get it: seconds.
const LONGEST_WAIT: i64 = 6 * 3600;

/// Tells until the server stops.
pub(crate) async fn report(app: App) {
    let http = match egress::Client::new(&egress::Options::default(), app.config().policy.clone()) {
        Ok(http) => http,
        Err(error) => {
            tracing::error!(%error, "nobody is told of runs");
            return;
        }
    };
    let mut sending = FuturesUnordered::new();
    let mut hosts = Hosts::default();
    loop {
        while sending.len() < SIDE_BY_SIDE {
            match app.database.take_report(&hosts.busy(), TAKEN).await {
                Ok(Some(row)) => {
                    hosts.begin(&row.host);
                    let host = row.host.clone();
                    sending.push(tell(&app, &http, row).map(|()| host));
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "the outbox could not be read");
                    break;
                }
            }
        }
        tokio::select! {
            Some(host) = sending.next() => hosts.end(&host),
            () = app.outbox.notified() => {}
            () = tokio::time::sleep(app.config().work_every) => {}
            () = app.stop.cancelled() => return,
        }
    }
}

/// How much is being sent to whom.
#[derive(Debug, Default)]
struct Hosts(HashMap<String, usize>);

impl Hosts {
    fn begin(&mut self, host: &str) {
        *self.0.entry(host.to_owned()).or_default() += 1;
    }

    fn end(&mut self, host: &str) {
        if let Some(count) = self.0.get_mut(host) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(host);
            }
        }
    }

    /// Those that get no more for now.
    fn busy(&self) -> Vec<String> {
        self.0.iter().filter(|(_, count)| **count >= TO_ONE_HOST).map(|(host, _)| host.clone()).collect()
    }
}

async fn tell(app: &App, http: &egress::Client, row: OutboxRow) {
    let began = Instant::now();
    failpoint::pass(Point::ReporterBefore).await;
    let sent = reports::send(app, http, &row).await;
    failpoint::pass(Point::ReporterAfter).await;
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
