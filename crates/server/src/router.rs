//! Every address of the service, grouped by who may call. `utoipa_axum` makes the OpenAPI document of the
//! same list, so routes and document can't differ.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use model::Role;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::{auth, extract, head, host, problem, request_id};
use crate::routes::{
    cancel_run, create_run, credentials, deliveries, get_run, health, hooks, list_runs, logs, metrics,
    receive, registries, rerun, run_task, statistics, steps, tasks, tokens, upload_source, workers,
};
use crate::{App, Config, openapi, page};

/// Bytes of a form of the page.
const FORM_LIMIT: usize = 16 * 1024;

/// The service as one tower service.
pub(crate) fn router(app: App) -> Router {
    let (router, document) = documented(app.config(), Some(&app)).split_for_parts();
    let document = openapi::finish(document);
    let reader = from_fn_with_state((app.clone(), Role::Reader), auth::require);
    let document = Router::new()
        .route("/openapi.json", get(async move || axum::Json(document)))
        .route_layer(reader.clone());
    let people = page::routes(&app)
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, app.config().answer_timeout))
        .layer(DefaultBodyLimit::max(FORM_LIMIT));
    // Who has no token is not told which addresses there are.
    let nothing = Router::new().fallback(async || StatusCode::NOT_FOUND).layer(reader);
    router
        .merge(document)
        .merge(people)
        .merge(nothing)
        .layer(
            // Outermost first.
            ServiceBuilder::new()
                .layer(from_fn_with_state(app.clone(), request_id::name_and_log))
                .layer(from_fn(problem::complete))
                .layer(CatchPanicLayer::new())
                .layer(from_fn(head::refuse_large))
                .layer(from_fn_with_state(app.clone(), host::check_names))
                .layer(from_fn(extract::refuse_nul)),
        )
        .with_state(app)
}

/// What the OpenAPI document holds. Without an app, which only the document's reader has not, nobody
/// is asked for a token.
pub(crate) fn documented(config: &Config, app: Option<&App>) -> OpenApiRouter<App> {
    let for_role = |routes: OpenApiRouter<App>, role: Role| match app {
        Some(app) => routes.route_layer(from_fn_with_state((app.clone(), role), auth::require)),
        None => routes,
    };
    let quick = OpenApiRouter::new()
        .merge(anybody())
        .merge(for_role(readers(), Role::Reader))
        .merge(for_role(submitters(), Role::Submitter))
        .merge(for_role(contributors(), Role::Contributor))
        .merge(for_role(administrators(), Role::Administrator))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, config.answer_timeout))
        .layer(DefaultBodyLimit::max(config.body_limit));
    // A git host gives a delivery ten seconds. `intake` limits its body.
    let deliveries = OpenApiRouter::new()
        .routes(routes!(receive::receive))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, config.delivery_timeout))
        .layer(DefaultBodyLimit::disable());
    // Takes as long as its bytes keep coming.
    let uploads = OpenApiRouter::new().routes(routes!(upload_source::upload_source));
    let uploads = for_role(uploads, Role::Submitter).layer(DefaultBodyLimit::disable());
    quick.merge(deliveries).merge(uploads)
}

/// Lists that are always whole.
fn whole(lists: OpenApiRouter<App>) -> OpenApiRouter<App> {
    lists.route_layer(from_fn(extract::refuse_query))
}

fn anybody() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health::healthz))
}

fn readers() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_runs::list_runs))
        .routes(routes!(list_runs::list_all_runs))
        .routes(routes!(get_run::get_run))
        .routes(routes!(steps::get_run_steps))
        .routes(routes!(logs::read_log))
        .routes(routes!(tasks::list_tasks))
        .routes(routes!(tasks::get_task))
        .routes(routes!(deliveries::list_deliveries))
        .routes(routes!(deliveries::get_delivery))
        .merge(whole(OpenApiRouter::new().routes(routes!(registries::list_registries))))
        .routes(routes!(registries::get_registry))
        .merge(whole(OpenApiRouter::new().routes(routes!(hooks::list_hooks))))
        .routes(routes!(hooks::get_hook))
        .merge(whole(OpenApiRouter::new().routes(routes!(credentials::list_credentials))))
        .routes(routes!(credentials::get_credential))
        .merge(whole(OpenApiRouter::new().routes(routes!(workers::list_workers))))
        .routes(routes!(statistics::statistics))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
}

fn submitters() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_run::create_run))
        .routes(routes!(run_task::run_task))
        .routes(routes!(cancel_run::cancel_run))
        .routes(routes!(rerun::rerun))
}

fn contributors() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(tasks::create_task))
        .routes(routes!(tasks::change_task, tasks::delete_task))
        .routes(routes!(credentials::put_credential, credentials::delete_credential))
        .routes(routes!(hooks::create_hook))
        .routes(routes!(hooks::change_hook, hooks::delete_hook))
        .routes(routes!(hooks::rotate_hook))
        .routes(routes!(deliveries::replay_delivery))
}

fn administrators() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(
            OpenApiRouter::new()
                .routes(routes!(registries::create_registry))
                .route_layer(from_fn(auth::require_all_registries)),
        )
        .routes(routes!(registries::change_registry, registries::delete_registry))
        .merge(whole(OpenApiRouter::new().routes(routes!(tokens::list_tokens, tokens::create_token))))
        .routes(routes!(tokens::get_token, tokens::delete_token))
}
