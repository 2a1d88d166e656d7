//! `POST /hooks/{hook}`: a delivery of a git host. It is verified and stored; the inbox works it off.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use database::{HookSecrets, NewDelivery, Received};
use model::{GitHost, HookId};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::hooks::sealed_name;
use crate::App;
use crate::http::extract::PathOf;
use crate::http::intake::{self, Taken};
use crate::http::kind;
use crate::http::problem::Problem;

/// Headers that are kept: what a host says of a delivery, and what it is read by. Any other may hold somebody's
/// secret, such as the key of a gateway that a sender passes.
const KEPT: [&str; 21] = [
    "content-type",
    "user-agent",
    "idempotency-key",
    "webhook-id",
    "webhook-timestamp",
    "x-github-delivery",
    "x-github-event",
    "x-github-event-type",
    "x-github-hook-id",
    "x-github-hook-installation-target-id",
    "x-github-hook-installation-target-type",
    "x-gitea-delivery",
    "x-gitea-event",
    "x-gitea-event-type",
    "x-forgejo-delivery",
    "x-forgejo-event",
    "x-forgejo-event-type",
    "x-gitlab-event",
    "x-gitlab-event-uuid",
    "x-gitlab-instance",
    "x-gitlab-webhook-uuid",
];
/// The same one may come many times.
const HEADERS: usize = 60;
/// Bytes from which on a delivery is verified on a thread of its own.
const ASIDE: usize = 256 * 1024;

/// What became of a delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReceivedBody {
    /// `GET …/deliveries/{delivery}` explains what it started.
    delivery: Uuid,
    /// It came before, under the same id.
    again: bool,
}

/// Deliver an event.
///
/// For git hosts. It is signed as the hook's host signs; no token is needed.
#[utoipa::path(post, path = "/hooks/{hook}", tag = "hooks", operation_id = "receiveDelivery",
    params(("hook" = Uuid, Path)),
    request_body(content = serde_json::Value, content_type = "application/json", description = "As the host sends it; here Azure DevOps",
        example = json!({
            "subscriptionId": "00000000-0000-0000-0000-000000000000", "notificationId": 1, "id": "03c164c2",
            "eventType": "git.push", "publisherId": "tfs", "resource": {},
        })),
    security(()),
    responses(
        (status = 202, description = "Stored; it is worked off at once", body = ReceivedBody),
        (status = 200, description = "It came before", body = ReceivedBody),
        (status = 400, description = "`delivery_unusable`: its sender is known, but it lacks a header or a field", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "`signature_refused`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`hook_not_found`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "`request_timeout`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "`too_many_requests`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`busy`: too many large ones at once", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    ))]
pub(crate) async fn receive(
    State(app): State<App>,
    PathOf(hook): PathOf<Uuid>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let hook = HookId(hook);
    let (found, body) = match admit(&app, hook).await {
        Ok(found) => (found, app.intake.take(hook, &headers, body).await?),
        Err(problem) => {
            intake::throw_away(body);
            return Err(problem);
        }
    };
    let name = sealed_name(hook);
    let secrets = opened(&app, &name, &found.sealed)?;
    let sent = Sent { host: found.hook.host, secrets, headers: as_sent(&headers), body };
    let (sent, verified) = sent.verify(found.now).await?;
    let verified = verified.map_err(|refused| {
        app.metrics.delivered(found.hook.host, "refused");
        let failure = refused.failure();
        tracing::warn!(
            hook = found.hook.name,
            registry = found.hook.registry,
            kind = failure.kind,
            "a delivery was refused"
        );
        let kind = match refused {
            triggers::Refused::Unusable(_) => &kind::DELIVERY_UNUSABLE,
            _ => &kind::SIGNATURE_REFUSED,
        };
        Problem::new(kind, failure.message, failure.hint)
    })?;
    let (body, _reserved) = sent.body.into_parts();
    let new = NewDelivery {
        registry: found.hook.registry,
        hook,
        sender_id: verified.delivery_id,
        event: verified.event,
        headers: sent
            .headers
            .into_iter()
            .filter(|(name, _)| KEPT.contains(&name.as_str()))
            .take(HEADERS)
            .collect(),
        body,
    };
    let (status, delivery, again) = match app.database.receive_delivery(&new).await? {
        Received::New(delivery) => (StatusCode::ACCEPTED, delivery, false),
        Received::Again(delivery) => (StatusCode::OK, delivery, true),
    };
    app.metrics.delivered(found.hook.host, if again { "again" } else { "stored" });
    app.inbox.notify_one();
    Ok((status, Json(ReceivedBody { delivery: delivery.0, again })).into_response())
}

/// The present secret, and the one before where it can be opened: it is of no use to refuse everything for its sake.
fn opened(app: &App, name: &str, sealed: &[Vec<u8>]) -> Result<Vec<vault::Secret>, vault::Error> {
    let mut sealed = sealed.iter().map(|sealed| app.vault.unseal(name, sealed));
    let present = sealed.next().transpose()?;
    let before = sealed.filter_map(|before| {
        before.inspect_err(|error| tracing::warn!(%error, "a hook's old secret can't be opened")).ok()
    });
    Ok(present.into_iter().chain(before).collect())
}

/// A hook that may have another delivery. Nothing of a body is read before, and nothing is remembered of an address
/// at which there is no hook: anybody can make those up.
async fn admit(app: &App, hook: HookId) -> Result<HookSecrets, Problem> {
    let found = app.database.hook_secrets(hook).await?.ok_or_else(unknown)?;
    app.limits.of_hook(hook)?;
    Ok(found)
}

/// A delivery whose sender is not known yet.
struct Sent {
    host: GitHost,
    secrets: Vec<vault::Secret>,
    headers: Vec<(String, String)>,
    body: Taken,
}

impl Sent {
    /// Whether the sender knows a secret. Reading through many megabytes would hold up the other requests of a
    /// thread.
    async fn verify(
        self,
        now: OffsetDateTime,
    ) -> Result<(Self, Result<triggers::Verified, triggers::Refused>), Problem> {
        let is_small = self.body.bytes.len() < ASIDE;
        let verify = move || {
            let secrets: Vec<&str> = self.secrets.iter().map(vault::Secret::expose).collect();
            let delivery = triggers::Delivery { headers: &self.headers, body: &self.body.bytes };
            let verified = triggers::verify(self.host, &secrets, &delivery, now);
            (self, verified)
        };
        if is_small {
            return Ok(verify());
        }
        let verified = tokio::task::spawn_blocking(verify).await;
        verified.map_err(|error| {
            Problem::new(&kind::INTERNAL, format!("The delivery was not verified: {error}."), "")
        })
    }
}

fn as_sent(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

fn unknown() -> Problem {
    Problem::new(
        &kind::HOOK_NOT_FOUND,
        "There is no hook at this address.",
        "`slipway hook create` makes one, and shows its address once.",
    )
}
