//! Registries that are added, changed and removed: what the API does at the same request, by a form.

use axum::Json;
use axum::extract::State;
use axum::response::Response;

use super::fields;
use crate::App;
use crate::api::{Credential, Registry};
use crate::http::auth::Caller;
use crate::http::extract::{JsonOf, PathOf};
use crate::http::problem::Problem;
use crate::page::form::{Form, Values, difference, done, read, seen};
use crate::page::view::registry_address;
use crate::routes::credentials::list_credentials;
use crate::routes::registries::{change_registry, create_registry, delete_registry, one};

const PLACE: &str = "/registries";

/// `GET /new-registry`
pub(crate) async fn new(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let mut values = Values::default();
    values.set("sign_in.type", "anonymous");
    blank(&values).ask(&app, caller).await
}

/// `POST` to the same.
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    sent: Values,
) -> Result<Response, Problem> {
    let made = async {
        let mut body = fields::body(&sent)?;
        body.insert("name".to_owned(), sent.line("name").into());
        create_registry(State(app.clone()), JsonOf(read(body)?)).await
    };
    match made.await {
        Ok(_) => Ok(done(&registry_address(sent.line("name")))),
        Err(problem) => blank(&sent).refused(&app, caller, problem).await,
    }
}

/// `GET /registries/{registry}/edit`
pub(crate) async fn edit(
    State(app): State<App>,
    caller: Caller,
    PathOf(name): PathOf<String>,
) -> Result<Response, Problem> {
    let (registry, credentials) = there(&app, &name).await?;
    filled(&registry, &fields::values(&registry), &credentials).ask(&app, caller).await
}

/// `POST` to the same. Only what was touched is changed.
pub(crate) async fn change(
    State(app): State<App>,
    caller: Caller,
    PathOf(name): PathOf<String>,
    sent: Values,
) -> Result<Response, Problem> {
    let sent = sent.compact("notify");
    let (registry, credentials) = there(&app, &name).await?;
    let changed = async {
        let patch = difference(&fields::body(&fields::values(&registry))?, &fields::body(&sent)?);
        change_registry(State(app.clone()), caller.clone(), PathOf(name), seen(&sent), JsonOf(patch)).await
    };
    match changed.await {
        Ok(_) => Ok(done(&registry_address(&registry.name))),
        Err(problem) => filled(&registry, &sent, &credentials).refused(&app, caller, problem).await,
    }
}

/// `GET /registries/{registry}/delete`: asks.
pub(crate) async fn ask_to_delete(
    State(app): State<App>,
    caller: Caller,
    PathOf(name): PathOf<String>,
) -> Result<Response, Problem> {
    let there = one(&app, &name).await?;
    removal(&name).of_version(there.version).ask(&app, caller).await
}

/// `POST` to the same.
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller,
    PathOf(name): PathOf<String>,
    sent: Values,
) -> Result<Response, Problem> {
    match delete_registry(State(app.clone()), caller.clone(), PathOf(name.clone()), seen(&sent)).await {
        Ok(_) => Ok(done("/registries")),
        Err(problem) => removal(&name).filled(&sent).refused(&app, caller, problem).await,
    }
}

fn blank(values: &Values) -> Form {
    let form = Form::new(PLACE, "New registry", ("/registries", "Registries"), "Add the registry");
    fields::new_form(form, values)
}

fn filled(registry: &Registry, values: &Values, credentials: &[Credential]) -> Form {
    let name = &registry.name;
    let form =
        Form::new(PLACE, format!("Change the registry {name}"), (registry_address(name), name), "Save")
            .of_version(registry.version)
            .intro("Runs that were asked for before push to the new address as well.");
    fields::form(form, values, credentials)
}

fn removal(name: &str) -> Form {
    let back = (registry_address(name), name);
    Form::new(PLACE, format!("Delete the registry {name}?"), back, "Delete the registry").confirm(
        "It has to be empty of tasks, hooks, credentials and runs. What was pushed there stays there.",
    )
}

async fn there(app: &App, name: &str) -> Result<(Registry, Vec<Credential>), Problem> {
    let registry = one(app, name).await?;
    let Json(list) = list_credentials(State(app.clone()), PathOf(name.to_owned())).await?;
    Ok((registry, list.credentials))
}
