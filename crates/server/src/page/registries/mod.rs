//! `/registries`: where runs push to; one of them with its hooks and credentials, never a secret of theirs;
//! the forms that add and change one.

mod fields;
pub(crate) mod manage;

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use model::SignIn;

use crate::App;
use crate::api::{Credential, Hook, Registry};
use crate::http::auth::Caller;
use crate::http::extract::PathOf;
use crate::http::problem::Problem;
use crate::page::html::Shown as _;
use crate::page::shell::{Shell, render};
use crate::page::{credentials, hooks};
use crate::routes::credentials::list_credentials;
use crate::routes::hooks::list_hooks;
use crate::routes::lookup::find_registry;
use crate::routes::registries::{list_registries, one};

#[derive(Template)]
#[template(path = "registries.html")]
struct List {
    shell: Shell,
    registries: Vec<Registry>,
}

#[derive(Template)]
#[template(path = "registry.html")]
struct One {
    shell: Shell,
    registry: Registry,
    hooks: Vec<Hook>,
    credentials: Vec<Credential>,
}

impl One {
    fn hook(&self, name: &str) -> String {
        hooks::address(&self.registry.name, name)
    }

    fn credential(&self, name: &str) -> String {
        credentials::address(&self.registry.name, name)
    }
}

/// Which registry a list is of.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) all: Vec<String>,
    /// Absent where there is none.
    pub(crate) chosen: Option<String>,
}

impl Choice {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.chosen.as_deref() == Some(name)
    }
}

/// The registry that was asked for, or the first one that the caller sees.
pub(crate) async fn choose(app: &App, caller: &Caller, asked: &str) -> Result<Choice, Problem> {
    let Json(list) = list_registries(State(app.clone()), caller.clone()).await?;
    let all: Vec<String> = list.registries.into_iter().map(|registry| registry.name).collect();
    if asked.is_empty() {
        return Ok(Choice { chosen: all.first().cloned(), all });
    }
    caller.check(caller.role(), Some(asked))?;
    let chosen = find_registry(app, asked).await?.name;
    Ok(Choice { all, chosen: Some(chosen) })
}

/// The list.
pub(crate) async fn registries(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let Json(list) = list_registries(State(app.clone()), caller.clone()).await?;
    let shell = Shell::new(&app, caller, "/registries").await?;
    render(&List { shell, registries: list.registries })
}

/// One of them.
pub(crate) async fn registry(
    State(app): State<App>,
    caller: Caller,
    PathOf(name): PathOf<String>,
) -> Result<Response, Problem> {
    let registry = one(&app, &name).await?;
    let Json(hooks) = list_hooks(State(app.clone()), PathOf(name.clone())).await?;
    let Json(credentials) = list_credentials(State(app.clone()), PathOf(name)).await?;
    let shell = Shell::new(&app, caller, "/registries").await?;
    render(&One { shell, registry, hooks: hooks.hooks, credentials: credentials.credentials })
}

/// How it is signed in to, in words.
pub(crate) fn sign_in(sign_in: &SignIn) -> String {
    let of = |client: &Option<String>| client.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
    match sign_in {
        SignIn::Anonymous => "nobody".to_owned(),
        SignIn::Basic { credential } => format!("the credential {credential}"),
        SignIn::ManagedIdentity { client_id } => format!("managed identity{}", of(client_id)),
        SignIn::WorkloadIdentity { client_id, .. } => format!("workload identity{}", of(client_id)),
        SignIn::ServicePrincipal { client_id, credential, .. } => {
            format!("service principal {client_id}, with the credential {credential}")
        }
    }
}
