//! Background duties, each named by its deed. They work without requests and stop with the server.

pub(crate) mod changes;
mod inbox;
mod reporter;
mod rescuer;
mod tidier;

use tokio_util::task::TaskTracker;

use crate::App;

/// Starts every duty; the tracker ends when all have stopped.
pub(crate) fn start(app: &App) -> TaskTracker {
    let duties = TaskTracker::new();
    duties.spawn(changes::listen(app.clone()));
    duties.spawn(rescuer::rescue(app.clone()));
    duties.spawn(tidier::tidy(app.clone()));
    duties.spawn(inbox::work(app.clone()));
    duties.spawn(reporter::report(app.clone()));
    duties.close();
    duties
}
