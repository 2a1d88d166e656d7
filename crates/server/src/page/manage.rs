//! The addresses of the forms, by who may ask: each is shown by GET, and does what it says by POST. Names of their
//! own (`new-task`) keep clear of things that are called `new`.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{MethodRouter, get, post};

use super::registries::manage as registries;
use super::tasks::manage as tasks;
use super::tokens::manage as tokens;
use super::{credentials, hooks};
use crate::App;
use crate::http::auth;

/// Bytes of a form: a secret of 64 KiB as a browser writes it.
const LIMIT: usize = 256 * 1024;

/// Tasks, hooks and credentials.
pub(super) fn contributors() -> Router<App> {
    let router = Router::new()
        .route("/registries/{registry}/new-task", get(tasks::new).post(tasks::create))
        .route("/registries/{registry}/new-hook", get(hooks::new).post(hooks::create))
        .route("/registries/{registry}/new-credential", get(credentials::new).post(credentials::create));
    let task = |deed: &str| format!("/registries/{{registry}}/tasks/{{task}}/{deed}");
    let hook = |deed: &str| format!("/registries/{{registry}}/hooks/{{hook}}/{deed}");
    let credential = |deed: &str| format!("/registries/{{registry}}/credentials/{{credential}}/{deed}");
    let forms: [(String, MethodRouter<App>); 8] = [
        (task("edit"), get(tasks::edit).post(tasks::change)),
        (task("enable"), post(tasks::enable)),
        (task("disable"), post(tasks::disable)),
        (task("delete"), get(tasks::ask_to_delete).post(tasks::delete)),
        (hook("edit"), get(hooks::edit).post(hooks::change)),
        (hook("rotate"), get(hooks::ask_to_rotate).post(hooks::rotate)),
        (hook("delete"), get(hooks::ask_to_delete).post(hooks::delete)),
        (credential("replace"), get(credentials::ask_to_replace).post(credentials::replace)),
    ];
    let router = forms.into_iter().fold(router, |router, (address, form)| router.route(&address, form));
    router
        .route(&credential("delete"), get(credentials::ask_to_delete).post(credentials::delete))
        .layer(DefaultBodyLimit::max(LIMIT))
}

/// Registries and tokens.
pub(super) fn administrators() -> Router<App> {
    let new_registry = Router::new()
        .route("/new-registry", get(registries::new).post(registries::create))
        .route_layer(from_fn(auth::require_all_registries));
    Router::new()
        .merge(new_registry)
        .route("/registries/{registry}/edit", get(registries::edit).post(registries::change))
        .route("/registries/{registry}/delete", get(registries::ask_to_delete).post(registries::delete))
        .route("/new-token", get(tokens::new).post(tokens::create))
        .route("/tokens/{token}/delete", get(tokens::ask_to_delete).post(tokens::delete))
        .layer(DefaultBodyLimit::max(LIMIT))
}
