//! Changed files: whether one of them counts.

use model::PathFilter;

use super::Miss;
use crate::pattern::first_fit;

/// How many files a reason names.
const NAMED: usize = 3;

/// The first file that counts. Without a filter, and when the host does not tell the files in full,
/// everything counts and none is named.
pub(super) fn matches<'a>(
    filter: &PathFilter,
    changed: Option<&'a [String]>,
) -> Result<Option<&'a str>, Miss> {
    let has_filter = !filter.paths.is_empty() || !filter.ignore_paths.is_empty();
    let Some(files) = changed.filter(|_| has_filter) else { return Ok(None) };
    match files.iter().find(|file| counts(filter, file)) {
        Some(file) => Ok(Some(file)),
        None if files.is_empty() => Err(Miss::path("no file changed")),
        None => Err(Miss::path(format!("no path matched: {}", list(files)))),
    }
}

fn counts(filter: &PathFilter, file: &str) -> bool {
    let is_named = filter.paths.is_empty() || first_fit(&filter.paths, file).is_some();
    is_named && first_fit(&filter.ignore_paths, file).is_none()
}

/// "a, b, c and 7 more".
fn list(files: &[String]) -> String {
    let named = files.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match files.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
