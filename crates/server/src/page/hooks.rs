//! Hooks that are made, changed, rotated and removed. Address and secret stand in the answer that made them, and
//! nowhere afterwards.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use model::GitHost;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::form::{Field, Form, Values, done, read, seen, show_once};
use super::refusal::not_found;
use super::view::{part, registry_address};
use crate::App;
use crate::api::Hook;
use crate::http::auth::Caller;
use crate::http::extract::{JsonOf, PathOf, SecretJsonOf};
use crate::http::problem::Problem;
use crate::routes::hooks::{
    HookPath, change_hook, create_hook, delete_hook, find_hook, get_hook, list_hooks, rotate_hook,
};

const PLACE: &str = "/registries";
/// Seconds that a secret may stay good, in words.
const GRACES: [(&str, &str); 5] = [
    ("86400", "a day"),
    ("3600", "an hour"),
    ("604800", "a week"),
    ("2592000", "30 days"),
    ("0", "not at all"),
];

/// Where a hook's pages are.
#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    registry: String,
    hook: String,
}

/// `GET /registries/{registry}/new-hook`
pub(crate) async fn new(
    State(app): State<App>,
    caller: Caller,
    PathOf(registry): PathOf<String>,
) -> Result<Response, Problem> {
    blank(&registry).ask(&app, caller).await
}

/// `POST` to the same.
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    PathOf(registry): PathOf<String>,
    sent: Values,
) -> Result<Response, Problem> {
    let mut body = Map::from_iter([
        ("name".to_owned(), sent.line("name").into()),
        ("host".to_owned(), sent.line("host").into()),
        ("repositories".to_owned(), sent.lines("repositories").into()),
    ]);
    body.extend(sent.optional("secret").map(|secret| ("secret".to_owned(), secret.into())));
    let made = match read(body) {
        Ok(new) => create_hook(State(app.clone()), PathOf(registry.clone()), SecretJsonOf(new)).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok((_, Json(hook))) => shown(&app, caller, &registry, hook, "was made").await,
        Err(problem) => blank(&registry).filled(&sent).refused(&app, caller, problem).await,
    }
}

/// `GET /registries/{registry}/hooks/{hook}/edit`
pub(crate) async fn edit(
    State(app): State<App>,
    caller: Caller,
    PathOf(place): PathOf<Place>,
    path: PathOf<HookPath>,
) -> Result<Response, Problem> {
    let _found = get_hook(State(app.clone()), path).await?;
    let Json(list) = list_hooks(State(app.clone()), PathOf(place.registry.clone())).await?;
    let hook = list.hooks.into_iter().find(|hook| hook.name == place.hook).ok_or_else(not_found)?;
    let mut values = Values::default();
    values.set("repositories", hook.repositories.join("\n"));
    limits(&place).of_version(hook.version).filled(&values).ask(&app, caller).await
}

/// `POST` to the same.
pub(crate) async fn change(
    State(app): State<App>,
    caller: Caller,
    PathOf(place): PathOf<Place>,
    path: PathOf<HookPath>,
    sent: Values,
) -> Result<Response, Problem> {
    let patch = Map::from_iter([("repositories".to_owned(), Value::from(sent.lines("repositories")))]);
    match change_hook(State(app.clone()), path, seen(&sent), JsonOf(patch)).await {
        Ok(_) => Ok(done(&hooks_of(&place.registry))),
        Err(problem) => limits(&place).filled(&sent).refused(&app, caller, problem).await,
    }
}

/// `GET …/rotate`
pub(crate) async fn ask_to_rotate(
    State(app): State<App>,
    caller: Caller,
    PathOf(place): PathOf<Place>,
    path: PathOf<HookPath>,
) -> Result<Response, Problem> {
    let _there = get_hook(State(app.clone()), path).await?;
    rotation(&place).ask(&app, caller).await
}

