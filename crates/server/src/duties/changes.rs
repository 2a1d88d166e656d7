//! Tells waiting requests that a run may have changed. One connection listens for all of them. What it
//! says is a hint: whoever waits looks for itself now and then as well.

use std::time::Duration;

use database::{Hint, Moved};
use model::RunId;
use tokio::sync::broadcast;

use crate::App;

/// How many hints a waiter may be behind; one that is further behind just looks.
const BEHIND: usize = 256;

pub(crate) struct Changes {
    runs: broadcast::Sender<RunId>,
    /// None: some may have been missed.
    moves: broadcast::Sender<Option<Moved>>,
}

/// One request's ear.
pub(crate) struct Waiter {
    run: RunId,
    hints: broadcast::Receiver<RunId>,
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self { runs: broadcast::Sender::new(BEHIND), moves: broadcast::Sender::new(BEHIND) }
    }

    /// Hears of `run` from now on.
    pub(crate) fn of(&self, run: RunId) -> Waiter {
        Waiter { run, hints: self.runs.subscribe() }
    }

    /// Hears of every run that is made or moves; None: of some it did not.
    pub(crate) fn moves(&self) -> broadcast::Receiver<Option<Moved>> {
        self.moves.subscribe()
    }

    pub(crate) fn tell(&self, run: RunId) {
        // Nobody listening is fine.
        let _ = self.runs.send(run);
    }
}

impl Waiter {
    /// Returns when the run may have changed, or after `longest`.
    pub(crate) async fn changed(&mut self, longest: Duration) {
        let hint = async {
            loop {
                match self.hints.recv().await {
                    Ok(run) if run != self.run => {}
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        let _ = tokio::time::timeout(longest, hint).await;
    }
}

/// Passes the database's hints on until the server stops.
pub(crate) async fn listen(app: App) {
    let mut hints = app.database.hints();
    loop {
        let hint = tokio::select! {
            hint = hints.next() => hint,
            () = app.stop.cancelled() => return,
        };
        match hint {
            Hint::Run(moved) => {
                app.changes.tell(moved.run);
                app.outbox.notify_one();
                let _ = app.changes.moves.send(Some(moved));
            }
            Hint::Cancel(run) => {
                app.changes.tell(run);
                app.outbox.notify_one();
            }
            Hint::Log(run) => app.changes.tell(run),
            Hint::Publication => {}
            Hint::Unknown => {
                let _ = app.changes.moves.send(None);
            }
        }
    }
}
