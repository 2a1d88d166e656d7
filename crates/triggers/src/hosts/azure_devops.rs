//! Azure DevOps' payloads. learn.microsoft.com, "Service hook events": `git.push`,
//! `git.pullrequest.created`, `git.pullrequest.updated`.
//!
//! Nothing of them is signed, so every event is a hint: read the ref again before building, and every pull
//! request may be a stranger's. Absent: changed files, which are not told.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::likeness;
use crate::fields::Field;
use crate::{Event, PullRequest, Push, Repository, Unreadable};

pub(super) fn read(event: &str, root: &Field<'_>) -> Result<Vec<Event>, Unreadable> {
    let one = |event| vec![event];
    match event {
        "git.push" => pushes(&root.need("resource")?),
        "git.pullrequest.created" => pull_request(root, "created", true).map(one),
        "git.pullrequest.updated" => pull_request(root, "updated", brings_commits(root)).map(one),
        other => Ok(one(Event::ignored(other))),
    }
}

/// Refs of one push.
const MOST: usize = 1000;

/// One for each ref of the push.
fn pushes(resource: &Field<'_>) -> Result<Vec<Event>, Unreadable> {
    let repository = repository(resource)?;
    let pusher = resource.get("pushedBy").and_then(|pusher| pusher.maybe_text("displayName"));
    let date = resource.maybe_text("date").and_then(|date| OffsetDateTime::parse(date, &Rfc3339).ok());
    let push = |update: Field<'_>| {
        Ok(likeness::branch_or_tag(Push {
            repository: repository.clone(),
            reference: update.reference("name")?.to_owned(),
            before: update.commit("oldObjectId")?,
            commit: update.commit("newObjectId")?,
            changed: None,
            pushed_at: date,
            pusher: pusher.map(str::to_owned),
            is_hint: true,
        }))
    };
    let updates = resource.items("refUpdates")?;
    if updates.is_empty() || updates.len() > MOST {
        return Err(resource.need("refUpdates")?.wrong("is empty, or names more than 1000 refs"));
    }
    updates.into_iter().map(push).collect()
}

fn repository(resource: &Field<'_>) -> Result<Repository, Unreadable> {
    let field = resource.need("repository")?;
    let name = field.short_text("name")?;
    let project = field.get("project").and_then(|project| project.maybe_text("name"));
    let default_branch = field.maybe_text("defaultBranch");
    Ok(Repository {
        addresses: likeness::addresses(&field, &["remoteUrl", "sshUrl", "webUrl"])?,
        full_name: project.map_or_else(|| name.to_owned(), |project| format!("{project}/{name}")),
        default_branch: default_branch.map(|name| short(name).to_owned()),
        web_url: field.maybe_text("webUrl").or_else(|| field.maybe_text("remoteUrl")).map(str::to_owned),
    })
}

fn pull_request(root: &Field<'_>, action: &str, starts: bool) -> Result<Event, Unreadable> {
    let resource = root.need("resource")?;
    let number = resource.number("pullRequestId")?;
    let author = resource.get("createdBy").and_then(|author| author.maybe_text("displayName"));
    Ok(Event::PullRequest(PullRequest {
        repository: repository(&resource)?,
        number,
        action: action.to_owned(),
        source_branch: short(resource.reference("sourceRefName")?).to_owned(),
        target_branch: short(resource.reference("targetRefName")?).to_owned(),
        commit: resource.need("lastMergeSourceCommit")?.need_commit("commitId")?,
        // There is no ref of the source alone: this is it, merged into the target.
        reference: format!("refs/pull/{number}/merge"),
        // What is not signed does not make a stranger a friend: a body can be without `forkSource`.
        is_fork: true,
        is_draft: resource.is_true("isDraft"),
        starts_runs: starts && resource.maybe_text("status") == Some("active"),
        author: author.map(str::to_owned),
        is_hint: true,
    }))
}

/// Votes and reviewers are updates as well, and only the sentence for people tells them apart. Where
/// there is none, the subscription is trusted to ask for the right ones.
fn brings_commits(root: &Field<'_>) -> bool {
    let Some(text) = root.get("message").and_then(|message| message.maybe_text("text")) else { return true };
    ["source branch", "reactivated", "published"].iter().any(|deed| text.contains(deed))
}

fn short(reference: &str) -> &str {
    reference.strip_prefix("refs/heads/").unwrap_or(reference)
}
