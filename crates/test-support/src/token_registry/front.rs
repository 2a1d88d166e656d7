//! What stands before the real registry. In: its requests. Out: its answers, or 401 where a token has ended or
//! was revoked: the real one lets tokens live a minute longer, and can't revoke.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::House;

/// Of one connection, not of the message.
const OURS: [HeaderName; 3] = [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING];

pub(super) async fn pass(State(house): State<Arc<House>>, request: Request) -> Response {
    if let Some(token) = bearer(request.headers()) {
        let is_revoked = house.state().revoked.iter().any(|revoked| revoked == token);
        if is_revoked || house.signer.claims(token).is_none() {
            house.state().refused += 1;
            return ended(&house);
        }
    }
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let has_body = head.headers.contains_key(header::CONTENT_LENGTH)
        || head.headers.contains_key(header::TRANSFER_ENCODING);
    let mut passed = house.http.request(head.method, format!("http://{}{path}", house.behind));
    passed = passed.headers(without_ours(&head.headers));
    if has_body {
        passed = passed.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    match passed.send().await {
        Ok(answer) => {
            let (status, headers) = (answer.status(), without_ours(answer.headers()));
            (status, headers, Body::from_stream(answer.bytes_stream())).into_response()
        }
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn without_ours(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in OURS {
        headers.remove(name);
    }
    headers
}

fn ended(house: &House) -> Response {
    let address = &house.address;
    let challenge = format!(
        "Bearer realm=\"http://{address}/oauth2/token\",service=\"{address}\",error=\"invalid_token\""
    );
    let body = json!({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]});
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)], axum::Json(body)).into_response()
}
