//! Pull requests: which of them bring something new, and which branch a trigger is for.
//!
//! Absent: changed files. No host tells them, and what is not told counts.

use super::{Miss, commit};
use crate::PullRequest;

pub(super) fn hindrance(request: &PullRequest) -> Option<String> {
    if !request.starts_runs {
        let action: String = request.action.chars().take(100).collect();
        return Some(format!("`{action}` brings a pull request no new commits"));
    }
    request.is_draft.then(|| "a draft".to_owned())
}

/// "pull request 5 to main".
pub(super) fn matches(branches: &[String], request: &PullRequest) -> Result<String, Miss> {
    let target = &request.target_branch;
    if !branches.is_empty() {
        commit::listed("target branch", target, branches)?;
    }
    Ok(format!("pull request {} to {target}", request.number))
}
