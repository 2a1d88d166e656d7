//! `/v1/workers`: who builds, and what.

use axum::Json;
use axum::extract::State;

use crate::App;
use crate::api::{Worker, WorkerList, WorkerRun};
use crate::http::auth::Caller;
use crate::http::problem::Problem;

/// List workers.
///
/// Those of the last week, with the runs they hold as far as the token may see them.
#[utoipa::path(get, path = "/v1/workers", tag = "workers", operation_id = "listWorkers",
    responses((status = 200, description = "Those that live first", body = WorkerList)))]
pub(crate) async fn list_workers(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<WorkerList>, Problem> {
    let rows = app.database.list_workers().await?;
    let workers = rows.into_iter().map(|row| Worker {
        id: row.id,
        name: row.name,
        platform: row.platform,
        slots: row.slots,
        limits: row.limits,
        registered_at: row.registered_at,
        seen_at: row.seen_at,
        is_alive: row.is_alive,
        runs: row
            .runs
            .into_iter()
            .filter(|(_, registry)| caller.sees(registry))
            .map(|(id, registry)| WorkerRun { id, registry })
            .collect(),
    });
    Ok(Json(WorkerList { workers: workers.collect() }))
}
