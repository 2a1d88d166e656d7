//! The files of a push: a payload's list of commits in, every changed path out, or nothing where the
//! list may be short.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::Unreadable;
use crate::fields::Field;

/// Hosts cut the list somewhere from here on: GitLab at 20, GitHub long did.
const LONGEST_COMPLETE: usize = 19;

/// What `added`, `modified` and `removed` of every one of `commits` name.
///
/// Absent when a commit does not tell, or when there are so few or so many commits that some may be
/// missing. `total` is how many there are by the host's own count.
///
/// # Errors
/// A path that is none.
pub(crate) fn changed(root: &Field<'_>, total: Option<u64>) -> Result<Option<Vec<String>>, Unreadable> {
    let Ok(commits) = root.items("commits") else { return Ok(None) };
    let all_told = total.is_none_or(|total| total == commits.len() as u64);
    if commits.is_empty() || commits.len() > LONGEST_COMPLETE || !all_told {
        return Ok(None);
    }
    let mut paths = BTreeSet::new();
    for commit in &commits {
        let Some(told) = of_commit(commit.value) else { return Ok(None) };
        if told.iter().any(|path| path.contains('\0')) {
            return Err(commit.wrong("names a file with the character NUL"));
        }
        paths.extend(told);
    }
    Ok(Some(paths.into_iter().collect()))
}

/// Gitea writes null for an empty list; a commit with none of the three does not tell.
fn of_commit(commit: &Value) -> Option<Vec<String>> {
    let lists: Vec<&Value> =
        ["added", "modified", "removed"].iter().filter_map(|key| commit.get(key)).collect();
    let text = |path: &Value| path.as_str().map(str::to_owned);
    let mut paths = Vec::new();
    for list in lists.iter().filter(|list| !list.is_null()) {
        paths.extend(list.as_array()?.iter().map(text).collect::<Option<Vec<_>>>()?);
    }
    (!lists.is_empty()).then_some(paths)
}
