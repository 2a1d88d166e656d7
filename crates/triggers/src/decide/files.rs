//! Changed files: whether one of them counts.

use model::PathFilter;

use super::Miss;
use crate::pattern::first_fit;

/// How many files a reason names, and characters of each.
const NAMED: usize = 3;
const LONGEST: usize = 200;
/// What a filter is worth then.
const NOT_TOLD: &str = "files not told: path filter not applied";

/// What the filter found, in words: the first file that counts, or that the host does not tell the files in full, so
/// that everything counts. Nothing without a filter.
pub(super) fn matches(filter: &PathFilter, changed: Option<&[String]>) -> Result<Option<String>, Miss> {
    if filter.paths.is_empty() && filter.ignore_paths.is_empty() {
        return Ok(None);
    }
    let Some(files) = changed else { return Ok(Some(NOT_TOLD.to_owned())) };
    match files.iter().find(|file| counts(filter, file)) {
        Some(file) => Ok(Some(format!("path {}", beginning(file)))),
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
    let named = files.iter().take(NAMED).map(|file| beginning(file)).collect::<Vec<_>>().join(", ");
    match files.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn beginning(file: &str) -> &str {
    file.char_indices().nth(LONGEST).map_or(file, |(end, _)| &file[..end])
}
