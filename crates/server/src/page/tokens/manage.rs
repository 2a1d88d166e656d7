//! Tokens that are made and ended. The text of one stands in the answer that made it, and nowhere afterwards.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use model::Role;
use serde_json::Map;
use uuid::Uuid;

use crate::App;
use crate::http::auth::Caller;
use crate::http::extract::{JsonOf, PathOf};
use crate::http::problem::Problem;
use crate::page::form::{Field, Form, Values, done, read, show_once};
use crate::page::registries::choose;
use crate::routes::tokens::{create_token, delete_token, get_token};

const PLACE: &str = "/tokens";
/// Seconds until it ends, in words.
const ENDS: [(&str, &str); 6] = [
    ("7776000", "in 90 days"),
    ("86400", "in a day"),
    ("604800", "in a week"),
    ("2592000", "in 30 days"),
    ("31536000", "in a year"),
    ("", "never"),
];

/// `GET /new-token`
pub(crate) async fn new(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    blank(&app, &caller).await?.ask(&app, caller).await
}

/// `POST` to the same.
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    sent: Values,
) -> Result<Response, Problem> {
    let made = async {
        let mut body = Map::from_iter([
            ("name".to_owned(), sent.line("name").into()),
            ("role".to_owned(), sent.line("role").into()),
        ]);
        body.extend(sent.optional("registry").map(|name| ("registry".to_owned(), name.into())));
        let ends = sent.number("expires_in_seconds")?;
        body.extend(ends.map(|seconds| ("expires_in_seconds".to_owned(), seconds.into())));
        create_token(State(app.clone()), caller.clone(), JsonOf(read(body)?)).await
    };
    match made.await {
        Ok((_, Json(token))) => {
            let title = format!("The token {} was made", token.name);
            let intro = "Copy it now: it is shown this once, and nowhere afterwards.";
            let texts = vec![("Token", token.token.unwrap_or_default())];
            let next = ("/tokens".to_owned(), "Tokens".to_owned());
            show_once(&app, caller, PLACE, title, intro, texts, next).await
        }
        Err(problem) => blank(&app, &caller).await?.filled(&sent).refused(&app, caller, problem).await,
    }
}

/// `GET /tokens/{token}/delete`: asks.
pub(crate) async fn ask_to_delete(
    State(app): State<App>,
    caller: Caller,
    PathOf(token): PathOf<Uuid>,
) -> Result<Response, Problem> {
    removal(&app, &caller, token).await?.ask(&app, caller).await
}

/// `POST` to the same.
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller,
    PathOf(token): PathOf<Uuid>,
) -> Result<Response, Problem> {
    let form = removal(&app, &caller, token).await?;
    match delete_token(State(app.clone()), caller.clone(), PathOf(token)).await {
        Ok(_) => Ok(done("/tokens")),
        Err(problem) => form.refused(&app, caller, problem).await,
    }
}

async fn blank(app: &App, caller: &Caller) -> Result<Form, Problem> {
    let all = choose(app, caller, "").await?.all.into_iter().map(|name| (name.clone(), name));
    let every = [(String::new(), "every one".to_owned())].into_iter();
    // Who administers one registry makes tokens for that one.
    let every = every.filter(|_| caller.registry().is_none());
    Ok(Form::new(PLACE, "New token", ("/tokens", "Tokens"), "Make the token").group(
        "",
        [
            Field::line("name", "Name").help("Who or what will use it.").required(),
            Field::choice("role", "Role", Role::ALL.map(|role| (role.as_str(), role.as_str()))).help(
                "A reader looks; a submitter starts and cancels runs; a contributor changes tasks, hooks and \
                 credentials; an administrator registries and tokens.",
            ),
            Field::choice("registry", "Registry", every.chain(all)),
            Field::choice("expires_in_seconds", "It ends", ENDS),
        ],
    ))
}

async fn removal(app: &App, caller: &Caller, token: Uuid) -> Result<Form, Problem> {
    let Json(token) = get_token(State(app.clone()), caller.clone(), PathOf(token)).await?;
    let title = format!("End the token {}?", token.name);
    let intro = format!("It begins with {}. The next request with it is refused.", token.shown);
    Ok(Form::new(PLACE, title, ("/tokens", "Tokens"), "End the token").confirm(intro))
}
