//! Pushes: which branch or tag a commit trigger is for.

use model::SourceSpec;

use super::Miss;
use crate::Push;
use crate::pattern::first_fit;

pub(super) fn hindrance(push: &Push) -> Option<String> {
    let kind = if push.reference.starts_with("refs/tags/") { "tag" } else { "branch" };
    push.commit.is_none().then(|| format!("a deleted {kind}"))
}

/// What matched: "branch main", or with the pattern "branch release/1 (release/*)".
pub(super) fn matches(
    source: &SourceSpec,
    branches: &[String],
    tags: &[String],
    push: &Push,
) -> Result<String, Miss> {
    if let Some(tag) = push.reference.strip_prefix("refs/tags/") {
        return listed("tag", tag, tags);
    }
    let branch = push.reference.strip_prefix("refs/heads/").unwrap_or(&push.reference);
    if branches.is_empty() && tags.is_empty() {
        own(branch, source, push)
    } else {
        listed("branch", branch, branches)
    }
}

/// Whether one of `patterns` fits `name`. `kind` is "branch" or "tag".
pub(super) fn listed(kind: &str, name: &str, patterns: &[String]) -> Result<String, Miss> {
    if patterns.is_empty() {
        let plural = if kind == "tag" { "tags" } else { "branches" };
        return Err(Miss::kind(format!("no trigger is for {plural}")));
    }
    match first_fit(patterns, name) {
        Some(pattern) if pattern == name => Ok(format!("{kind} {name}")),
        Some(pattern) => Ok(format!("{kind} {name} ({pattern})")),
        None => Err(Miss::name(format!("{kind} {name} is not among {}", patterns.join(", ")))),
    }
}

/// Whether `branch` is the one that the task's source names, or else the repository's default one.
fn own(branch: &str, source: &SourceSpec, push: &Push) -> Result<String, Miss> {
    let (of, wanted) = match source {
        SourceSpec::Git { reference: Some(reference), .. } => ("the task's", source_branch(reference)?),
        _ => ("the default branch", default_branch(push)?),
    };
    if branch == wanted {
        return Ok(format!("branch {branch}"));
    }
    Err(Miss::name(format!("branch {branch} is not {of}, {wanted}")))
}

fn source_branch(reference: &str) -> Result<&str, Miss> {
    let is_commit = matches!(reference.len(), 40 | 64) && reference.bytes().all(|b| b.is_ascii_hexdigit());
    let branch = reference.strip_prefix("refs/heads/");
    if is_commit || (branch.is_none() && reference.starts_with("refs/")) {
        return Err(Miss::name(format!("the task's source names no branch but {reference}")));
    }
    Ok(branch.unwrap_or(reference))
}

fn default_branch(push: &Push) -> Result<&str, Miss> {
    let unknown = || Miss::name("the delivery does not tell the default branch, and the trigger names none");
    push.repository.default_branch.as_deref().ok_or_else(unknown)
}
