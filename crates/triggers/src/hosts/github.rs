//! GitHub's payloads. docs.github.com, "Webhook events and payloads": `push`, `pull_request`, `ping`.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::likeness;
use crate::changes::changed;
use crate::fields::Field;
use crate::{Event, Push, Unreadable};

pub(super) fn read(event: &str, root: &Field<'_>) -> Result<Event, Unreadable> {
    match event {
        "ping" => Ok(Event::Ping),
        "push" => push(root).map(likeness::branch_or_tag),
        "pull_request" => {
            let action = root.text("action")?;
            let starts = matches!(action, "opened" | "reopened" | "synchronize" | "ready_for_review");
            likeness::pull_request(root, starts).map(Event::PullRequest)
        }
        other => Ok(Event::ignored(other)),
    }
}

fn push(root: &Field<'_>) -> Result<Push, Unreadable> {
    let reference = root.reference("ref")?.to_owned();
    let before = root.commit("before")?;
    // A tag has no commits of its own, and what a forced push took away is told nowhere.
    let is_told = before.is_some() && reference.starts_with("refs/heads/") && !root.is_true("forced");
    let pusher = root.get("sender").and_then(|sender| sender.maybe_text("login"));
    Ok(Push {
        repository: likeness::repository(root)?,
        commit: likeness::commit(root, &reference)?,
        changed: if is_told && sizes_agree(root) { changed(root, root.maybe_number("size"))? } else { None },
        pushed_at: root.get("repository").and_then(|repository| pushed_at(&repository)),
        pusher: pusher.map(str::to_owned),
        is_hint: false,
        reference,
        before,
    })
}

fn sizes_agree(root: &Field<'_>) -> bool {
    let sizes = (root.maybe_number("size"), root.maybe_number("distinct_size"));
    !matches!(sizes, (Some(all), Some(distinct)) if all != distinct)
}

/// Seconds in a push, RFC 3339 in other events.
fn pushed_at(repository: &Field<'_>) -> Option<OffsetDateTime> {
    let seconds = repository.maybe_number("pushed_at").and_then(|seconds| i64::try_from(seconds).ok());
    match seconds {
        Some(seconds) => OffsetDateTime::from_unix_timestamp(seconds).ok(),
        None => OffsetDateTime::parse(repository.maybe_text("pushed_at")?, &Rfc3339).ok(),
    }
}
