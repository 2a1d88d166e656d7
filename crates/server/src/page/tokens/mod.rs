//! `/tokens`: who may do what, and the forms that make and end one.

pub(crate) mod manage;

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;

use crate::App;
use crate::api::Token;
use crate::http::auth::Caller;
use crate::http::problem::Problem;
use crate::page::html::Shown as _;
use crate::page::shell::{Shell, render};
use crate::routes::tokens::list_tokens;

#[derive(Template)]
#[template(path = "tokens.html")]
struct Page {
    shell: Shell,
    tokens: Vec<Token>,
}

impl Page {
    fn has_ended(&self, token: &Token) -> bool {
        token.expires_at.is_some_and(|end| end <= self.shell.now())
    }
}

/// The list.
pub(crate) async fn tokens(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let Json(list) = list_tokens(State(app.clone()), caller.clone()).await?;
    let shell = Shell::new(&app, caller, "/tokens").await?;
    render(&Page { shell, tokens: list.tokens })
}
