//! Subordinate ids (subuid(5)): which ids of the host a cell's ids are.

use std::path::Path;

use crate::CELL_IDS;

/// A run of ids on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub start: u32,
    pub count: u32,
}

/// The ids of every cell of one worker. Id 0 of a cell is the first subordinate id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    pub users: Range,
    pub groups: Range,
}

/// Why a user has no ids to give to cells.
#[derive(Debug, thiserror::Error)]
pub enum IdsError {
    #[error("/etc/{file} gives `{user}` no {CELL_IDS} ids in one piece")]
    Missing { user: String, file: &'static str },
    #[error("/etc/{file} can't be read: {error}")]
    Unreadable { file: &'static str, error: std::io::Error },
}

impl IdsError {
    /// What to type.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { user, .. } => format!(
                "As root: usermod --add-subuids 524288-589823 --add-subgids 524288-589823 {user} \
                 (any free range of {CELL_IDS} ids)."
            ),
            Self::Unreadable { .. } => "Install Debian's packages `passwd` and `uidmap`.".to_owned(),
        }
    }
}

impl Ids {
    /// What /etc/subuid and /etc/subgid give to a user.
    ///
    /// # Errors
    /// A file is missing, or gives too few ids.
    pub fn of(user: &str, uid: u32) -> Result<Self, IdsError> {
        Ok(Self { users: range("subuid", user, uid)?, groups: range("subgid", user, uid)? })
    }
}

fn range(file: &'static str, user: &str, uid: u32) -> Result<Range, IdsError> {
    let path = Path::new("/etc").join(file);
    let text = std::fs::read_to_string(path).map_err(|error| IdsError::Unreadable { file, error })?;
    let missing = || IdsError::Missing { user: user.to_owned(), file };
    let range = ranges(&text)
        .find(|(name, range)| (*name == user || *name == uid.to_string()) && range.count >= CELL_IDS);
    range.map(|(_, range)| Range { count: CELL_IDS, ..range }).ok_or_else(missing)
}

/// Lines `name:start:count`.
pub(crate) fn ranges(text: &str) -> impl Iterator<Item = (&str, Range)> {
    text.lines().filter_map(|line| {
        let mut parts = line.trim().split(':');
        let (name, start, count) = (parts.next()?, parts.next()?, parts.next()?);
        Some((name, Range { start: start.parse().ok()?, count: count.parse().ok()? }))
    })
}

/// The first id above 524,287 from which [`CELL_IDS`] ids belong to nobody.
pub(crate) fn free_start(files: &[&str]) -> u32 {
    let end = |text: &&str| ranges(text).map(|(_, r)| r.start.saturating_add(r.count)).max().unwrap_or(0);
    let taken = files.iter().map(end).max().unwrap_or(0);
    taken.max(524_288).next_multiple_of(CELL_IDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_range_lies_above_every_other() {
        assert_eq!(free_start(&["", ""]), 524_288);
        assert_eq!(free_start(&["a:100000:65536\n", "b:524288:65536\n"]), 589_824);
        assert_eq!(free_start(&["a:524289:10\n"]), 589_824);
    }
}
