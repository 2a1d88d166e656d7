//! Gitea's and Forgejo's payloads. Gitea, modules/structs/hook.go: `push`, `pull_request`.
//!
//! They look like GitHub's and differ where it matters: the words of actions, the count of commits,
//! and that a forced push does not say so.

use super::likeness;
use crate::changes::changed;
use crate::fields::Field;
use crate::{Event, Push, Unreadable};

pub(super) fn read(event: &str, root: &Field<'_>) -> Result<Event, Unreadable> {
    match event {
        "push" => push(root).map(likeness::branch_or_tag),
        "pull_request" => {
            let starts = match root.text("action")? {
                "opened" | "reopened" | "synchronized" => true,
                "edited" => became_ready(root),
                _ => false,
            };
            likeness::pull_request(root, starts).map(Event::PullRequest)
        }
        other => Ok(Event::ignored(other)),
    }
}

fn push(root: &Field<'_>) -> Result<Push, Unreadable> {
    let reference = root.reference("ref")?.to_owned();
    let before = root.commit("before")?;
    let is_told = before.is_some() && reference.starts_with("refs/heads/");
    let pusher = root.get("pusher").and_then(|pusher| pusher.maybe_text("login"));
    Ok(Push {
        repository: likeness::repository(root)?,
        commit: likeness::commit(root, &reference)?,
        changed: if is_told { changed(root, root.maybe_number("total_commits"))? } else { None },
        pushed_at: None,
        pusher: pusher.map(str::to_owned),
        is_hint: false,
        reference,
        before,
    })
}

/// A draft is one by its title here. docs.gitea.com, "Pull Requests", "Work In Progress".
fn became_ready(root: &Field<'_>) -> bool {
    let title = root.get("changes").and_then(|changes| changes.get("title"));
    let before = title.as_ref().and_then(|title| title.maybe_text("from")).unwrap_or("").to_ascii_uppercase();
    let now = root.get("pull_request").and_then(|request| request.maybe_text("title")).unwrap_or("");
    is_draft_title(&before) && !is_draft_title(&now.to_ascii_uppercase())
}

fn is_draft_title(title: &str) -> bool {
    title.starts_with("WIP:") || title.starts_with("[WIP]")
}
