//! Who sent a delivery: its headers and raw body in, its id and kind out, or why it is not believed.
//!
//! Each hook has one kind of host, and only that host's headers are looked at. Absent: reading what
//! the delivery tells (`hosts`), and remembering which ids were seen.

use base64::Engine;
use model::GitHost;
use time::OffsetDateTime;

use crate::fields::Field;
use crate::signature::{BASE64, check_hex, check_password, check_standard};
use crate::{Delivery, Refused};

/// A sender that knows a secret, and what it says it sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// The same when the host sends a delivery again.
    pub delivery_id: String,
    /// The host's word for the kind of event; for [`crate::read`].
    pub event: String,
}

/// Believes a delivery or refuses it. Any of `secrets` may fit: there are two while one is changed.
///
/// A secret is what `host` is given: the key of an HMAC for GitHub and Gitea, the token or the signing
/// key for GitLab, the password of basic authentication for Azure DevOps, `whsec_…` for the standard.
///
/// # Errors
/// No signature, a wrong or an old one, or headers that are not this host's.
pub fn verify(
    host: GitHost,
    secrets: &[&str],
    delivery: &Delivery<'_>,
    now: OffsetDateTime,
) -> Result<Verified, Refused> {
    let (delivery_id, event) = match host {
        GitHost::Github => github(secrets, delivery),
        GitHost::Gitea => gitea(secrets, delivery),
        GitHost::Gitlab => gitlab(secrets, delivery, now),
        GitHost::AzureDevops => azure_devops(secrets, delivery),
        GitHost::Standard => standard(secrets, delivery, now),
    }?;
    if delivery_id.chars().count() > 200 {
        return Err(Refused::Unusable("The delivery's id is longer than 200 characters.".to_owned()));
    }
    let event = event.chars().take(LONGEST_EVENT).collect();
    Ok(Verified { delivery_id, event })
}

/// Characters of the host's word for an event: those that start something are short.
const LONGEST_EVENT: usize = 100;

/// What a sender that is known has to say besides.
fn told<'a>(delivery: &Delivery<'a>, names: &[&str]) -> Result<&'a str, Refused> {
    delivery.need_header(names).map_err(|refused| Refused::Unusable(refused.to_string()))
}

type IdAndEvent = (String, String);

fn both(delivery_id: &str, event: &str) -> IdAndEvent {
    (delivery_id.to_owned(), event.to_owned())
}

/// docs.github.com, "Validating webhook deliveries" and "Webhook events and payloads", delivery headers.
fn github(secrets: &[&str], delivery: &Delivery<'_>) -> Result<IdAndEvent, Refused> {
    let header = delivery.header("x-hub-signature-256")?.ok_or(Refused::Unsigned)?;
    let wrong =
        || Refused::Malformed("The header `x-hub-signature-256` does not begin with `sha256=`.".into());
    let signature = header.strip_prefix("sha256=").ok_or_else(wrong)?;
    if signature.is_empty() {
        return Err(Refused::Unsigned);
    }
    check_hex(signature, secrets, &[delivery.body])?;
    // Gitea and Forgejo send GitHub's headers as well, and mean something else by the same payload.
    if delivery.first_header(&["x-forgejo-event", "x-gitea-event", "x-gogs-event"])?.is_some() {
        let message = "The delivery is Gitea's or Forgejo's, and the hook is one for GitHub.";
        return Err(Refused::Unusable(message.to_owned()));
    }
    Ok(both(told(delivery, &["x-github-delivery"])?, told(delivery, &["x-github-event"])?))
}

/// Gitea, services/webhook/deliver.go: a form is signed by the JSON within it, which is read here.
fn gitea(secrets: &[&str], delivery: &Delivery<'_>) -> Result<IdAndEvent, Refused> {
    let signature = delivery.first_header(&["x-forgejo-signature", "x-gitea-signature"])?;
    let payload = delivery.form_payload();
    let bodies = [delivery.body, payload.as_deref().unwrap_or(delivery.body)];
    check_hex(signature.ok_or(Refused::Unsigned)?, secrets, &bodies)?;
    Ok(both(
        told(delivery, &["x-forgejo-delivery", "x-gitea-delivery"])?,
        told(delivery, &["x-forgejo-event", "x-gitea-event"])?,
    ))
}

/// docs.gitlab.com, "Webhooks", delivery headers and signing tokens.
fn gitlab(secrets: &[&str], delivery: &Delivery<'_>, now: OffsetDateTime) -> Result<IdAndEvent, Refused> {
    if delivery.header("webhook-signature")?.is_some() {
        check_standard(secrets, delivery, now)?;
    } else {
        check_password(delivery.header("x-gitlab-token")?.ok_or(Refused::Unsigned)?, secrets)?;
    }
    let id = told(delivery, &["idempotency-key", "x-gitlab-event-uuid", "webhook-id"])?;
    Ok(both(id, told(delivery, &["x-gitlab-event"])?))
}

/// learn.microsoft.com, "Webhooks with Azure DevOps": nothing is signed; a user name and a password
/// may be set, and everything else is in the body.
fn azure_devops(secrets: &[&str], delivery: &Delivery<'_>) -> Result<IdAndEvent, Refused> {
    check_password(&basic_password(delivery)?, secrets)?;
    let unusable = |unreadable: crate::Unreadable| Refused::Unusable(unreadable.message);
    let json = delivery.json().map_err(unusable)?;
    let root = Field::root(&json);
    let number = root.maybe_number("notificationId").map(|number| number.to_string());
    let parts = [root.maybe_text("subscriptionId"), number.as_deref(), root.maybe_text("id")];
    let id = parts.into_iter().flatten().collect::<Vec<_>>().join(":");
    if id.is_empty() {
        return Err(Refused::Unusable("The delivery's `subscriptionId` is missing.".to_owned()));
    }
    Ok(both(&id, root.text("eventType").map_err(unusable)?))
}

/// The password of basic authentication, by any user. RFC 7617.
fn basic_password(delivery: &Delivery<'_>) -> Result<String, Refused> {
    let header = delivery.header("authorization")?.ok_or(Refused::Unsigned)?;
    let (scheme, value) = header.split_once(' ').unwrap_or((header, ""));
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| BASE64.decode(value.trim()).ok()).flatten();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let password = text.as_deref().and_then(|text| text.split_once(':')).map(|(_, password)| password);
    match password {
        Some("") => Err(Refused::Unsigned),
        Some(password) => Ok(password.to_owned()),
        None => Err(Refused::Malformed("The header `authorization` is not basic authentication.".to_owned())),
    }
}

/// A sender of ours has one kind of event.
fn standard(secrets: &[&str], delivery: &Delivery<'_>, now: OffsetDateTime) -> Result<IdAndEvent, Refused> {
    check_standard(secrets, delivery, now)?;
    Ok(both(told(delivery, &["webhook-id"])?, "push"))
}
