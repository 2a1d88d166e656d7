//! `GET /v1/statistics`

use axum::Json;
use axum::extract::State;

use crate::App;
use crate::api::Statistics;
use crate::http::auth::Caller;
use crate::http::problem::Problem;

/// Numbers of the service.
///
/// The queue, the workers, the last day's runs, and what waits to be sent. `/metrics` has more, for machines.
#[utoipa::path(get, path = "/v1/statistics", tag = "operation", operation_id = "getStatistics",
    responses((status = 200, description = "As it is now", body = Statistics)))]
pub(crate) async fn statistics(State(app): State<App>, caller: Caller) -> Result<Json<Statistics>, Problem> {
    Ok(Json(app.database.statistics(caller.registry()).await?.into()))
}
