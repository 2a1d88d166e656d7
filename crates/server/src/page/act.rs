//! What the page's buttons do: what the API does at the same request, and then the page that shows it.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};

use crate::App;
use crate::api::NewTaskRun;
use crate::http::auth::Caller;
use crate::http::extract::{JsonOf, PathOf};
use crate::http::problem::Problem;
use crate::routes::deliveries::{DeliveryPath, replay_delivery};
use crate::routes::lookup::RunPath;
use crate::routes::tasks::TaskPath;
use crate::routes::{cancel_run, rerun as rerun_route, run_task as task_route};

pub(crate) async fn cancel(
    State(app): State<App>,
    PathOf(path): PathOf<RunPath>,
) -> Result<Redirect, Problem> {
    let (_, Json(run)) = cancel_run::cancel_run(State(app), PathOf(path)).await?;
    Ok(Redirect::to(&super::view::run_address(&run.registry, &run.id.to_string())))
}

pub(crate) async fn rerun(
    state: State<App>,
    caller: Caller,
    path: PathOf<RunPath>,
) -> Result<Response, Problem> {
    let made = rerun_route::rerun(state, caller, path, HeaderMap::new()).await?;
    Ok(to_what_was_made(&made))
}

pub(crate) async fn run_task(
    state: State<App>,
    caller: Caller,
    path: PathOf<TaskPath>,
) -> Result<Response, Problem> {
    let as_saved = JsonOf(NewTaskRun::default());
    let made = task_route::run_task(state, caller, path, HeaderMap::new(), as_saved).await?;
    Ok(to_what_was_made(&made))
}

pub(crate) async fn replay(
    State(app): State<App>,
    PathOf(path): PathOf<DeliveryPath>,
    request: Request,
) -> Result<Redirect, Problem> {
    let _waits = replay_delivery(State(app), PathOf(path)).await?;
    let page = request.uri().path().strip_suffix("/replay").unwrap_or("/deliveries");
    Ok(Redirect::to(page))
}

/// The page has a run under the API's address, without the version before it.
fn to_what_was_made(made: &Response) -> Response {
    let location = made.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    let page = location.and_then(|location| location.strip_prefix("/v1")).unwrap_or("/runs");
    Redirect::to(page).into_response()
}
