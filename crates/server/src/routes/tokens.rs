//! `/v1/tokens`: who may do what.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use database::{NewToken as NewRow, TokenRow};
use model::{Role, TokenId};
use uuid::Uuid;

use super::lookup::find_registry;
use crate::App;
use crate::api::{NewToken, Token, TokenList};
use crate::http::auth::Caller;
use crate::http::extract::{JsonOf, PathOf};
use crate::http::kind;
use crate::http::problem::Problem;

/// List tokens.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", operation_id = "listTokens",
    responses((status = 200, description = "Those of the registries that the token administers, without their text", body = TokenList)))]
pub(crate) async fn list_tokens(State(app): State<App>, caller: Caller) -> Result<Json<TokenList>, Problem> {
    let tokens = app.database.list_tokens(caller.registry()).await?;
    Ok(Json(TokenList { tokens: tokens.into_iter().map(Into::into).collect() }))
}

/// Make a token.
///
/// Its text is in this answer, and nowhere afterwards.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", operation_id = "createToken",
    request_body = NewToken,
    responses(
        (status = 201, description = "Made", body = Token),
        (status = 404, description = "`registry_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`token_invalid`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create_token(
    State(app): State<App>,
    caller: Caller,
    JsonOf(new): JsonOf<NewToken>,
) -> Result<(StatusCode, Json<Token>), Problem> {
    caller.check(Role::Administrator, new.registry.as_deref())?;
    let refuse = |field: &str, message: &str, hint: &str| {
        Err(Problem::new(&kind::TOKEN_INVALID, message, hint).in_field(field))
    };
    if new.name.trim().is_empty() || new.name.chars().count() > 100 || new.name.chars().any(char::is_control)
    {
        return refuse(
            "name",
            "That is no name for a token.",
            "1 to 100 printable characters: who or what will use it.",
        );
    }
    if new.expires_in_seconds.is_some_and(|seconds| !(1..=315_360_000).contains(&seconds)) {
        return refuse(
            "expires_in_seconds",
            "That time is not possible.",
            "1 second to 10 years; leave it out for ever.",
        );
    }
    if app.database.would_outlive(caller.id(), new.expires_in_seconds).await? {
        return refuse(
            "expires_in_seconds",
            "It would outlive the token that makes it.",
            "Give it a time that ends before, or make it with a token that lasts.",
        );
    }
    if let Some(registry) = &new.registry {
        find_registry(&app, registry).await?;
    }
    let token = vault::Token::random().map_err(|error| {
        let hint = "Look at the machine: nothing that is secret can be made without them.";
        Problem::new(&kind::INTERNAL, format!("The system gives no random bytes: {error}."), hint)
    })?;
    let row = NewRow {
        name: new.name,
        hash: token.hash,
        shown: token.shown,
        role: new.role,
        registry: new.registry,
        created_by: Some(caller.name().to_owned()),
        expires_in_seconds: new.expires_in_seconds,
    };
    let made = app.database.create_token(&row).await?;
    let made = Token { token: Some(token.text.expose().to_owned()), ..made.into() };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Look at a token.
#[utoipa::path(get, path = "/v1/tokens/{token}", tag = "tokens", operation_id = "getToken",
    params(("token" = Uuid, Path)),
    responses(
        (status = 200, description = "Without its text", body = Token),
        (status = 404, description = "`token_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get_token(
    State(app): State<App>,
    caller: Caller,
    PathOf(token): PathOf<Uuid>,
) -> Result<Json<Token>, Problem> {
    find(&app, &caller, TokenId(token)).await.map(|row| Json(row.into()))
}

/// End a token.
///
/// The next request with it is refused.
#[utoipa::path(delete, path = "/v1/tokens/{token}", tag = "tokens", operation_id = "deleteToken",
    params(("token" = Uuid, Path)),
    responses(
        (status = 204, description = "Ended"),
        (status = 404, description = "`token_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "`in_use`: it is the token of this request", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn delete_token(
    State(app): State<App>,
    caller: Caller,
    PathOf(token): PathOf<Uuid>,
) -> Result<StatusCode, Problem> {
    let token = find(&app, &caller, TokenId(token)).await?;
    if token.id == caller.id() {
        return Err(Problem::new(
            &kind::IN_USE,
            "This request was made with that very token.",
            "Make another first (`slipway token create NAME --role administrator`), and end this one with it.",
        ));
    }
    app.database.delete_token(token.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(app: &App, caller: &Caller, token: TokenId) -> Result<TokenRow, Problem> {
    let found = app.database.get_token(token).await?;
    let seen =
        found.filter(|row| caller.registry().is_none() || row.registry.as_deref() == caller.registry());
    seen.ok_or_else(|| {
        Problem::new(
            &kind::TOKEN_NOT_FOUND,
            format!("There is no token {token}."),
            "`slipway token list` lists them, and so does the page; by REST, GET /v1/tokens.",
        )
    })
}

impl From<TokenRow> for Token {
    fn from(row: TokenRow) -> Self {
        let TokenRow {
            id,
            name,
            shown,
            role,
            registry,
            created_at,
            created_by,
            expires_at,
            last_used_at,
            ..
        } = row;
        Self {
            id,
            name,
            shown,
            role,
            registry,
            created_at,
            created_by,
            expires_at,
            last_used_at,
            token: None,
        }
    }
}
