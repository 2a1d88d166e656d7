//! `/v1/registries/{registry}/credentials`: secrets go in and never come out.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use database::{CredentialRow, Deleted, NewCredential as NewRow, PutCredential};
use model::{CredentialKind, Role};
use serde::Deserialize;

use super::etag::outdated;
use super::lookup::find_registry;
use super::names::check_name;
use crate::App;
use crate::api::{Credential, CredentialList, NewCredential};
use crate::git_key;
use crate::http::auth::Caller;
use crate::http::extract::{PathOf, SecretJsonOf};
use crate::http::kind;
use crate::http::problem::Problem;

/// Bytes of a secret: private keys and files fit.
const LARGEST_SECRET: usize = 64 * 1024;

#[derive(Debug, Deserialize)]
pub(crate) struct CredentialPath {
    pub(crate) registry: String,
    pub(crate) credential: String,
}

/// The name under which a credential's secret is sealed.
pub(crate) fn sealed_name(registry: &str, credential: &str) -> String {
    format!("credential/{registry}/{credential}")
}

/// List credentials.
#[utoipa::path(get, path = "/v1/registries/{registry}/credentials", tag = "credentials", operation_id = "listCredentials",
    params(("registry" = String, Path, example = "local")),
    responses(
        (status = 200, description = "By name, without their secrets", body = CredentialList),
        (status = 404, description = "`registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list_credentials(
    State(app): State<App>,
    PathOf(registry): PathOf<String>,
) -> Result<Json<CredentialList>, Problem> {
    let registry = find_registry(&app, &registry).await?;
    let credentials = app.database.list_credentials(&registry.name).await?;
    Ok(Json(CredentialList { credentials: credentials.into_iter().map(Into::into).collect() }))
}

/// Keep a credential.
///
/// Over one of that name, if there is one; that of a registry's sign-in only by an administrator. The secret is encrypted at once, and no request shows it again.
#[utoipa::path(put, path = "/v1/registries/{registry}/credentials/{credential}", tag = "credentials", operation_id = "putCredential",
    params(("registry" = String, Path, example = "local"), ("credential" = String, Path, example = "github")),
    request_body = NewCredential,
    responses(
        (status = 200, description = "Kept", body = Credential),
        (status = 404, description = "`registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`in_use`: it keeps its kind", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`name_invalid` or `credential_invalid`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn put_credential(
    State(app): State<App>,
    caller: Caller,
    PathOf(path): PathOf<CredentialPath>,
    SecretJsonOf(new): SecretJsonOf<NewCredential>,
) -> Result<Json<Credential>, Problem> {
    let registry = find_registry(&app, &path.registry).await?;
    check_name(&path.credential)?;
    validate(&new)?;
    if registry.sign_in.credential() == Some(path.credential.as_str()) {
        // It says as whom is pushed: that is the registry's, not a build's.
        caller.check(Role::Administrator, Some(&registry.name))?;
    }
    let sealed = app.vault.seal(&sealed_name(&registry.name, &path.credential), &new.secret)?;
    let NewCredential { kind, username, known_hosts, .. } = new;
    let row = NewRow { registry: registry.name, name: path.credential, kind, username, known_hosts, sealed };
    match app.database.put_credential(&row).await? {
        PutCredential::Kept(row) => Ok(Json(row.into())),
        PutCredential::InUse => Err(Problem::new(
            &kind::IN_USE,
            format!(
                "The credential `{}` is in use, and keeps its kind; one of a registry its user too.",
                row.name
            ),
            "Write its secret anew as the same kind, or keep another credential and name that.",
        )),
    }
}

/// Look at a credential.
#[utoipa::path(get, path = "/v1/registries/{registry}/credentials/{credential}", tag = "credentials", operation_id = "getCredential",
    params(("registry" = String, Path, example = "local"), ("credential" = String, Path, example = "github")),
    responses(
        (status = 200, description = "Without its secret", body = Credential),
        (status = 404, description = "`credential_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_credential(
    State(app): State<App>,
    PathOf(path): PathOf<CredentialPath>,
) -> Result<Json<Credential>, Problem> {
    let registry = find_registry(&app, &path.registry).await?;
    let found = app.database.get_credential(&registry.name, &path.credential).await?;
    found.map(|row| Json(row.into())).ok_or_else(|| not_found(&path.credential))
}

/// Forget a credential.
#[utoipa::path(delete, path = "/v1/registries/{registry}/credentials/{credential}", tag = "credentials", operation_id = "deleteCredential",
    params(("registry" = String, Path, example = "local"), ("credential" = String, Path, example = "github")),
    responses(
        (status = 204, description = "Forgotten"),
        (status = 404, description = "`credential_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`in_use`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn delete_credential(
    State(app): State<App>,
    PathOf(path): PathOf<CredentialPath>,
) -> Result<StatusCode, Problem> {
    let registry = find_registry(&app, &path.registry).await?;
    match app.database.delete_credential(&registry.name, &path.credential).await? {
        Deleted::Yes => Ok(StatusCode::NO_CONTENT),
        Deleted::NotFound => Err(not_found(&path.credential)),
        Deleted::InUse(users) => Err(Problem::new(
            &kind::IN_USE,
            format!("The credential `{}` is needed by {}.", path.credential, users.join(", ")),
            "Change tasks, webhooks and the sign-in; runs and reports end by themselves.",
        )),
        Deleted::Outdated => Err(outdated()),
    }
}

fn validate(new: &NewCredential) -> Result<(), Problem> {
    let refuse = |field: &str, message: &str, hint: &str| {
        Err(Problem::new(&kind::CREDENTIAL_INVALID, message, hint).in_field(field))
    };
    if new.secret.is_empty() || new.secret.len() > LARGEST_SECRET || new.secret.contains('\0') {
        return refuse(
            "secret",
            "The secret is empty, too long, or holds a NUL.",
            "1 byte to 64 KiB of text.",
        );
    }
    let wants_user = matches!(new.kind, CredentialKind::Git | CredentialKind::Registry);
    if new.username.is_some() && !wants_user {
        return refuse(
            "username",
            "Only credentials of kind `git` and `registry` have a user.",
            "Leave it out.",
        );
    }
    if new.username.as_ref().is_some_and(|user| {
        user.is_empty() || user.len() > 255 || user.contains(|c: char| c == ':' || c.is_control())
    }) {
        return refuse(
            "username",
            "That is no user's name.",
            "1 to 255 characters without `:`; leave it out where there is none.",
        );
    }
    if new.known_hosts.is_some() && new.kind != CredentialKind::Git {
        return refuse("known_hosts", "Only credentials of kind `git` have host keys.", "Leave it out.");
    }
    if new.kind == CredentialKind::Git
        && let Err(refusal) = git_key::check(&new.secret, new.username.as_deref(), new.known_hosts.as_deref())
    {
        return refuse(refusal.field, &refusal.message, &refusal.hint);
    }
    if new.kind == CredentialKind::Webhook && !is_signing_key(&new.secret) {
        return refuse("secret", "It is no key of Standard Webhooks.", SIGNING_KEY);
    }
    Ok(())
}

/// What to write for a key of Standard Webhooks.
pub(crate) const SIGNING_KEY: &str =
    "`whsec_` and 24 to 64 bytes in base64, for instance `echo whsec_$(openssl rand -base64 32)`.";

/// Whether it is a key of Standard Webhooks.
pub(crate) fn is_signing_key(secret: &str) -> bool {
    use base64::Engine as _;
    let key = secret.strip_prefix("whsec_");
    let key = key.and_then(|key| base64::engine::general_purpose::STANDARD.decode(key).ok());
    key.is_some_and(|key| (24..=64).contains(&key.len()))
}

fn not_found(name: &str) -> Problem {
    let shown: String = name.chars().take(100).collect();
    Problem::new(
        &kind::CREDENTIAL_NOT_FOUND,
        format!("There is no credential `{shown}`."),
        "GET …/credentials lists them.",
    )
}

impl From<CredentialRow> for Credential {
    fn from(row: CredentialRow) -> Self {
        let CredentialRow { name, kind, username, known_hosts, created_at, updated_at } = row;
        Self { name, kind, username, known_hosts, created_at, updated_at }
    }
}

impl From<vault::Error> for Problem {
    fn from(error: vault::Error) -> Self {
        tracing::error!(%error, "the vault refused");
        Self::new(&kind::INTERNAL, "A secret can't be sealed or opened.", error.failure().hint)
    }
}
