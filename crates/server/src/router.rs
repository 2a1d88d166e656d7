//! Every address of the service, grouped by who calls. `utoipa_axum` makes the OpenAPI document of the
//! same list, so routes and document can't differ.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::{host, problem, request_id};
use crate::routes::{
    cancel_run, create_run, front, get_run, health, list_runs, logs, metrics, problems, upload_source,
};
use crate::{App, Config, openapi};

/// The service as one tower service.
pub(crate) fn router(app: App) -> Router {
    let (router, document) = documented(app.config()).split_for_parts();
    let document = openapi::finish(document);
    router
        // people
        .route("/", get(front::front))
        .route("/problems", get(problems::problems))
        .route("/openapi.json", get(async move || axum::Json(document)))
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(
            // Outermost first.
            ServiceBuilder::new()
                .layer(from_fn_with_state(app.clone(), request_id::name_and_log))
                .layer(from_fn(problem::complete))
                .layer(CatchPanicLayer::new())
                .layer(from_fn(host::only_loopback_names)),
        )
        .with_state(app)
}

/// What the OpenAPI document holds.
pub(crate) fn documented(config: &Config) -> OpenApiRouter<App> {
    let quick = OpenApiRouter::new()
        // people and pipelines
        .routes(routes!(create_run::create_run, list_runs::list_runs))
        .routes(routes!(get_run::get_run))
        .routes(routes!(cancel_run::cancel_run))
        .routes(routes!(logs::read_log))
        // operators
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, config.answer_timeout))
        .layer(DefaultBodyLimit::max(config.body_limit));
    // Takes as long as its bytes keep coming.
    let uploads =
        OpenApiRouter::new().routes(routes!(upload_source::upload_source)).layer(DefaultBodyLimit::disable());
    quick.merge(uploads)
}
