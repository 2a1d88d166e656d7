//! `/v1/registries/{registry}/deliveries`: what came in, and why it started something or nothing.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use database::{DeliveryContent, DeliveryRow, DeliveryStatus};
use model::DeliveryId;
use serde::Deserialize;
use uuid::Uuid;

use super::cursor;
use super::list_runs::limit;
use super::lookup::find_registry;
use crate::App;
use crate::api::{Delivery, DeliveryPage, DeliveryStatusWord};
use crate::http::extract::{PathOf, QueryOf};
use crate::http::kind;
use crate::http::problem::Problem;

#[derive(Debug, Deserialize)]
pub(crate) struct DeliveryPath {
    pub(crate) registry: String,
    pub(crate) delivery: Uuid,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    pub(crate) cursor: Option<String>,
    pub(crate) limit: Option<u32>,
    pub(crate) status: Option<DeliveryStatus>,
    pub(crate) hook: Option<String>,
}

/// List deliveries, newest first.
#[utoipa::path(get, path = "/v1/registries/{registry}/deliveries", tag = "hooks", operation_id = "listDeliveries",
    params(
        ("registry" = String, Path, example = "local"),
        ("status" = Option<DeliveryStatusWord>, Query, description = "Only those that stand there"),
        ("hook" = Option<String>, Query, description = "Only those of the hook of that name"),
        ("limit" = Option<u32>, Query, description = "Deliveries on a page, 20 when absent", minimum = 1, maximum = 200),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")
    ),
    responses(
        (status = 200, description = "A page, without their content", body = DeliveryPage, headers(
            ("Link" = Option<String>, description = "The next page, `rel=\"next\"`; absent on the last one")
        )),
        (status = 404, description = "`registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list_deliveries(
    State(app): State<App>,
    PathOf(registry): PathOf<String>,
    QueryOf(query): QueryOf<ListQuery>,
) -> Result<Response, Problem> {
    let registry = find_registry(&app, &registry).await?;
    let limit = limit(query.limit)?;
    let page = page(&app, &registry.name, &query).await?;
    let link = page.next_cursor.as_ref().map(|next| {
        let address = format!("/v1/registries/{}/deliveries", registry.name);
        let filters = [("status", query.status.map(DeliveryStatus::as_str)), ("hook", query.hook.as_deref())];
        cursor::link(&address, limit, &filters, next)
    });
    Ok((link.unwrap_or_default(), Json(page)).into_response())
}

/// A page of a registry's deliveries.
pub(crate) async fn page(app: &App, registry: &str, query: &ListQuery) -> Result<DeliveryPage, Problem> {
    let limit = limit(query.limit)?;
    let cursor = query.cursor.as_deref().map(cursor::read).transpose()?.map(|run| DeliveryId(run.0));
    let mut rows = app
        .database
        .list_deliveries(registry, query.status, query.hook.as_deref(), cursor, limit + 1)
        .await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| more).map(|row| cursor::write(model::RunId(row.id.0)));
    Ok(DeliveryPage { deliveries: rows.into_iter().map(Into::into).collect(), next_cursor })
}

/// Look at a delivery.
///
/// With what was sent. Of its headers those alone that say something of the delivery: others may hold a secret.
#[utoipa::path(get, path = "/v1/registries/{registry}/deliveries/{delivery}", tag = "hooks", operation_id = "getDelivery",
    params(("registry" = String, Path, example = "local"), ("delivery" = Uuid, Path)),
    responses(
        (status = 200, description = "The delivery, its content, and what was decided", body = Delivery),
        (status = 404, description = "`delivery_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_delivery(
    State(app): State<App>,
    PathOf(path): PathOf<DeliveryPath>,
) -> Result<Json<Delivery>, Problem> {
    let registry = find_registry(&app, &path.registry).await?;
    let found = app.database.get_delivery(&registry.name, DeliveryId(path.delivery)).await?;
    let (row, DeliveryContent { headers, body }) = found.ok_or_else(|| not_found(path.delivery))?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Json(Delivery { headers: Some(headers), body: Some(body), ..row.into() }))
}

/// Have a delivery worked off again.
///
/// With the tasks as they are now. A task that has a run for the commit gets no second one.
#[utoipa::path(post, path = "/v1/registries/{registry}/deliveries/{delivery}/replay", tag = "hooks", operation_id = "replayDelivery",
    params(("registry" = String, Path, example = "local"), ("delivery" = Uuid, Path)),
    responses(
        (status = 202, description = "It waits to be worked off", body = Delivery),
        (status = 404, description = "`delivery_not_found` or `registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn replay_delivery(
    State(app): State<App>,
    PathOf(path): PathOf<DeliveryPath>,
) -> Result<(StatusCode, Json<Delivery>), Problem> {
    let registry = find_registry(&app, &path.registry).await?;
    let id = DeliveryId(path.delivery);
    if !app.database.replay_delivery(&registry.name, id).await? {
        return Err(not_found(path.delivery));
    }
    app.inbox.notify_one();
    let found = app.database.get_delivery(&registry.name, id).await?;
    let (row, _) = found.ok_or_else(|| not_found(path.delivery))?;
    Ok((StatusCode::ACCEPTED, Json(row.into())))
}

fn not_found(delivery: Uuid) -> Problem {
    let detail = format!("There is no delivery {delivery} in this registry.");
    Problem::new(
        &kind::DELIVERY_NOT_FOUND,
        detail,
        "`slipway delivery list` shows those that are kept; one goes with its hook, and with its age.",
    )
}

impl From<DeliveryRow> for Delivery {
    fn from(row: DeliveryRow) -> Self {
        let DeliveryRow {
            id,
            hook,
            sender_id,
            event,
            received_at,
            status,
            summary,
            decisions,
            worked_at,
            size,
            ..
        } = row;
        let (headers, body) = (None, None);
        Self {
            id,
            hook,
            sender_id,
            event,
            received_at,
            status,
            summary,
            decisions,
            worked_at,
            size,
            headers,
            body,
        }
    }
}