/// `POST …/rotate`
pub(crate) async fn rotate(
    State(app): State<App>,
    caller: Caller,
    PathOf(place): PathOf<Place>,
    path: PathOf<HookPath>,
    sent: Values,
) -> Result<Response, Problem> {
    let how = async {
        let mut body = json!({ "grace_seconds": sent.number("grace_seconds")? });
        if let Some(secret) = sent.optional("secret") {
            body["secret"] = secret.into();
        }
        let how = read(body.as_object().cloned().unwrap_or_default())?;
        rotate_hook(State(app.clone()), path, SecretJsonOf(how)).await
    };
    match how.await {
        // Who gave the secret has it.
        Ok(Json(hook)) if hook.secret.is_none() => Ok(done(&hooks_of(&place.registry))),
        Ok(Json(hook)) => shown(&app, caller, &place.registry, hook, "has a new secret").await,
        Err(problem) => rotation(&place).filled(&sent).refused(&app, caller, problem).await,
    }
}

/// `GET …/delete`: asks.
pub(crate) async fn ask_to_delete(
    State(app): State<App>,
    caller: Caller,
    PathOf(place): PathOf<Place>,
    PathOf(path): PathOf<HookPath>,
) -> Result<Response, Problem> {
    let hook = find_hook(&app, &path).await?;
    removal(&place).of_version(hook.version).ask(&app, caller).await
}

/// `POST …/delete`
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller,
    PathOf(place): PathOf<Place>,
    path: PathOf<HookPath>,
    sent: Values,
) -> Result<Response, Problem> {
    match delete_hook(State(app.clone()), path, seen(&sent)).await {
        Ok(_) => Ok(done(&hooks_of(&place.registry))),
        Err(problem) => removal(&place).filled(&sent).refused(&app, caller, problem).await,
    }
}

fn blank(registry: &str) -> Form {
    Form::new(PLACE, format!("New hook of {registry}"), (hooks_of(registry), registry), "Make the hook")
        .group(
            "",
            [
                Field::line("name", "Name").required(),
                Field::choice("host", "Git host", GitHost::ALL.map(|host| (host.as_str(), host.as_str())))
                    .help("gitea: also Forgejo. standard: any sender of Standard Webhooks."),
                repositories(),
                secret(),
            ],
        )
}

fn limits(place: &Place) -> Form {
    let title = format!("Change the hook {}", place.hook);
    Form::new(PLACE, title, (hooks_of(&place.registry), &place.registry), "Save").group("", [repositories()])
}

fn rotation(place: &Place) -> Form {
    let title = format!("New secret for the hook {}", place.hook);
    let grace = Field::choice("grace_seconds", "The present secret stays good for", GRACES);
    let back = (hooks_of(&place.registry), &place.registry);
    Form::new(PLACE, title, back, "Change the secret")
        .intro("Nothing is lost while both are good: enter the new one at the git host meanwhile.")
        .group("", [grace, secret()])
}

fn removal(place: &Place) -> Form {
    let back = (hooks_of(&place.registry), &place.registry);
    Form::new(PLACE, format!("Delete the hook {}?", place.hook), back, "Delete the hook")
        .confirm("Its deliveries go with it, and what the git host still sends is refused.")
}

fn repositories() -> Field {
    Field::lines("repositories", "Repositories whose events it may bring")
        .help("One address a line; any repository when empty.")
}

fn secret() -> Field {
    Field::secret("secret", "Secret that the git host made")
        .help("Such as GitLab's signing token. Empty: a random one is made and shown once.")
}

async fn shown(
    app: &App,
    caller: Caller,
    registry: &str,
    hook: Hook,
    what: &str,
) -> Result<Response, Problem> {
    let texts = [("Address", hook.address), ("Secret", hook.secret)];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect();
    let intro = "Enter it at the git host now: it is shown this once, and nowhere afterwards.";
    let next = (hooks_of(registry), registry.to_owned());
    show_once(app, caller, PLACE, format!("The hook {} {what}", hook.name), intro, texts, next).await
}

fn hooks_of(registry: &str) -> String {
    format!("{}#h-hooks", registry_address(registry))
}

/// Where the pages of one are.
pub(crate) fn address(registry: &str, hook: &str) -> String {
    format!("{}/hooks/{}", registry_address(registry), part(hook))
}
