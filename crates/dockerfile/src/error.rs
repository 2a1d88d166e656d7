//! Refusals. Each is the user's to mend and shows the user's own line.

use model::{Failure, Location};

use crate::text::Text;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(Box<Failure>);

impl Error {
    /// As a run's failure.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        *self.0
    }

    /// A refusal without a place.
    pub(crate) fn bare(kind: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self(Box::new(Failure::user(kind, message, hint)))
    }

    /// A refusal of a place.
    pub(crate) fn located(
        kind: &str,
        location: Location,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self(Box::new(Failure::user(kind, message, hint).at(location)))
    }

    /// A refusal of `text`.
    pub(crate) fn at(kind: &str, text: &Text, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self(Box::new(Failure::user(kind, message, hint).at(text.location())))
    }

    /// Something that can't be read.
    pub(crate) fn syntax(text: &Text, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::at("dockerfile_syntax", text, message, hint)
    }

    /// Something that is right, and can't be done here yet.
    pub(crate) fn unsupported(text: &Text, what: &str, hint: impl Into<String>) -> Self {
        Self::at("dockerfile_unsupported", text, format!("{what} is not supported yet."), hint)
    }
}

/// The candidate that was probably meant.
pub(crate) fn near<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: String = word.chars().take(40).collect::<String>().to_lowercase();
    // Nobody means one of thousands, and each costs.
    let distances = candidates
        .into_iter()
        .take(100)
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate));
    let limit = if word.len() < 4 { 1 } else { 2 };
    distances
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, near)| near)
}

/// Levenshtein's, over the first 40 characters.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().take(40).collect(), b.chars().take(40).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}
