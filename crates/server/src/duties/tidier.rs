//! The tidier: removes rows that nobody asks for any more. Any number of them do no harm.

use tokio::time::MissedTickBehavior;

use crate::App;

/// Tidies until the server stops.
pub(crate) async fn tidy(app: App) {
    let mut rhythm = tokio::time::interval(app.config().tidy_every);
    rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = rhythm.tick() => {}
            () = app.stop.cancelled() => return,
        }
        if let Err(error) = app.database.tidy().await {
            tracing::warn!(%error, "the tidier could not work");
        }
    }
}
