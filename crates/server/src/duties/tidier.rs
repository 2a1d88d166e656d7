//! The tidier: removes what is over for longer than it is kept, a part at a time, and forgets who asked long ago. Any
//! number of them do no harm.

use database::Forget;
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
        app.limits.forget_quiet();
        if let Err(error) = tidy_once(&app).await {
            tracing::warn!(%error, "the tidier could not work");
        }
    }
}

async fn tidy_once(app: &App) -> Result<(), database::Error> {
    app.database.tidy().await?;
    for what in Forget::ALL {
        while !app.stop.is_cancelled() {
            match app.database.forget(what, &app.config().keep).await? {
                0 => break,
                gone => app.metrics.forgotten(what, gone),
            }
        }
    }
    Ok(())
}
