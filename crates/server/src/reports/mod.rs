//! What others are told of a run: as an HTTP request each, and what its answer means.

mod commit_status;
mod webhook;

use std::time::Duration;

use database::{OutboxRow, Report, RunRow};
use model::{CredentialKind, RunId};
use reqwest::header::HeaderMap;
use time::OffsetDateTime;
use vault::Secret;

use crate::App;
use crate::routes::credentials::sealed_name;
use crate::routes::lookup::images;

/// Recommended by Standard Webhooks: 15 to 30 seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why something was not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSent {
    /// It may be told later; in so many seconds at the earliest, if that was said.
    #[error("{why}")]
    Later { why: String, wait: Option<i64> },
    /// Asking again is of no use.
    #[error("{0}")]
    Never(String),
    /// Nothing may be sent to this receiver any more.
    #[error("it answered 410 Gone")]
    Gone,
}

impl NotSent {
    fn later(why: impl std::fmt::Display) -> Self {
        Self::Later { why: why.to_string(), wait: None }
    }
}

/// A credential, opened.
pub(crate) struct Opened {
    pub(crate) username: Option<String>,
    pub(crate) secret: Secret,
}

impl Opened {
    fn mask(&self) -> mask::Mask {
        let (secrets, secret) = (mask::Secrets::default(), self.secret.expose());
        match &self.username {
            Some(user) => secrets.with_login(user, secret),
            None => secrets.with(secret),
        }
        .mask()
    }
}

/// Tells one thing.
pub(crate) async fn send(app: &App, http: &egress::Client, row: &OutboxRow) -> Result<(), NotSent> {
    let Some(run) = app.database.get_run(row.run).await.map_err(NotSent::later)? else {
        return Err(NotSent::Never("the run is gone".to_owned()));
    };
    match &row.report {
        Report::CommitStatus => {
            let (request, sent) = commit_status::request(app, http, &run).await?;
            let answer = commit_status::follow(http, request.timeout(PATIENCE)).await?;
            commit_status::heard(answer, &sent, row.taken_at).await
        }
        Report::Webhook { url, credential } => {
            let key = open(app, &row.registry, credential, CredentialKind::Webhook).await?;
            let registry = app.database.get_registry(&run.registry).await.map_err(NotSent::later)?;
            let images = registry.map_or(Vec::new(), |registry| images(&registry, &run));
            let request = webhook::request(app, http, row, &run, &images, url, &key.secret)?;
            let answer = http.send(request.timeout(PATIENCE)).await.map_err(|error| unreachable(&error))?;
            webhook::heard(&answer, row.taken_at)
        }
    }
}

/// Also an address that is denied may be told later, when an administrator has let it.
fn unreachable(error: &egress::Error) -> NotSent {
    match error.denied() {
        Some(denied) => NotSent::later(format_args!("{denied}. {}", denied.hint())),
        None => NotSent::later(error),
    }
}

/// Seconds that an answer asks to wait: `Retry-After` (RFC 9110, 10.2.3) as a number, or GitHub's words for an
/// exhausted rate.
fn wait_of(headers: &HeaderMap, now: OffsetDateTime) -> Option<i64> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok();
    number("retry-after").or_else(|| {
        let is_exhausted = number("x-ratelimit-remaining") == Some(0);
        is_exhausted.then(|| number("x-ratelimit-reset").map(|at| at - now.unix_timestamp())).flatten()
    })
}

/// A credential of the registry and of a kind.
async fn open(app: &App, registry: &str, name: &str, kind: CredentialKind) -> Result<Opened, NotSent> {
    let found = app.database.sealed_credential(registry, name).await.map_err(NotSent::later)?;
    let found = found.filter(|found| found.kind == kind);
    let found = found.ok_or_else(|| {
        NotSent::Never(format!("there is no credential `{name}` of kind `{}`", kind.as_str()))
    })?;
    let secret = app.vault.unseal(&sealed_name(registry, name), &found.sealed);
    let secret = secret.map_err(|error| NotSent::Never(error.to_string()))?;
    Ok(Opened { username: found.username, secret })
}

/// Where a person looks at a run.
fn page_of(app: &App, run: &RunRow) -> String {
    app.public(&page_path(&run.registry, run.id))
}

pub(crate) fn page_path(registry: &str, run: RunId) -> String {
    format!("/registries/{registry}/runs/{run}")
}
