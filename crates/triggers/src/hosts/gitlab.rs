//! GitLab's payloads. docs.gitlab.com, "Webhook events": push, tag and merge request events.
//!
//! Absent: system hooks, which tell of every project of an instance.

use super::likeness;
use crate::changes::changed;
use crate::fields::Field;
use crate::{Event, PullRequest, Push, Repository, Unreadable};

pub(super) fn read(event: &str, root: &Field<'_>) -> Result<Event, Unreadable> {
    match event {
        "Push Hook" | "Tag Push Hook" => push(root).map(likeness::branch_or_tag),
        "Merge Request Hook" => merge_request(root).map(Event::PullRequest),
        "System Hook" => {
            let what = "a `System Hook` event starts nothing: add a webhook to the project or its group";
            Ok(Event::Other { what: what.to_owned() })
        }
        other => Ok(Event::ignored(other)),
    }
}

fn push(root: &Field<'_>) -> Result<Push, Unreadable> {
    let reference = root.reference("ref")?.to_owned();
    let before = root.commit("before")?;
    let is_told = before.is_some() && reference.starts_with("refs/heads/");
    // Of an annotated tag, `after` is the tag itself and `checkout_sha` its commit.
    let commit = match root.commit("after")? {
        Some(_) if root.get("checkout_sha").is_some() => root.commit("checkout_sha")?,
        after => after,
    };
    Ok(Push {
        repository: project(root)?,
        changed: if is_told { changed(root, root.maybe_number("total_commits_count"))? } else { None },
        pushed_at: None,
        pusher: root.maybe_text("user_username").map(str::to_owned),
        is_hint: false,
        commit,
        reference,
        before,
    })
}

/// In a merge request's event it is the project that the request goes to.
fn project(root: &Field<'_>) -> Result<Repository, Unreadable> {
    let field = root.need("project")?;
    let keys = ["git_http_url", "git_ssh_url", "http_url", "ssh_url", "url", "web_url", "homepage"];
    Ok(Repository {
        addresses: likeness::addresses(&field, &keys)?,
        full_name: field.short_text("path_with_namespace")?.to_owned(),
        default_branch: field.maybe_text("default_branch").map(str::to_owned),
        web_url: field.maybe_text("web_url").map(str::to_owned),
    })
}

fn merge_request(root: &Field<'_>) -> Result<PullRequest, Unreadable> {
    let request = root.need("object_attributes")?;
    let number = request.number("iid")?;
    // Sent without one by "Test" and when a merge request's labels are changed in bulk.
    let action = request.maybe_text("action").unwrap_or("none");
    Ok(PullRequest {
        repository: project(root)?,
        number,
        action: action.to_owned(),
        source_branch: request.reference("source_branch")?.to_owned(),
        target_branch: request.reference("target_branch")?.to_owned(),
        commit: request.need("last_commit")?.need_commit("id")?,
        reference: format!("refs/merge-requests/{number}/head"),
        is_fork: is_fork(&request),
        is_draft: request.is_true("draft") || request.is_true("work_in_progress"),
        starts_runs: starts(action, root, &request),
        author: author(root, &request),
        is_hint: false,
    })
}

/// An update brings commits when it has `oldrev`; other updates change words, labels or people.
fn starts(action: &str, root: &Field<'_>, request: &Field<'_>) -> bool {
    match action {
        "open" | "reopen" => true,
        "update" => request.get("oldrev").is_some() || became_ready(root),
        _ => false,
    }
}

fn became_ready(root: &Field<'_>) -> bool {
    let draft = root.get("changes").and_then(|changes| changes.get("draft"));
    draft.is_some_and(|draft| draft.is_true("previous") && !draft.is_true("current"))
}

/// By the numbers of the two projects; a source that is gone has none.
fn is_fork(request: &Field<'_>) -> bool {
    let source = request.maybe_number("source_project_id");
    source.is_none() || source != request.maybe_number("target_project_id")
}

/// The payload names only who acted, and the author by number.
fn author(root: &Field<'_>, request: &Field<'_>) -> Option<String> {
    let user = root.get("user")?;
    let acted = user.maybe_number("id")?;
    (request.maybe_number("author_id") == Some(acted))
        .then(|| user.maybe_text("username"))?
        .map(str::to_owned)
}
