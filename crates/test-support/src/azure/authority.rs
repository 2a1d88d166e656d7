//! Entra's `/{tenant}/oauth2/v2.0/token`, for clients with a secret or a federated token. In: a form. Out: a
//! token, or an AADSTS code.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Form, Json, Router};
use serde_json::json;

use super::{Principal, World};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(crate) fn routes(world: Arc<World>) -> Router {
    Router::new().route("/{tenant}/oauth2/v2.0/token", post(token)).with_state(world)
}

async fn token(
    State(world): State<Arc<World>>,
    Path(tenant): Path<String>,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    if let Some(busy) = world.arrives("authority") {
        return busy;
    }
    if tenant != world.tenant {
        return refused(
            400,
            "invalid_request",
            90002,
            "Tenant not found. Check to make sure you have the correct tenant ID",
        );
    }
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if field("grant_type") != "client_credentials" {
        return refused(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type");
    }
    let Some(resource) = field("scope").strip_suffix("/.default") else {
        return refused(
            400,
            "invalid_scope",
            70011,
            "The provided value for the input parameter 'scope' is not valid",
        );
    };
    let principals = world.state().principals.clone();
    let Some(principal) = principals.iter().find(|known| known.client_id == field("client_id")) else {
        return refused(400, "unauthorized_client", 700_016, "Application was not found in the directory");
    };
    if let Some(refusal) = refusal(principal, &form) {
        return refusal;
    }
    let (token, life) = world.token(&principal.client_id, resource);
    let life = life.as_secs();
    Json(json!({"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token}))
        .into_response()
}

fn refusal(principal: &Principal, form: &HashMap<String, String>) -> Option<Response> {
    let (secret, assertion) = (form.get("client_secret"), form.get("client_assertion"));
    let is_typed = form.get("client_assertion_type").is_some_and(|kind| kind == ASSERTION_TYPE);
    match (secret, assertion) {
        _ if principal.is_revoked => {
            Some(refused(401, "invalid_client", 7_000_112, "Application is disabled"))
        }
        (Some(secret), _) if principal.secret.as_ref() == Some(secret) => None,
        (Some(_), _) => Some(refused(401, "invalid_client", 7_000_215, "Invalid client secret provided")),
        (_, Some(token)) if is_typed && principal.assertion.as_ref() == Some(token) => None,
        (_, Some(_)) => Some(refused(
            401,
            "invalid_client",
            700_024,
            "Client assertion is not within its valid time range",
        )),
        _ => Some(refused(
            401,
            "invalid_client",
            7_000_218,
            "The request body must contain a secret or an assertion",
        )),
    }
}

fn refused(status: u16, error: &str, code: u32, words: &str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    let description = format!("AADSTS{code}: {words}. Trace ID: 0 Correlation ID: 0 Timestamp: 0");
    let body =
        json!({"error": error, "error_description": description, "error_codes": [code], "trace_id": "0"});
    (status, Json(body)).into_response()
}
