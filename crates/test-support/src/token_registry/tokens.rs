//! The token server. In: `POST /oauth2/exchange` and `POST /oauth2/token` as Azure documents them (Azure/acr,
//! `docs/AAD-OAuth.md`), `GET /oauth2/token` as Docker does. Out: JWTs of the documented shape with the rights
//! that are both asked for and given; every field is required and checked.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{House, ISSUER};

type Fields = Vec<(String, String)>;

const AUDIENCES: [&str; 3] =
    ["https://containerregistry.azure.net", "https://management.azure.com", "https://management.azure.com/"];
const REFRESH_LIFE: Duration = Duration::from_secs(10_800);

pub(super) fn routes() -> Router<Arc<House>> {
    Router::new()
        .route("/oauth2/exchange", post(exchange))
        .route("/oauth2/token", get(by_password).post(by_refresh))
}

async fn exchange(State(house): State<Arc<House>>, Form(form): Form<Fields>) -> Response {
    if let Some(busy) = arrives(&house, "exchange") {
        return busy;
    }
    let Some(azure) = &house.azure else { return StatusCode::NOT_FOUND.into_response() };
    if field(&form, "grant_type") != "access_token" || field(&form, "service") != house.address {
        return refused(400, "UNSUPPORTED", "grant_type and service have to be given");
    }
    let Some(claims) = azure.signer.claims(field(&form, "access_token")) else {
        return refused(401, "UNAUTHORIZED", "authentication required: the token is not valid");
    };
    let (tenant, said) = (house.state().tenant.clone(), field(&form, "tenant"));
    let is_for_us = claims["aud"].as_str().is_some_and(|audience| AUDIENCES.contains(&audience));
    if !is_for_us || claims["tid"].as_str() != Some(said) || tenant.as_deref() != Some(said) {
        return refused(401, "UNAUTHORIZED", "authentication required: wrong audience or tenant");
    }
    let subject = &claims["appid"];
    let claims = json!({
        "iss": ISSUER, "aud": house.address, "sub": subject, "version": "1.0", "rid": "0",
        "grant_type": "refresh_token", "tenant": said, "appid": subject,
        "permissions": {"actions": ["read", "write"], "notActions": []}, "roles": [],
    });
    Json(json!({"refresh_token": issue(&house, claims, REFRESH_LIFE)})).into_response()
}

async fn by_refresh(State(house): State<Arc<House>>, Form(form): Form<Fields>) -> Response {
    if let Some(busy) = arrives(&house, "token") {
        return busy;
    }
    if field(&form, "grant_type") != "refresh_token" || field(&form, "service") != house.address {
        return refused(400, "UNSUPPORTED", "grant_type and service have to be given");
    }
    let token = field(&form, "refresh_token");
    let is_revoked = house.state().revoked.iter().any(|revoked| revoked == token);
    let claims =
        house.signer.claims(token).filter(|claims| claims["grant_type"] == "refresh_token" && !is_revoked);
    let Some(claims) = claims else { return refused(401, "UNAUTHORIZED", "authentication required") };
    let Some(access) = granted(&house, claims["sub"].as_str(), &form) else {
        return refused(400, "UNSUPPORTED", "a scope has to be given");
    };
    Json(json!({"access_token": access_token(&house, &claims["sub"], &access)})).into_response()
}

async fn by_password(
    State(house): State<Arc<House>>,
    headers: HeaderMap,
    Query(query): Query<Fields>,
) -> Response {
    if let Some(busy) = arrives(&house, "token") {
        return busy;
    }
    if field(&query, "service") != house.address {
        return refused(400, "UNSUPPORTED", "service has to be given");
    }
    let Ok(user) = user(&house, &headers, &query) else {
        return refused(401, "UNAUTHORIZED", "authentication required");
    };
    let Some(access) = granted(&house, user.as_deref(), &query) else {
        return refused(400, "UNSUPPORTED", "a scope has to be given");
    };
    let token = access_token(&house, &json!(user), &access);
    let life = house.state().access_life.as_secs();
    Json(json!({"token": token, "access_token": token, "expires_in": life})).into_response()
}

/// Who asks with user and password; nobody in particular without them.
fn user(house: &House, headers: &HeaderMap, query: &Fields) -> Result<Option<String>, ()> {
    let Some(header) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let encoded = header.to_str().ok().and_then(|header| header.strip_prefix("Basic ")).ok_or(())?;
    let pair = String::from_utf8(STANDARD.decode(encoded).map_err(|_| ())?).map_err(|_| ())?;
    let (user, password) = pair.split_once(':').ok_or(())?;
    let is_known = house.state().users.get(user).is_some_and(|known| known == password);
    (is_known && field(query, "account") == user).then(|| Some(user.to_owned())).ok_or(())
}

/// What is asked for and given, in the form of the `access` claim; none without a scope.
fn granted(house: &House, who: Option<&str>, fields: &Fields) -> Option<Value> {
    let scopes: Vec<String> =
        fields.iter().filter(|(name, _)| name == "scope").map(|(_, value)| value.clone()).collect();
    let mut state = house.state();
    state.asked.push(scopes.clone());
    let mut access = Vec::new();
    for scope in &scopes {
        let (repository, asked) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
        let rights = state.rights.get(&(who.unwrap_or_default().to_owned(), repository.to_owned()));
        let given: Vec<&str> = asked
            .split(',')
            .filter(|action| rights.is_some_and(|rights| rights.iter().any(|right| right == action)))
            .collect();
        if !given.is_empty() {
            access.push(json!({"type": "repository", "name": repository, "actions": given}));
        }
    }
    (!scopes.is_empty()).then(|| json!(access))
}

fn access_token(house: &House, subject: &Value, access: &Value) -> String {
    let life = house.state().access_life;
    let claims = json!({
        "iss": ISSUER, "aud": house.address, "sub": subject, "version": "1.0", "rid": "0",
        "grant_type": "access_token", "access": access,
    });
    issue(house, claims, life)
}

fn issue(house: &House, claims: Value, life: Duration) -> String {
    let token = house.signer.token(claims, life);
    house.state().issued.push(token.clone());
    token
}

fn arrives(house: &House, what: &'static str) -> Option<Response> {
    let mut state = house.state();
    *state.counts.entry(what).or_default() += 1;
    let status = StatusCode::from_u16(state.busy.get_mut(what)?.pop_front()?).expect("a status");
    Some((status, [("retry-after", "0")], "busy").into_response())
}

/// The only value of a field; none where it is not there or there twice.
fn field<'a>(fields: &'a Fields, name: &str) -> &'a str {
    let mut values = fields.iter().filter(|(field, _)| field == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => value,
        _ => "",
    }
}

fn refused(status: u16, code: &str, words: &str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, Json(json!({"errors": [{"code": code, "message": words}]}))).into_response()
}
