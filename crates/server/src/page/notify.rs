//! Outgoing webhooks in a form, as a registry and a task both have them.

use model::{CredentialKind, Notify, RunEvent};
use serde_json::{Value, json};

use super::form::{Field, Form, Values};
use crate::api::Credential;

const EVENTS: [(RunEvent, &str, &str); 3] = [
    (RunEvent::Queued, "run.queued", "A run waits"),
    (RunEvent::Started, "run.started", "A run begins"),
    (RunEvent::Finished, "run.finished", "A run ends"),
];

/// A group for each that is there, and one more.
pub(crate) fn groups(mut form: Form, values: &Values, credentials: &[Credential]) -> Form {
    let there = values.count("notify");
    for slot in 0..=there {
        let name = |field: &str| format!("notify[{slot}].{field}");
        let mut fields = vec![
            Field::line(name("url"), "Address").help("http or https, without user and password."),
            credential(name("credential"), "Signed with", CredentialKind::Webhook, credentials),
        ];
        let event = |(_, word, label): (RunEvent, &str, &'static str)| {
            Field::check(name(&format!("events.{word}")), label)
        };
        fields.extend(EVENTS.map(event));
        if slot < there {
            fields.push(Field::check(name("remove"), "Remove this webhook"));
            form = form.group(format!("Webhook {}", slot + 1), fields);
        } else {
            form = form.folded("Tell somebody by a webhook (no tick: every event)", fields);
        }
    }
    form
}

/// What the form is filled with.
pub(crate) fn fill(values: &mut Values, notify: &[Notify]) {
    for (slot, Notify { url, credential, events }) in notify.iter().enumerate() {
        values.set(format!("notify[{slot}].url"), url);
        values.set(format!("notify[{slot}].credential"), credential);
        for (event, word, _) in EVENTS {
            values.check(format!("notify[{slot}].events.{word}"), events.contains(&event));
        }
    }
}

/// As the API takes it, of a form whose empty ones are left out.
pub(crate) fn body(values: &Values) -> Value {
    let one = |slot: usize| {
        let name = |field: &str| format!("notify[{slot}].{field}");
        let events = EVENTS.iter().filter(|(_, word, _)| values.is_checked(&name(&format!("events.{word}"))));
        let events: Vec<&str> = events.map(|(_, word, _)| *word).collect();
        json!({ "url": values.line(&name("url")), "credential": values.line(&name("credential")), "events": events })
    };
    (0..values.count("notify")).map(one).collect()
}

/// A choice of a registry's credentials of a kind.
pub(crate) fn credential(
    name: impl Into<String>,
    label: &'static str,
    kind: CredentialKind,
    credentials: &[Credential],
) -> Field {
    let fitting = credentials.iter().filter(|credential| credential.kind == kind);
    let none = [(String::new(), "none".to_owned())];
    let named = fitting.map(|credential| (credential.name.clone(), credential.name.clone()));
    Field::choice(name, label, none.into_iter().chain(named))
}
