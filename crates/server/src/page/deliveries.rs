//! `/deliveries`: what git hosts sent and what became of it; one of them with what was sent.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use database::DeliveryStatus;
use serde::Deserialize;

use super::html::{Shown as _, bytes};
use super::registries::{Choice, choose};
use super::shell::{Shell, render};
use super::view::{delivery_address, run_address, task_address};
use crate::App;
use crate::api::Delivery;
use crate::http::auth::Caller;
use crate::http::extract::{PathOf, QueryOf};
use crate::http::kind;
use crate::http::problem::Problem;
use crate::routes::deliveries::{self as list, DeliveryPath, ListQuery, get_delivery};

/// Deliveries on a page.
const SHOWN: u32 = 50;
/// Bytes of a body that are shown.
const BODY: usize = 256 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveriesQuery {
    #[serde(default)]
    registry: String,
    #[serde(default)]
    status: String,
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "deliveries.html")]
struct List {
    shell: Shell,
    choice: Choice,
    status: String,
    deliveries: Vec<Delivery>,
    older: Option<String>,
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct One {
    shell: Shell,
    registry: String,
    delivery: Delivery,
    /// What is shown of it.
    body: String,
}

impl List {
    fn statuses() -> [&'static str; 4] {
        use DeliveryStatus::{Failed, Ignored, Matched, Received};
        [Received, Matched, Ignored, Failed].map(DeliveryStatus::as_str)
    }

    fn same(one: &str, other: &str) -> bool {
        one == other
    }

    fn address(&self, delivery: &Delivery) -> String {
        let registry = self.choice.chosen.as_deref().unwrap_or_default();
        delivery_address(registry, &delivery.id.to_string())
    }
}

impl One {
    fn address(&self) -> String {
        delivery_address(&self.registry, &self.delivery.id.to_string())
    }

    fn run(&self, run: &model::RunId) -> String {
        run_address(&self.registry, &run.to_string())
    }

    fn task(&self, task: &str) -> String {
        task_address(&self.registry, task)
    }

    fn size(&self) -> String {
        bytes(self.delivery.size)
    }

    fn is_cut(&self) -> bool {
        self.delivery.body.as_ref().is_some_and(|body| body.len() > BODY)
    }
}

/// The list.
pub(crate) async fn deliveries(
    State(app): State<App>,
    caller: Caller,
    QueryOf(DeliveriesQuery { registry, status, cursor }): QueryOf<DeliveriesQuery>,
) -> Result<Response, Problem> {
    let choice = choose(&app, &caller, &registry).await?;
    let (mut deliveries, mut older) = (Vec::new(), None);
    if let Some(name) = &choice.chosen {
        let wanted =
            (!status.is_empty()).then(|| status.parse().map_err(|_| unknown_status())).transpose()?;
        let query = ListQuery { cursor, limit: Some(SHOWN), status: wanted, hook: None };
        let page = list::page(&app, name, &query).await?;
        older = page
            .next_cursor
            .map(|cursor| format!("/deliveries?registry={name}&status={status}&cursor={cursor}"));
        deliveries = page.deliveries;
    }
    let shell = Shell::new(&app, caller, "/deliveries").await?;
    render(&List { shell, choice, status, deliveries, older })
}

/// One of them.
pub(crate) async fn delivery(
    State(app): State<App>,
    caller: Caller,
    PathOf(path): PathOf<DeliveryPath>,
) -> Result<Response, Problem> {
    let registry = path.registry.clone();
    let Json(delivery) = get_delivery(State(app.clone()), PathOf(path)).await?;
    let body = shown(delivery.body.as_deref().unwrap_or_default());
    let shell = Shell::new(&app, caller, "/deliveries").await?;
    render(&One { shell, registry, delivery, body })
}

/// JSON with its lines, anything else as it is; the beginning of what is long.
fn shown(body: &str) -> String {
    if body.len() > BODY {
        return body.chars().take(BODY).collect();
    }
    let json = serde_json::from_str::<serde_json::Value>(body);
    json.and_then(|json| serde_json::to_string_pretty(&json)).unwrap_or_else(|_| body.to_owned())
}

fn unknown_status() -> Problem {
    let hint = "Choose one of the statuses in the list.";
    Problem::new(&kind::PARAMETER_INVALID, "That is none of the statuses.", hint).in_field("status")
}
