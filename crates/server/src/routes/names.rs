//! Names that people give to tasks, credentials and hooks.

use crate::http::kind;
use crate::http::problem::Problem;

/// The same rule as the database's.
pub(crate) fn check_name(name: &str) -> Result<(), Problem> {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let first = name.bytes().next().is_some_and(letter);
    if first && name.len() <= 63 && name.bytes().all(|b| letter(b) || b"._-".contains(&b)) {
        return Ok(());
    }
    let shown: String = name.chars().take(100).collect();
    let hint = "At most 63 lower-case letters, digits and `._-`, beginning with a letter or digit.";
    Err(Problem::new(&kind::NAME_INVALID, format!("`{shown}` is not a possible name."), hint)
        .in_field("name"))
}
