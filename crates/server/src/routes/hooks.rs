//! `/v1/registries/{registry}/hooks`: addresses that git hosts deliver to.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use database::{HookRow, NewHook as NewRow};
use model::{GitHost, HookId};
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::etag::{check_seen, outdated, tagged};
use super::lookup::find_registry;
use super::names::check_name;
use super::patch::patched;
use crate::App;
use crate::api::{Hook, HookList, HookPatch, NewHook, RotateHook};
use crate::http::extract::{JsonOf, PathOf, SecretJsonOf};
use crate::http::kind;
use crate::http::problem::Problem;

/// A month.
const LONGEST_GRACE: i32 = 2_592_000;

#[derive(Debug, Deserialize)]
pub(crate) struct HookPath {
    registry: String,
    hook: String,
}

/// The name under which a hook's secrets are sealed.
pub(crate) fn sealed_name(hook: HookId) -> String {
    format!("hook/{hook}")
}

/// List hooks.
#[utoipa::path(get, path = "/v1/registries/{registry}/hooks", tag = "hooks", operation_id = "listHooks",
    params(("registry" = String, Path, example = "local")),
    responses(
        (status = 200, description = "By name, without address and secret", body = HookList),
        (status = 404, description = "`registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list_hooks(
    State(app): State<App>,
    PathOf(registry): PathOf<String>,
) -> Result<Json<HookList>, Problem> {
    let registry = find_registry(&app, &registry).await?;
    let hooks = app.database.list_hooks(&registry.name).await?;
    Ok(Json(HookList { hooks: hooks.into_iter().map(Into::into).collect() }))
}

/// Make a hook.
///
/// Its address and its secret are in this answer, and nowhere afterwards; a secret that was given is not repeated.
#[utoipa::path(post, path = "/v1/registries/{registry}/hooks", tag = "hooks", operation_id = "createHook",
    params(("registry" = String, Path, example = "local")),
    request_body = NewHook,
    responses(
        (status = 201, description = "Made", body = Hook),
        (status = 404, description = "`registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`already_exists`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`name_invalid` or `hook_invalid`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create_hook(
    State(app): State<App>,
    PathOf(registry): PathOf<String>,
    SecretJsonOf(new): SecretJsonOf<NewHook>,
) -> Result<(StatusCode, Json<Hook>), Problem> {
    check_reached(&app)?;
    let registry = find_registry(&app, &registry).await?;
    check_name(&new.name)?;
    check_repositories(&new.repositories)?;
    let id = HookId(Uuid::new_v4());
    let secret = secret_of(new.host, new.secret.as_deref())?;
    let sealed = app.vault.seal(&sealed_name(id), secret.expose())?;
    let NewHook { name, host, repositories, secret: given } = new;
    let row = NewRow { id, registry: registry.name, name, host, repositories, sealed };
    let made = app.database.create_hook(&row).await?.ok_or_else(|| {
        let detail = format!("There is a hook `{}` already.", row.name);
        Problem::new(
            &kind::ALREADY_EXISTS,
            detail,
            "Choose another name; `slipway hook rotate` gives that one a new secret.",
        )
        .in_field("name")
    })?;
    let address = Some(app.public(&format!("/hooks/{}", made.id)));
    Ok((StatusCode::CREATED, Json(Hook { address, secret: shown(given, &secret), ..made.into() })))
}

/// Look at a hook.
#[utoipa::path(get, path = "/v1/registries/{registry}/hooks/{hook}", tag = "hooks", operation_id = "getHook",
    params(("registry" = String, Path, example = "local"), ("hook" = String, Path, example = "github")),
    responses(
        (status = 200, description = "Without address and secret", body = Hook, headers(("ETag" = String, description = "Its version"))),
        (status = 404, description = "`hook_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_hook(
    State(app): State<App>,
    PathOf(path): PathOf<HookPath>,
) -> Result<Response, Problem> {
    let hook = find_hook(&app, &path).await?;
    Ok(tagged(StatusCode::OK, hook.version, Hook::from(hook)))
}

/// Change a hook.
///
/// A JSON merge patch (RFC 7396). With If-Match it is made only if nobody changed the hook meanwhile.
#[utoipa::path(patch, path = "/v1/registries/{registry}/hooks/{hook}", tag = "hooks", operation_id = "changeHook",
    params(
        ("registry" = String, Path, example = "local"),
        ("hook" = String, Path, example = "github"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was seen")
    ),
    request_body = HookPatch,
    responses(
        (status = 200, description = "Changed", body = Hook, headers(("ETag" = String, description = "Its version"))),
        (status = 404, description = "`hook_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "`outdated`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`hook_invalid`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn change_hook(
    State(app): State<App>,
    PathOf(path): PathOf<HookPath>,
    headers: HeaderMap,
    JsonOf(patch): JsonOf<Map<String, Value>>,
) -> Result<Response, Problem> {
    // As with tasks: without If-Match the patch is applied to what came between.
    for _ in 0..5 {
        let hook = find_hook(&app, &path).await?;
        check_seen(&headers, hook.version)?;
        let before = HookPatch { repositories: Some(hook.repositories) };
        let repositories = patched(&before, patch.clone())?.repositories.unwrap_or_default();
        check_repositories(&repositories)?;
        if let Some(row) = app.database.update_hook(hook.id, hook.version, &repositories).await? {
            return Ok(tagged(StatusCode::OK, row.version, Hook::from(row)));
        }
    }
    Err(outdated())
}

/// Change a hook's secret.
///
/// The present one stays good for a while, so that nothing is lost until the git host knows the new one. While one
/// before it is good still, that one stays so to the end of its time, and the present one is replaced: an answer that
/// was lost is asked for once more. With `grace_seconds: 0` all others end at once.
#[utoipa::path(post, path = "/v1/registries/{registry}/hooks/{hook}/rotate", tag = "hooks", operation_id = "rotateHook",
    params(("registry" = String, Path, example = "local"), ("hook" = String, Path, example = "github")),
    request_body = RotateHook,
    responses(
        (status = 200, description = "With the new secret, once, where none was given", body = Hook),
        (status = 404, description = "`hook_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`hook_invalid`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn rotate_hook(
    State(app): State<App>,
    PathOf(path): PathOf<HookPath>,
    SecretJsonOf(how): SecretJsonOf<RotateHook>,
) -> Result<Json<Hook>, Problem> {
    let hook = find_hook(&app, &path).await?;
    if !(0..=LONGEST_GRACE).contains(&how.grace_seconds) {
        let hint = "0 seconds to 30 days.";
        return Err(
            Problem::new(&kind::HOOK_INVALID, "That time is not possible.", hint).in_field("grace_seconds")
        );
    }
    let secret = secret_of(hook.host, how.secret.as_deref())?;
    let sealed = app.vault.seal(&sealed_name(hook.id), secret.expose())?;
    let rotated = app.database.rotate_hook(hook.id, &sealed, how.grace_seconds).await?;
    let rotated = rotated.ok_or_else(|| not_found(&path.hook))?;
    Ok(Json(Hook { secret: shown(how.secret, &secret), ..rotated.into() }))
}

/// Remove a hook.
///
/// With its deliveries. What is delivered to its address from now on is answered with 404.
#[utoipa::path(delete, path = "/v1/registries/{registry}/hooks/{hook}", tag = "hooks", operation_id = "deleteHook",
    params(
        ("registry" = String, Path, example = "local"),
        ("hook" = String, Path, example = "github"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was seen")
    ),
    responses(
        (status = 204, description = "Removed"),
        (status = 404, description = "`hook_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "`outdated`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn delete_hook(
    State(app): State<App>,
    PathOf(path): PathOf<HookPath>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let hook = find_hook(&app, &path).await?;
    let seen = check_seen(&headers, hook.version)?;
    match app.database.delete_hook(hook.id, seen).await? || seen.is_none() {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(outdated()),
    }
}

pub(crate) async fn find_hook(app: &App, path: &HookPath) -> Result<HookRow, Problem> {
    let registry = find_registry(app, &path.registry).await?;
    let found = app.database.get_hook(&registry.name, &path.hook).await?;
    found.ok_or_else(|| not_found(&path.hook))
}

fn not_found(name: &str) -> Problem {
    let shown: String = name.chars().take(100).collect();
    Problem::new(
        &kind::HOOK_NOT_FOUND,
        format!("There is no hook `{shown}`."),
        "`slipway hook list` lists them.",
    )
}

/// The given secret, or a random one.
fn secret_of(host: GitHost, given: Option<&str>) -> Result<vault::Secret, Problem> {
    let Some(given) = given else { return random_secret(host) };
    let refuse =
        |message: &str, hint: &str| Err(Problem::new(&kind::HOOK_INVALID, message, hint).in_field("secret"));
    if !(16..=200).contains(&given.len()) || !given.bytes().all(|b| b.is_ascii_graphic()) {
        let hint = "16 to 200 printable characters without blanks, or leave it out: a random one is made.";
        return refuse("That secret is not possible.", hint);
    }
    if host == GitHost::Standard && !super::credentials::is_signing_key(given) {
        return refuse("It is no key of Standard Webhooks.", super::credentials::SIGNING_KEY);
    }
    Ok(vault::Secret::new(given))
}

/// 32 random bytes in the form that the host's settings take.
fn random_secret(host: GitHost) -> Result<vault::Secret, Problem> {
    let token = vault::Token::random().map_err(|error| {
        let hint = "Look at the machine: nothing that is secret can be made without them.";
        Problem::new(&kind::INTERNAL, format!("The system gives no random bytes: {error}."), hint)
    })?;
    Ok(match host {
        // Standard Webhooks, "Signature scheme": `whsec_` and base64 of 24 to 64 bytes. GitLab takes the same as a
        // signing token (32 bytes), and as a secret token any text.
        GitHost::Standard | GitHost::Gitlab => {
            vault::Secret::new(format!("whsec_{}", STANDARD.encode(token.hash)))
        }
        _ => vault::Secret::new(token.text.expose().trim_start_matches(vault::TOKEN_PREFIX)),
    })
}

/// An address is shown once, and entered elsewhere: one that leads nowhere would be found out by nobody.
fn check_reached(app: &App) -> Result<(), Problem> {
    if app.is_reached() {
        return Ok(());
    }
    let detail = "The service does not know what it is called outside, and a hook's address holds that.";
    let hint = "Start the server with --public-url https://…, or SLIPWAY_PUBLIC_URL.";
    Err(Problem::new(&kind::HOOK_INVALID, detail, hint))
}

/// They are shown to every reader: none may hold a secret.
fn check_repositories(repositories: &[String]) -> Result<(), Problem> {
    let refuse = |index: usize, message: String, hint: String| {
        Err(Problem::new(&kind::HOOK_INVALID, message, hint).in_field(format!("repositories[{index}]")))
    };
    if repositories.len() > 100 {
        return refuse(
            100,
            "More than 100 repositories.".into(),
            "Name at most 100, or none for any.".into(),
        );
    }
    for (index, address) in repositories.iter().enumerate() {
        if let Err(error) = model::check_repository(address) {
            return refuse(index, error.message, error.hint);
        }
    }
    Ok(())
}

/// A secret that was made here. Whoever gave one has it.
fn shown(given: Option<String>, secret: &vault::Secret) -> Option<String> {
    given.is_none().then(|| secret.expose().to_owned())
}

impl From<HookRow> for Hook {
    fn from(row: HookRow) -> Self {
        let HookRow { name, host, repositories, version, created_at, updated_at, before_until, .. } = row;
        let (address, secret) = (None, None);
        Self {
            name,
            host,
            repositories,
            version,
            created_at,
            updated_at,
            previous_secret_until: before_until,
            address,
            secret,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    /// A service that listens there, and whose database is asked nothing.
    async fn app(own: &str, public_url: Option<&str>) -> App {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("key");
        vault::make_key_file(&key).expect("a key");
        let vault = vault::Vault::open(&key).expect("a vault");
        let database =
            database::Database::connect("postgres://127.0.0.1:1/none", "test").await.expect("lazy");
        let config =
            Config { public_url: public_url.map(str::to_owned), behind_proxy: true, ..Config::default() };
        App::new(config, own.parse().expect("an address"), database, vault, Default::default())
    }

    #[tokio::test]
    async fn who_is_reached_by_others_makes_no_hook_without_a_name() {
        let new = || NewHook {
            name: "hub".to_owned(),
            host: GitHost::Github,
            repositories: Vec::new(),
            secret: None,
        };
        for own in ["0.0.0.0:7420", "[::]:7420", "192.0.2.1:7420"] {
            let app = app(own, None).await;
            let made = create_hook(State(app), PathOf("local".to_owned()), SecretJsonOf(new())).await;
            let refused = made.expect_err("refused");
            assert_eq!(refused.kind(), &kind::HOOK_INVALID);
            assert!(refused.to_string().contains("--public-url"), "{refused}");
        }
        assert!(check_reached(&app("0.0.0.0:7420", Some("https://build.example")).await).is_ok());
        assert!(check_reached(&app("127.0.0.1:7420", None).await).is_ok());
    }
}
