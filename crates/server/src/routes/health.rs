//! `/healthz`: the process answers. `/readyz`: it can take work, and if not, why.

use axum::Json;
use axum::extract::State;
use database::WorkerRow;
use model::WorkerLimits;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::http::kind;
use crate::http::problem::Problem;

/// What was looked at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    checks: Vec<Check>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Check {
    /// `database`, `migrations`, `workers` or `limits`
    name: &'static str,
    ok: bool,
    /// What was found, as a sentence.
    detail: String,
}

/// Whether the process answers.
#[utoipa::path(get, path = "/healthz", tag = "operation", operation_id = "healthz", security(()),
    responses((status = 200, description = "It does", body = String)))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether runs are taken and built: the database answers, its tables are this version's, a worker
/// lives.
#[utoipa::path(get, path = "/readyz", tag = "operation", operation_id = "readyz",
    responses(
        (status = 200, description = "Ready", body = Ready),
        (status = 503, description = "`not_ready`, with the reason", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn readyz(State(app): State<App>) -> Result<Json<Ready>, Problem> {
    let checks = look(&app).await;
    let bad: Vec<_> = checks.iter().filter(|check| !check.ok).map(|check| check.detail.as_str()).collect();
    if bad.is_empty() {
        return Ok(Json(Ready { checks }));
    }
    Err(Problem::new(&kind::NOT_READY, bad.join(" "), "`slipway doctor` says what this host lacks."))
}

async fn look(app: &App) -> Vec<Check> {
    let check = |name, ok, detail: &str| Check { name, ok, detail: detail.to_owned() };
    if app.database.ping().await.is_err() {
        return vec![check("database", false, "The database can't be reached.")];
    }
    let current = app.database.is_current().await.unwrap_or(false);
    let workers = app.database.list_workers().await.unwrap_or_default();
    let alive: Vec<_> = workers.into_iter().filter(|worker| worker.is_alive).collect();
    vec![
        check("database", true, "It answers."),
        match current {
            true => check("migrations", true, "They are all applied."),
            false => check("migrations", false, "The tables are not this version's: run `slipway migrate`."),
        },
        match alive.len() {
            0 => check("workers", false, "No worker gives a sign of life."),
            1 => check("workers", true, "1 worker is alive."),
            count => check("workers", true, &format!("{count} workers are alive.")),
        },
        limits(&alive),
    ]
}

/// Runs without limits are no reason not to be ready, for some hosts give none; that nobody leases any is one.
fn limits(alive: &[WorkerRow]) -> Check {
    let named = |state: WorkerLimits| {
        let of_state = alive.iter().filter(|worker| worker.limits == state);
        of_state.map(|worker| worker.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (none, missing) = (named(WorkerLimits::None), named(WorkerLimits::Missing));
    let mut said = Vec::new();
    if !none.is_empty() {
        said.push(format!("limits: none on {none}."));
    }
    if !missing.is_empty() {
        said.push(format!("limits: none on {missing}, which must have them and lease no run."));
    }
    if said.is_empty() {
        said.push("Every run has limits.".to_owned());
    }
    let some_lease = alive.is_empty() || alive.iter().any(|worker| worker.limits != WorkerLimits::Missing);
    Check { name: "limits", ok: some_lease, detail: said.join(" ") }
}
