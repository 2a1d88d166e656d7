//! Identities of a machine: `/metadata/identity/oauth2/token` as the metadata service has it, `/msi/token` as
//! App Service has it (`IDENTITY_ENDPOINT`). In: a resource, perhaps a client id. Out: Entra's token.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::World;
use super::jwt::unix;

/// What App Service gives the app in `IDENTITY_HEADER`.
pub const IDENTITY_HEADER: &str = "the-app-service-header";

type Parameters = Query<HashMap<String, String>>;

pub(crate) fn routes(world: Arc<World>) -> Router {
    Router::new()
        .route("/metadata/identity/oauth2/token", get(metadata_service))
        .route("/msi/token", get(app_service))
        .with_state(world)
}

async fn metadata_service(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    query: Parameters,
) -> Response {
    if let Some(busy) = world.arrives("imds") {
        return busy;
    }
    let metadata = headers.get("metadata").and_then(|value| value.to_str().ok());
    if !metadata.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return refused("invalid_request", "Required metadata header not specified");
    }
    let versions = ["2018-02-01", "2019-08-01", "2020-06-01", "2021-02-01"];
    token(&world, &query, &versions)
}

async fn app_service(State(world): State<Arc<World>>, headers: HeaderMap, query: Parameters) -> Response {
    if let Some(busy) = world.arrives("app_service") {
        return busy;
    }
    if headers.get("x-identity-header").is_none_or(|value| value != IDENTITY_HEADER) {
        return (StatusCode::UNAUTHORIZED, Json(json!({"statusCode": 401, "message": "Unauthorized"})))
            .into_response();
    }
    token(&world, &query, &["2019-08-01"])
}

fn token(world: &World, query: &HashMap<String, String>, versions: &[&str]) -> Response {
    let version = query.get("api-version").map(String::as_str);
    if !version.is_some_and(|version| versions.contains(&version)) {
        return refused("invalid_request", "Required query variable 'api-version' is missing or unsupported");
    }
    let Some(resource) = query.get("resource").filter(|resource| resource.starts_with("https://")) else {
        return refused(
            "invalid_resource",
            "AADSTS50001: The resource principal was not found in the tenant",
        );
    };
    let principals = world.state().principals.clone();
    let meant = match query.get("client_id") {
        Some(id) => principals.iter().find(|known| known.is_assigned && known.client_id == *id),
        None => principals.iter().find(|known| known.is_assigned && known.is_system),
    };
    let Some(principal) = meant.filter(|principal| !principal.is_revoked) else {
        return refused("invalid_request", "Identity not found");
    };
    let (token, life) = world.token(&principal.client_id, resource);
    let now = unix(SystemTime::now());
    Json(json!({
        "access_token": token, "client_id": principal.client_id, "resource": resource, "token_type": "Bearer",
        "expires_in": life.as_secs().to_string(), "ext_expires_in": life.as_secs().to_string(),
        "expires_on": (now + life.as_secs()).to_string(), "not_before": now.to_string(),
    }))
    .into_response()
}

fn refused(error: &str, description: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": error, "error_description": description}))).into_response()
}
