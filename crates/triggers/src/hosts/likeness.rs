//! What payloads of several hosts have in common: repositories by the names of their fields, refs,
//! and the shape that Gitea took from GitHub.

use crate::fields::Field;
use crate::{Event, PullRequest, Push, Repository, Unreadable};

/// Every value of `keys` that is there, each once.
pub(super) fn addresses(field: &Field<'_>, keys: &[&str]) -> Result<Vec<String>, Unreadable> {
    let mut found: Vec<String> = Vec::new();
    for text in keys.iter().filter_map(|key| field.maybe_text(key)) {
        if !found.iter().any(|known| known == text) {
            found.push(text.to_owned());
        }
    }
    // Named by the first key: the one that every payload of this host has.
    if found.is_empty() { field.text(keys[0]).map(|_| found) } else { Ok(found) }
}

/// A push as it is, when the ref is a branch or a tag.
pub(super) fn branch_or_tag(push: Push) -> Event {
    let Push { reference, .. } = &push;
    if reference.starts_with("refs/heads/") || reference.starts_with("refs/tags/") {
        return Event::Push(push);
    }
    Event::Other { what: format!("a push to `{reference}`, which is no branch and no tag, starts nothing") }
}

/// `repository` of GitHub and Gitea. docs.github.com, "Webhook events and payloads"; Gitea,
/// modules/structs/repo.go.
pub(super) fn repository(root: &Field<'_>) -> Result<Repository, Unreadable> {
    let field = root.need("repository")?;
    Ok(Repository {
        addresses: addresses(&field, &["clone_url", "ssh_url", "git_url", "html_url"])?,
        full_name: field.short_text("full_name")?.to_owned(),
        default_branch: field.maybe_text("default_branch").map(str::to_owned),
        web_url: field.maybe_text("html_url").map(str::to_owned),
    })
}

/// What a ref points at. Of an annotated tag, `after` is the tag itself and `head_commit` its commit.
pub(super) fn commit(root: &Field<'_>, reference: &str) -> Result<Option<String>, Unreadable> {
    let after = root.commit("after")?;
    match root.get("head_commit") {
        Some(head) if after.is_some() && reference.starts_with("refs/tags/") => head.commit("id"),
        _ => Ok(after),
    }
}

/// `pull_request` of GitHub and Gitea. `starts` tells by the action whether commits may be new.
pub(super) fn pull_request(root: &Field<'_>, starts: bool) -> Result<PullRequest, Unreadable> {
    let request = root.need("pull_request")?;
    let (head, base) = (request.need("head")?, request.need("base")?);
    let number = request.number("number")?;
    Ok(PullRequest {
        repository: repository(root)?,
        number,
        action: root.short_text("action")?.to_owned(),
        source_branch: head.reference("ref")?.to_owned(),
        target_branch: base.reference("ref")?.to_owned(),
        commit: head.need_commit("sha")?,
        reference: format!("refs/pull/{number}/head"),
        is_fork: is_fork(&head, &base),
        is_draft: request.is_true("draft"),
        starts_runs: starts,
        author: request.get("user").and_then(|user| user.maybe_text("login").map(str::to_owned)),
        is_hint: false,
    })
}

/// By the numbers of the two repositories; one that is gone or without a number is a stranger's. So is what
/// stands on no branch: Gitea and Forgejo take pull requests that were pushed to `refs/for/…` (AGit) from whoever may
/// read, and tell of them as if they came from the repository itself: with an empty `label`, and `refs/pull/N/head` for
/// a branch.
fn is_fork(head: &Field<'_>, base: &Field<'_>) -> bool {
    let id = |side: &Field<'_>| side.get("repo").and_then(|repo| repo.maybe_number("id"));
    let on_a_branch =
        head.maybe_text("ref").is_some_and(|name| !name.is_empty() && !name.starts_with("refs/"));
    let has_label = head.get("label").is_none() || head.maybe_text("label").is_some();
    id(head).is_none() || id(head) != id(base) || !on_a_branch || !has_label
}
