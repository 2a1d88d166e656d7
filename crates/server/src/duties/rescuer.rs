//! The rescuer: puts runs whose lease ran out back into the queue, or ends them. The statement itself
//! decides by the database's clock, so any number of rescuers do no harm.

use tokio::time::MissedTickBehavior;

use crate::App;

/// Rescues until the server stops.
pub(crate) async fn rescue(app: App) {
    let mut rhythm = tokio::time::interval(app.config().rescue_every);
    rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = rhythm.tick() => {}
            () = app.stop.cancelled() => return,
        }
        match app.database.requeue_expired().await {
            Ok(requeued) => app.metrics.rescued(&requeued),
            Err(error) => tracing::warn!(%error, "the rescuer could not work"),
        }
    }
}
