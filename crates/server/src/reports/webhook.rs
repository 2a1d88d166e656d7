//! A signed webhook (Standard Webhooks 1.0): `webhook-id`, `webhook-timestamp`, `webhook-signature`.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use database::{OutboxRow, RunRow};
use reqwest::{Method, StatusCode};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use vault::Secret;

use super::{NotSent, page_of, wait_of};
use crate::App;
use crate::api::Image;

/// The request for one event of a run.
pub(crate) fn request(
    app: &App,
    http: &egress::Client,
    row: &OutboxRow,
    run: &RunRow,
    images: &[Image],
    url: &str,
    key: &Secret,
) -> Result<reqwest::RequestBuilder, NotSent> {
    let timestamp = row.taken_at.unix_timestamp().to_string();
    let id = format!("msg_{}", row.id.simple());
    let body = body(app, row, run, images).to_string();
    let signature = sign(key, &id, &timestamp, &body)?;
    Ok(http
        .request(Method::POST, url)
        .header("content-type", "application/json")
        .header("webhook-id", &id)
        .header("webhook-timestamp", &timestamp)
        .header("webhook-signature", signature)
        .body(body))
}

/// What the answer means. A redirect is a failure: the receiver's address is somebody's to correct.
pub(crate) fn heard(answer: &reqwest::Response, now: OffsetDateTime) -> Result<(), NotSent> {
    match answer.status() {
        status if status.is_success() => Ok(()),
        StatusCode::GONE => Err(NotSent::Gone),
        // Whatever else it is: a receiver may be mended.
        status => {
            let wait = wait_of(answer.headers(), now);
            Err(NotSent::Later { why: format!("it answered {status}"), wait })
        }
    }
}

/// `type`, `timestamp` and `data`, as Standard Webhooks recommends. The run is as it is now: a receiver
/// that hears of an earlier event later sees by its status that it has moved on. Images are as REST shows them: with
/// their digest once pushed, and with `tag_skipped` where a newer run has the tag.
fn body(app: &App, row: &OutboxRow, run: &RunRow, images: &[Image]) -> serde_json::Value {
    json!({
        "type": row.event,
        "timestamp": row.created_at.format(&Rfc3339).unwrap_or_default(),
        "data": {
            "run": run.id, "registry": run.registry, "task": run.task, "status": run.status, "attempt": run.attempt,
            "cause": run.cause.word(), "images": images, "digest": run.digest,
            "commit": run.revision.as_ref().map(|revision| &revision.commit),
            "failure": run.failure.as_ref().map(|failure| json!({
                "kind": failure.kind, "blame": failure.blame, "message": failure.message,
            })),
            "url": page_of(app, run),
        },
    })
}

/// `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64.
fn sign(key: &Secret, id: &str, timestamp: &str, body: &str) -> Result<String, NotSent> {
    let key = key.expose().strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok());
    let key =
        key.ok_or_else(|| NotSent::Never("its credential is no key of Standard Webhooks".to_owned()))?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_the_specification_holds() {
        // standard-webhooks, spec: "Signature scheme", example.
        let key = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signed.expect("signed"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
