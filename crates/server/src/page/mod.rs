//! The page for operators: HTML over what REST v1 answers, by askama. A handler here asks the API's own
//! handler, so the page shows nothing that the API does not say, to nobody who may not ask it. Everything works
//! with links and forms; one script makes lists and logs live. Absent: inline script and style, which the
//! Content-Security-Policy forbids, and any address of another host.

mod act;
mod assets;
mod credentials;
mod deliveries;
mod form;
mod front;
mod hooks;
mod html;
mod log;
mod login;
mod manage;
mod notify;
mod problems;
pub(crate) mod refusal;
mod registries;
mod run;
mod runs;
mod shell;
mod steps;
mod tasks;
mod tokens;
mod view;
mod workers;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use model::Role;

use crate::App;
use crate::http::auth;

/// Every address of the page, by who may ask.
pub(crate) fn routes(app: &App) -> Router<App> {
    let for_role = |routes: Router<App>, role: Role| {
        routes.route_layer(from_fn_with_state((app.clone(), role), auth::require))
    };
    anybody()
        .merge(for_role(readers(), Role::Reader))
        .merge(for_role(submitters(), Role::Submitter))
        .merge(for_role(contributors().merge(manage::contributors()), Role::Contributor))
        .merge(for_role(administrators().merge(manage::administrators()), Role::Administrator))
        .layer(from_fn(shell::protect))
}

fn anybody() -> Router<App> {
    Router::new()
        .route("/login", get(login::form).post(login::sign_in))
        .route("/logout", post(login::sign_out))
        .route("/assets/{name}", get(assets::asset))
}

fn readers() -> Router<App> {
    Router::new()
        .route("/", get(front::front))
        .route("/runs", get(runs::runs))
        .route("/registries/{registry}/runs/{run}", get(run::run))
        .route("/registries/{registry}/runs/{run}/log", get(log::whole))
        .route("/tasks", get(tasks::tasks))
        .route("/registries/{registry}/tasks/{task}", get(tasks::task))
        .route("/deliveries", get(deliveries::deliveries))
        .route("/registries/{registry}/deliveries/{delivery}", get(deliveries::delivery))
        .route("/workers", get(workers::workers))
        .route("/registries", get(registries::registries))
        .route("/registries/{registry}", get(registries::registry))
        .route("/problems", get(problems::problems))
}

fn submitters() -> Router<App> {
    Router::new()
        .route("/registries/{registry}/runs/{run}/cancel", post(act::cancel))
        .route("/registries/{registry}/runs/{run}/rerun", post(act::rerun))
        .route("/registries/{registry}/tasks/{task}/run", post(act::run_task))
}

fn contributors() -> Router<App> {
    Router::new().route("/registries/{registry}/deliveries/{delivery}/replay", post(act::replay))
}

fn administrators() -> Router<App> {
    Router::new().route("/tokens", get(tokens::tokens))
}
