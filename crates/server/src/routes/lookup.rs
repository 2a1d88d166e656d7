//! What most handlers begin with: the registry and the run of the path, or the problem that says what
//! is there instead.

use axum::http::{HeaderValue, header};
use database::{Registry, RunRow};
use model::{GitRevision, ImageReference, RunId, RunStatus};
use serde::Deserialize;

use crate::App;
use crate::api::{Image, Revision, Run, TagSkipped};
use crate::http::kind;
use crate::http::problem::Problem;

/// `{registry}/runs/{run}`
#[derive(Debug, Deserialize)]
pub(crate) struct RunPath {
    pub(crate) registry: String,
    pub(crate) run: uuid::Uuid,
}

/// The registry of that name.
pub(crate) async fn find_registry(app: &App, name: &str) -> Result<Registry, Problem> {
    if let Some(registry) = app.database.get_registry(name).await? {
        return Ok(registry);
    }
    let registries = app.database.list_registries().await?;
    let quoted: Vec<_> = registries.iter().map(|registry| format!("`{}`", registry.name)).collect();
    let there = match quoted.is_empty() {
        true => "there is none yet".to_owned(),
        false => format!("there is {}", quoted.join(", ")),
    };
    let asked: String = name.chars().take(100).collect();
    Err(Problem::new(
        &kind::REGISTRY_NOT_FOUND,
        format!("There is no registry `{asked}`; {there}."),
        "Name one of them in the address, or add it.",
    )
    .in_field("registry"))
}

/// The run and its registry; a run of another registry is not found.
pub(crate) async fn find_run(app: &App, path: &RunPath) -> Result<(Registry, RunRow), Problem> {
    let id = RunId(path.run);
    tracing::Span::current().record("run", tracing::field::display(id));
    let registry = find_registry(app, &path.registry).await?;
    match app.database.get_run(id).await? {
        Some(run) if run.registry == registry.name => Ok((registry, run)),
        _ => Err(run_not_found(id)),
    }
}

pub(crate) fn run_not_found(run: RunId) -> Problem {
    Problem::new(
        &kind::RUN_NOT_FOUND,
        format!("There is no run {run} in this registry."),
        "`slipway runs` lists those there are.",
    )
    .in_field("run")
}

pub(crate) fn runs_address(registry: &str) -> String {
    format!("/v1/registries/{registry}/runs")
}

pub(crate) fn run_address(registry: &str, run: RunId) -> String {
    format!("{}/{run}", runs_address(registry))
}

impl From<database::Error> for Problem {
    /// The cause goes to the log, not to the client: it may name hosts and tables.
    fn from(error: database::Error) -> Self {
        if let database::Error::SourceNotFound(source) = error {
            return Self::new(
                &kind::SOURCE_NOT_FOUND,
                format!("There is no complete upload {source} in this registry."),
                "`slipway build FOLDER` uploads it anew; by REST, `POST …/sources` answers an id.",
            )
            .in_field("source");
        }
        if error.is_disk_full() {
            tracing::error!(%error, "the database's disk is full");
            return Self::new(
                &kind::DISK_FULL,
                "The database has no room left; nothing was changed.",
                "Make room where PostgreSQL keeps its data. Runs that were accepted are not lost.",
            );
        }
        if error.is_unavailable() {
            tracing::warn!(%error, "the database can't be reached");
            return Self::new(
                &kind::DATABASE_UNAVAILABLE,
                "The database can't be reached at the moment; nothing was changed.",
                "Try again in a few seconds. Runs that were accepted are not lost.",
            )
            .with_header(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        tracing::error!(%error, "the database refused");
        Self::new(
            &kind::INTERNAL,
            "The database refused what the service asked of it.",
            "The service's log has the reason under this request id.",
        )
    }
}

/// What a run pushes, or has pushed: where the registry is no longer, where it was then.
pub(crate) fn images(registry: &Registry, row: &RunRow) -> Vec<Image> {
    let digest = row.digest.clone().filter(|_| row.status == RunStatus::Succeeded);
    let skipped = |name: &str| {
        let found =
            row.skipped.iter().find(|skipped| format!("{}:{}", skipped.repository, skipped.tag) == name);
        found.map(|skipped| TagSkipped { superseded_by: skipped.superseded_by })
    };
    let address = row.address.as_ref().unwrap_or(&registry.address);
    let image = |name: &String| {
        let name = with_tag(name);
        let reference = format!("{address}/{name}");
        Image { reference, digest: digest.clone(), tag_skipped: skipped(&name) }
    };
    row.images.iter().map(image).collect()
}

/// A run as the API shows it.
pub(crate) fn show(registry: &Registry, row: RunRow) -> Run {
    Run {
        images: images(registry, &row),
        id: row.id,
        registry: row.registry,
        status: row.status,
        attempt: row.attempt,
        max_attempts: row.max_attempts,
        spec: row.spec.into(),
        task: row.task,
        cause: row.cause,
        trust: row.trust,
        cancel_requested: row.cancel_requested,
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
        log_removed_at: row.log_removed_at,
        revision: row.revision.map(|GitRevision { commit, committed_at }| Revision { commit, committed_at }),
        failure: row.failure.map(Into::into),
        reports: Vec::new(),
    }
}

fn with_tag(name: &str) -> String {
    match ImageReference::parse_target(name) {
        Ok((repository, tag)) => format!("{repository}:{tag}"),
        Err(_) => name.to_owned(),
    }
}
