//! `/v1/registries`: where runs push to.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use database::{CredentialRow, Deleted, NewRegistry as NewRow};
use model::{CredentialKind, Notify, Role, SignIn};
use serde_json::{Map, Value};

use super::etag::{check_seen, outdated, tagged};
use super::lookup::find_registry;
use super::names;
use super::patch::patched;
use super::registry_address;
use crate::App;
use crate::api::{GoneReceiver, NewRegistry, Registry, RegistryChange, RegistryList, RegistryPatch};
use crate::http::auth::Caller;
use crate::http::extract::{JsonOf, PathOf};
use crate::http::kind;
use crate::http::problem::Problem;

/// List registries.
#[utoipa::path(get, path = "/v1/registries", tag = "registries", operation_id = "listRegistries",
    responses((status = 200, description = "Those that the token may see, by name", body = RegistryList)))]
pub(crate) async fn list_registries(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<RegistryList>, Problem> {
    let registries = app.database.list_registries().await?;
    let seen = registries.into_iter().filter(|registry| caller.sees(&registry.name));
    Ok(Json(RegistryList { registries: seen.map(Into::into).collect() }))
}

/// Look at a registry.
#[utoipa::path(get, path = "/v1/registries/{registry}", tag = "registries", operation_id = "getRegistry",
    params(("registry" = String, Path, example = "local")),
    responses(
        (status = 200, description = "The registry", body = Registry, headers(("ETag" = String, description = "Its version"))),
        (status = 404, description = "`registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_registry(
    State(app): State<App>,
    PathOf(registry): PathOf<String>,
) -> Result<Response, Problem> {
    shown(&app, &registry).await
}

/// Add a registry.
#[utoipa::path(post, path = "/v1/registries", tag = "registries", operation_id = "createRegistry",
    request_body = NewRegistry,
    responses(
        (status = 201, description = "Added", body = Registry, headers(("ETag" = String, description = "Its version"))),
        (status = 409, description = "`already_exists`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`name_invalid` or `registry_invalid`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create_registry(
    State(app): State<App>,
    JsonOf(new): JsonOf<NewRegistry>,
) -> Result<Response, Problem> {
    let NewRegistry { name, address, plain_http, sign_in, notify } = new;
    check_name(&name)?;
    let row = NewRow { name, address, plain_http, sign_in, notify };
    validate(&app, &row).await?;
    if !app.database.create_registry(&row).await? {
        return Err(Problem::new(
            &kind::ALREADY_EXISTS,
            format!("There is a registry `{}` already.", row.name),
            format!("`slipway registry update {}` changes it, as its page does; by REST, PATCH.", row.name),
        )
        .in_field("name"));
    }
    let made = find_registry(&app, &row.name).await?;
    Ok(tagged(StatusCode::CREATED, made.version, Registry::from(made)))
}

/// Change a registry.
///
/// A JSON merge patch (RFC 7396). With If-Match it is made only if nobody changed the registry meanwhile. Runs that were
/// asked for before push to the new address as well; those that were pushed are shown with the address they were pushed
/// to. `address`, `plain_http` and `sign_in` say whose identity goes where: only a token for every registry changes them.
#[utoipa::path(patch, path = "/v1/registries/{registry}", tag = "registries", operation_id = "changeRegistry",
    params(
        ("registry" = String, Path, example = "local"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was seen")
    ),
    request_body = RegistryPatch,
    responses(
        (status = 200, description = "Changed", body = Registry, headers(("ETag" = String, description = "Its version"))),
        (status = 403, description = "`other_registry`: the token is for one registry", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "`outdated`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`registry_invalid`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn change_registry(
    State(app): State<App>,
    caller: Caller,
    PathOf(registry): PathOf<String>,
    headers: HeaderMap,
    JsonOf(patch): JsonOf<Map<String, Value>>,
) -> Result<Response, Problem> {
    // As with tasks: without If-Match the patch is applied to what came between.
    for _ in 0..20 {
        let there = find_registry(&app, &registry).await?;
        check_seen(&headers, there.version)?;
        let seen = there.version;
        let row = changed(&caller, there, patch.clone())?;
        validate(&app, &row).await?;
        if app.database.update_registry(&row, Some(seen)).await? {
            if patch.contains_key("notify") {
                receivers_named(&app, &row.name, &row.notify).await?;
            }
            return shown(&app, &registry).await;
        }
    }
    Err(outdated())
}

/// The registry with a patch applied, where the caller may make this change.
fn changed(caller: &Caller, there: database::Registry, patch: Map<String, Value>) -> Result<NewRow, Problem> {
    let database::Registry { name, address, plain_http, sign_in, notify, .. } = there;
    let before = RegistryChange { address, plain_http, sign_in, notify };
    let change: RegistryChange = patched(&before, patch)?;
    let goes_where =
        |registry: &RegistryChange| (registry.address.clone(), registry.plain_http, registry.sign_in.clone());
    if goes_where(&change) != goes_where(&before) {
        caller.check(Role::Administrator, None)?;
    }
    let RegistryChange { address, plain_http, sign_in, notify } = change;
    Ok(NewRow { name, address, plain_http, sign_in, notify })
}

/// Remove a registry.
///
/// One that has tasks, hooks, credentials or runs stays: it is emptied by whoever knows what goes, and runs tell what was
/// pushed there. Its tokens go with it. Only a token for every registry removes one.
#[utoipa::path(delete, path = "/v1/registries/{registry}", tag = "registries", operation_id = "deleteRegistry",
    params(
        ("registry" = String, Path, example = "local"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was seen")
    ),
    responses(
        (status = 204, description = "Removed"),
        (status = 403, description = "`other_registry`: the token is for one registry", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`registry_in_use`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "`outdated`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn delete_registry(
    State(app): State<App>,
    caller: Caller,
    PathOf(registry): PathOf<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller.check(Role::Administrator, None)?;
    let registry = find_registry(&app, &registry).await?;
    let seen = check_seen(&headers, registry.version)?;
    match app.database.delete_registry(&registry.name, seen).await? {
        Deleted::Yes | Deleted::NotFound => Ok(StatusCode::NO_CONTENT),
        Deleted::Outdated => Err(outdated()),
        Deleted::InUse(what) => Err(Problem::new(
            &kind::REGISTRY_IN_USE,
            format!("The registry `{}` has {}.", registry.name, what.join(", ")),
            "Delete its tasks, hooks and credentials first (`slipway task delete` and so on, or its page). Runs tell what was pushed there, so that their registry stays.",
        )),
    }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let right = name.bytes().all(|b| letter(b) || b == b'-')
        && name.bytes().next().is_some_and(letter)
        && name.len() <= 63;
    if right {
        return Ok(());
    }
    let shown: String = name.chars().take(100).collect();
    let hint = "At most 63 lower-case letters, digits and `-`, beginning with a letter or digit.";
    Err(Problem::new(&kind::NAME_INVALID, format!("`{shown}` is not a registry's name."), hint)
        .in_field("name"))
}

async fn validate(app: &App, row: &NewRow) -> Result<(), Problem> {
    if let Err((message, hint)) = registry_address::check(&row.address) {
        return Err(Problem::new(&kind::REGISTRY_INVALID, message, hint).in_field("address"));
    }
    if row.sign_in.is_azures() && row.plain_http && !registry_address::is_loopback(&row.address) {
        return Err(Problem::new(
            &kind::REGISTRY_INVALID,
            "An identity of Azure's is not sent over plain http.",
            "Leave `plain_http` out, or sign in with user and password.",
        )
        .in_field("sign_in"));
    }
    if let Some(name) = row.sign_in.credential() {
        let found = app.database.get_credential(&row.name, name).await?;
        let wrong = match found {
            None => Some(no_credential(&row.name, name)),
            Some(found) if found.kind != CredentialKind::Registry => {
                Some(format!("The credential `{name}` is of kind `{}`.", found.kind.as_str()))
            }
            Some(found) if matches!(row.sign_in, SignIn::Basic { .. }) && found.username.is_none() => {
                Some(format!("The credential `{name}` has no `username`."))
            }
            Some(_) => None,
        };
        if let Some(message) = wrong {
            let hint = format!(
                "Add the registry first, without a sign-in; then `slipway credential set {name} --kind registry --registry {0}`; \
                 then `slipway registry update {0}` with the sign-in. By REST: PUT …/credentials/{name}, then PATCH `sign_in`.",
                row.name
            );
            return Err(Problem::new(&kind::REGISTRY_INVALID, message, hint).in_field("sign_in.credential"));
        }
    }
    check_notify(app, &row.name, &row.notify, &kind::REGISTRY_INVALID).await
}

/// Addresses and credentials of outgoing webhooks.
pub(crate) async fn check_notify(
    app: &App,
    registry: &str,
    notify: &[Notify],
    kind: &'static kind::Kind,
) -> Result<(), Problem> {
    if notify.len() > 20 {
        return Err(Problem::new(kind, "More than 20 webhooks.", "Name at most 20.").in_field("notify"));
    }
    for (index, target) in notify.iter().enumerate() {
        let right = target.url.len() <= model::MAX_ADDRESS
            && target.url.parse::<axum::http::Uri>().is_ok_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https"))
                    && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            });
        if !right {
            let hint = "Write http:// or https://, a host, and no user or password; at most 2000 bytes.";
            let problem = Problem::new(kind, "The address of a webhook is not one.", hint);
            return Err(problem.in_field(format!("notify[{index}].url")));
        }
        check_credential(
            app,
            registry,
            &target.credential,
            CredentialKind::Webhook,
            kind,
            &format!("notify[{index}].credential"),
        )
        .await?;
    }
    Ok(())
}

/// Whoever names receivers wants them told, also if they were gone.
pub(crate) async fn receivers_named(app: &App, registry: &str, notify: &[Notify]) -> Result<(), Problem> {
    let urls: Vec<String> = notify.iter().map(|target| target.url.clone()).collect();
    Ok(app.database.receivers_named(registry, &urls).await?)
}

async fn shown(app: &App, name: &str) -> Result<Response, Problem> {
    let registry = one(app, name).await?;
    Ok(tagged(StatusCode::OK, registry.version, registry))
}

/// As it is now, with who is told nothing any more.
pub(crate) async fn one(app: &App, name: &str) -> Result<Registry, Problem> {
    let registry: Registry = find_registry(app, name).await?.into();
    let gone = app.database.gone_receivers(&registry.name).await?;
    let gone = gone.into_iter().map(|gone| GoneReceiver { url: gone.url, since: gone.since });
    Ok(Registry { gone_receivers: gone.collect(), ..registry })
}

/// The credential, where it is there and of its kind.
pub(crate) async fn check_credential(
    app: &App,
    registry: &str,
    name: &str,
    wanted: CredentialKind,
    kind: &'static kind::Kind,
    field: &str,
) -> Result<CredentialRow, Problem> {
    let message = match app.database.get_credential(registry, name).await? {
        Some(found) if found.kind == wanted => return Ok(found),
        Some(found) => format!(
            "The credential `{name}` is of kind `{}`, not `{}`.",
            found.kind.as_str(),
            wanted.as_str()
        ),
        None => no_credential(registry, name),
    };
    let hint = format!("`slipway credential set NAME --kind {}` keeps one.", wanted.as_str());
    Err(Problem::new(kind, message, hint).in_field(field))
}

/// What is no name may be the secret itself, in the wrong place: it is not repeated.
fn no_credential(registry: &str, name: &str) -> String {
    match names::check_name(name) {
        Ok(()) => format!("There is no credential `{name}` in the registry `{registry}`."),
        Err(_) => "What is there is not the name of a credential.".to_owned(),
    }
}

impl From<database::Registry> for Registry {
    fn from(row: database::Registry) -> Self {
        let database::Registry {
            name,
            address,
            plain_http,
            sign_in,
            notify,
            version,
            created_at,
            updated_at,
        } = row;
        let gone_receivers = Vec::new();
        Self { name, address, plain_http, sign_in, notify, version, created_at, updated_at, gone_receivers }
    }
}
