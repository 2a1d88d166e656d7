//! `/problems`: where the `type` of every problem leads.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::shell::{Shell, render};
use crate::App;
use crate::http::auth::Caller;
use crate::http::kind::{self, Kind};
use crate::http::problem::Problem;

#[derive(Template)]
#[template(path = "problems.html")]
struct Page {
    shell: Shell,
    kinds: &'static [&'static Kind],
}

/// Every kind with its status and title.
pub(crate) async fn problems(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let shell = Shell::new(&app, caller, "").await?;
    render(&Page { shell, kinds: kind::ALL })
}
