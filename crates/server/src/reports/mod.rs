//! What others are told of a run: as an HTTP request each, and what its answer means.

mod commit_status;
mod webhook;

use std::time::Duration;

use database::{OutboxRow, Report, RunRow};
use model::{CredentialKind, RunId};
use reqwest::StatusCode;
use vault::Secret;

use crate::App;
use crate::routes::credentials::sealed_name;

/// Recommended by Standard Webhooks: 15 to 30 seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why something was not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSent {
    /// It may be told later.
    #[error("{0}")]
    Later(String),
    /// Asking again is of no use.
    #[error("{0}")]
    Never(String),
}

/// A credential, opened.
pub(crate) struct Opened {
    pub(crate) username: Option<String>,
    pub(crate) secret: Secret,
}

/// Tells one thing.
pub(crate) async fn send(app: &App, http: &egress::Client, row: &OutboxRow) -> Result<(), NotSent> {
    let later = |error: database::Error| NotSent::Later(error.to_string());
    let Some(run) = app.database.get_run(row.run).await.map_err(later)? else {
        return Err(NotSent::Never("the run is gone".to_owned()));
    };
    let request = match &row.report {
        Report::CommitStatus => commit_status::request(app, http, &run).await?,
        Report::Webhook { url, credential } => {
            let key = open(app, &row.registry, credential, CredentialKind::Webhook).await?;
            webhook::request(app, http, row, &run, url, &key.secret)?
        }
    };
    let answer = http.send(request.timeout(PATIENCE)).await.map_err(|error| not_sent(&error))?;
    let status = answer.status();
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::GONE => Err(NotSent::Never("it answered 410 Gone".to_owned())),
        // Wrong for good at a git host's API; a webhook's receiver may be mended.
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::UNPROCESSABLE_ENTITY
            if row.report == Report::CommitStatus =>
        {
            Err(NotSent::Never(format!(
                "it answered {status}: may the task's source credential write commit statuses?"
            )))
        }
        _ => Err(NotSent::Later(format!("it answered {status}"))),
    }
}

/// A credential of the registry and of a kind.
async fn open(app: &App, registry: &str, name: &str, kind: CredentialKind) -> Result<Opened, NotSent> {
    let found = app
        .database
        .sealed_credential(registry, name)
        .await
        .map_err(|error| NotSent::Later(error.to_string()))?;
    let found = found.filter(|found| found.kind == kind);
    let found = found.ok_or_else(|| {
        NotSent::Never(format!("there is no credential `{name}` of kind `{}`", kind.as_str()))
    })?;
    let secret = app.vault.unseal(&sealed_name(registry, name), &found.sealed);
    let secret = secret.map_err(|error| NotSent::Never(error.to_string()))?;
    Ok(Opened { username: found.username, secret })
}

/// Also one that is denied may be told later, when an administrator has let it.
fn not_sent(error: &egress::Error) -> NotSent {
    NotSent::Later(
        error.denied().map_or_else(|| error.to_string(), |denied| format!("{denied}. {}", denied.hint())),
    )
}

/// Where a person looks at a run.
fn page_of(app: &App, run: &RunRow) -> String {
    app.public(&page_path(&run.registry, run.id))
}

pub(crate) fn page_path(registry: &str, run: RunId) -> String {
    format!("/registries/{registry}/runs/{run}")
}
