//! `POST /v1/registries/{registry}/runs`

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use database::{CreateRun, NewRun as NewRow, Registry, RunRow};
use failpoint::Point;
use model::{BuildSpec, Cause, Trust};

use super::idempotency::IdempotencyKey;
use super::lookup::{find_registry, run_address, show};
use super::tasks::check_build_credentials;
use crate::App;
use crate::api::{NewRun, Run};
use crate::http::auth::Caller;
use crate::http::extract::{JsonOf, PathOf};
use crate::http::kind;
use crate::http::problem::Problem;
use crate::new_run::{check_platform, check_use_of_credentials, fill_images, leave_out_registry, notify_of};

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Start a build.
///
/// It is queued and durable when this answers. With an `Idempotency-Key` a repeated request gets the
/// same run for a day, and no second one, whatever has changed since.
#[utoipa::path(
    post, path = "/v1/registries/{registry}/runs", tag = "runs", operation_id = "createRun",
    params(
        ("registry" = String, Path, description = "Where the image is pushed", example = "local"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 printable ASCII characters, chosen by the client")
    ),
    request_body(content = NewRun, example = json!({ "source": "https://example.com/team/app.git#main", "images": ["team/app:1"] })),
    responses(
        (status = 201, description = "Queued", body = Run, headers(
            ("Location" = String, description = "Address of the run"),
            ("Idempotency-Replayed" = Option<String>, description = "`true` where an earlier request made this run")
        )),
        (status = 404, description = "`registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`spec_invalid`, `platform_unavailable`, `source_not_found` or `idempotency_key_reused`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_run(
    State(app): State<App>,
    caller: Caller,
    PathOf(registry): PathOf<String>,
    headers: HeaderMap,
    JsonOf(new): JsonOf<NewRun>,
) -> Result<Response, Problem> {
    let registry = find_registry(&app, &registry).await?;
    let idempotency = IdempotencyKey::of(&headers, &new)?;
    if let Some(made) = replayed(&app, &registry, idempotency.as_ref()).await? {
        return answered(&registry, made);
    }
    let mut spec = BuildSpec::from(new.build);
    leave_out_registry(&mut spec.images, &registry);
    check_spec(&app, &registry.name, &spec).await?;
    check_use_of_credentials(&caller, None, &spec)?;
    let mut row = NewRow::quick(&registry.name, spec);
    row.cause = Cause::asked(caller.name());
    row.trust = new.trust.unwrap_or(Trust::Trusted);
    row.notify = notify_of(&registry, &[]);
    row.idempotency = idempotency.map(|i| (i.key, i.request));
    fill_images(&mut row, &registry)?;
    answered(&registry, write_down(&app, row).await?)
}

/// The run is durable when this answers.
pub(crate) async fn write_down(app: &App, row: NewRow) -> Result<CreateRun, Problem> {
    failpoint::pass(Point::ServerBeforeCommit).await;
    let made = app.database.create_run(row).await?;
    failpoint::pass(Point::ServerAfterCommit).await;
    Ok(made)
}

/// What an earlier request with this key made.
pub(crate) async fn replayed(
    app: &App,
    registry: &Registry,
    key: Option<&IdempotencyKey>,
) -> Result<Option<CreateRun>, Problem> {
    let Some(IdempotencyKey { key, request }) = key else { return Ok(None) };
    Ok(app.database.replay(&registry.name, key, request).await?)
}

/// The answer to a request that made a run, or made it before.
pub(crate) fn answered(registry: &Registry, made: CreateRun) -> Result<Response, Problem> {
    match made {
        CreateRun::Created(run) => Ok(created(registry, run, false)),
        CreateRun::Replayed(run) => Ok(created(registry, run, true)),
        CreateRun::KeyReused => Err(key_reused()),
    }
}

fn created(registry: &Registry, run: RunRow, replayed: bool) -> Response {
    tracing::Span::current().record("run", tracing::field::display(run.id));
    let location = run_address(&registry.name, run.id);
    tracing::info!(run = %run.id, replayed, "run created");
    let mut response = (StatusCode::CREATED, Json(show(registry, run))).into_response();
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// That a build can be done, as far as that can be said without doing it.
pub(crate) async fn check_spec(app: &App, registry: &str, spec: &BuildSpec) -> Result<(), Problem> {
    spec.validate().map_err(|error| {
        Problem::new(&kind::SPEC_INVALID, error.message, error.hint).in_field(error.field)
    })?;
    check_platform(&app.database.platforms().await?, spec)?;
    check_build_credentials(app, registry, spec, &kind::SPEC_INVALID, "").await
}

fn key_reused() -> Problem {
    Problem::new(
        &kind::IDEMPOTENCY_KEY_REUSED,
        "An earlier request with this idempotency key asked for something else.",
        "Choose a new key for each new request; repeat a key only with the same body.",
    )
    .in_field("Idempotency-Key")
}
