//! Credentials that are kept, replaced and forgotten. A secret goes in, and is in no page afterwards.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use model::CredentialKind;
use serde_json::Map;

use super::form::{Field, Form, Values, done, read};
use super::view::{part, registry_address};
use crate::App;
use crate::api::NewCredential;
use crate::http::auth::Caller;
use crate::http::extract::{PathOf, SecretJsonOf};
use crate::http::kind;
use crate::http::problem::Problem;
use crate::routes::credentials::{CredentialPath, delete_credential, get_credential, put_credential};

const PLACE: &str = "/registries";
const KINDS: [(CredentialKind, &str); 4] = [
    (CredentialKind::Git, "git: to fetch a source"),
    (CredentialKind::Registry, "registry: to sign in to a registry"),
    (CredentialKind::Webhook, "webhook: to sign outgoing webhooks"),
    (CredentialKind::Build, "build: a secret that a RUN mounts"),
];

/// `GET /registries/{registry}/new-credential`
pub(crate) async fn new(
    State(app): State<App>,
    caller: Caller,
    PathOf(registry): PathOf<String>,
) -> Result<Response, Problem> {
    blank(&registry).ask(&app, caller).await
}

/// `POST` to the same. One of that name is not written over unseen.
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    PathOf(registry): PathOf<String>,
    sent: Values,
) -> Result<Response, Problem> {
    let credential = sent.line("name").to_owned();
    let path = || CredentialPath { registry: registry.clone(), credential: credential.clone() };
    let kept = match get_credential(State(app.clone()), PathOf(path())).await {
        Ok(_) => Err(taken(&credential)),
        Err(problem) if problem.kind() == &kind::CREDENTIAL_NOT_FOUND => {
            keep(&app, &caller, path(), &sent).await
        }
        Err(problem) => Err(problem),
    };
    match kept {
        Ok(()) => Ok(done(&credentials_of(&registry))),
        Err(problem) => blank(&registry).filled(&sent).refused(&app, caller, problem).await,
    }
}

/// `GET /registries/{registry}/credentials/{credential}/replace`
pub(crate) async fn ask_to_replace(
    State(app): State<App>,
    caller: Caller,
    PathOf(path): PathOf<CredentialPath>,
) -> Result<Response, Problem> {
    let form = replacement(&path);
    let Json(there) = get_credential(State(app.clone()), PathOf(path)).await?;
    let mut values = Values::default();
    values.set("kind", there.kind.as_str());
    values.set("username", there.username.unwrap_or_default());
    values.set("known_hosts", there.known_hosts.unwrap_or_default());
    form.filled(&values).ask(&app, caller).await
}

/// `POST` to the same.
pub(crate) async fn replace(
    State(app): State<App>,
    caller: Caller,
    PathOf(path): PathOf<CredentialPath>,
    sent: Values,
) -> Result<Response, Problem> {
    let (form, list) = (replacement(&path), credentials_of(&path.registry));
    match keep(&app, &caller, path, &sent).await {
        Ok(()) => Ok(done(&list)),
        Err(problem) => form.filled(&sent).refused(&app, caller, problem).await,
    }
}

/// `GET …/delete`: asks.
pub(crate) async fn ask_to_delete(
    State(app): State<App>,
    caller: Caller,
    PathOf(path): PathOf<CredentialPath>,
) -> Result<Response, Problem> {
    let form = removal(&path);
    let _there = get_credential(State(app.clone()), PathOf(path)).await?;
    form.ask(&app, caller).await
}

/// `POST …/delete`
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller,
    PathOf(path): PathOf<CredentialPath>,
) -> Result<Response, Problem> {
    let (form, list) = (removal(&path), credentials_of(&path.registry));
    match delete_credential(State(app.clone()), PathOf(path)).await {
        Ok(_) => Ok(done(&list)),
        Err(problem) => form.refused(&app, caller, problem).await,
    }
}

async fn keep(app: &App, caller: &Caller, path: CredentialPath, sent: &Values) -> Result<(), Problem> {
    let mut body = Map::from_iter([
        ("kind".to_owned(), sent.line("kind").into()),
        ("secret".to_owned(), sent.secret("secret").into()),
    ]);
    for name in ["username", "known_hosts"] {
        body.extend(sent.optional(name).map(|text| (name.to_owned(), text.into())));
    }
    let new: NewCredential = read(body)?;
    let _there = put_credential(State(app.clone()), caller.clone(), PathOf(path), SecretJsonOf(new)).await?;
    Ok(())
}

fn blank(registry: &str) -> Form {
    let title = format!("New credential of {registry}");
    let name = [Field::line("name", "Name").required()];
    Form::new(PLACE, title, (credentials_of(registry), registry), "Keep it")
        .intro("It is encrypted at once, and shown to nobody afterwards.")
        .group("", name.into_iter().chain(fields()))
}

fn replacement(path: &CredentialPath) -> Form {
    let title = format!("Replace the credential {}", path.credential);
    Form::new(PLACE, title, (credentials_of(&path.registry), &path.registry), "Replace it")
        .intro("What uses it takes the new secret from its next run on. The present one is shown to nobody.")
        .group("", fields())
}

fn removal(path: &CredentialPath) -> Form {
    let title = format!("Delete the credential {}?", path.credential);
    let back = (credentials_of(&path.registry), &path.registry);
    Form::new(PLACE, title, back, "Delete the credential").confirm("Its secret can't be brought back.")
}

fn fields() -> [Field; 4] {
    [
        Field::choice("kind", "What it is for", KINDS.map(|(kind, shown)| (kind.as_str(), shown))),
        Field::line("username", "User").help("For git and registries; a token often wants any name."),
        Field::secret_lines("secret", "Secret")
            .help("Password, token, private key without a passphrase, whsec_…, or a build's secret.")
            .required(),
        Field::lines("known_hosts", "Host keys")
            .help("For git over ssh, as ssh-keyscan prints them. Compare their fingerprints first."),
    ]
}

fn taken(name: &str) -> Problem {
    let detail = format!("There is a credential `{name}` already.");
    Problem::new(&kind::ALREADY_EXISTS, detail, "Choose another name, or replace that one.").in_field("name")
}

fn credentials_of(registry: &str) -> String {
    format!("{}#h-credentials", registry_address(registry))
}

/// Where the pages of one are.
pub(crate) fn address(registry: &str, credential: &str) -> String {
    format!("{}/credentials/{}", registry_address(registry), part(credential))
}
