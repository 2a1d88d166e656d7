//! Patterns for branches, tags and paths: a pattern and a name in, yes or no out.
//!
//! `*` stands for any characters but `/`, `**` for any at all, `**/` for any folders or none, `?` for
//! one character but `/`, `[a-z]` for one of a set and `[!a-z]` for one outside it. A pattern fits a
//! whole name or not at all. Absent: regular expressions, escapes (write `[*]`), and patterns that
//! take back what others allow.

mod parse;

use model::{PathFilter, Trigger};

pub use parse::InvalidPattern;
use parse::Token;

/// A pattern that was found to be one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    tokens: Vec<Token>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Empty or long, a leading `!`, or a `[` that does not end.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        parse::tokens(text).map(|tokens| Self { tokens })
    }

    /// Whether it fits all of `name`, in time proportional to the product of their lengths.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        let mut now = self.nothing();
        self.enter(0, &mut now);
        for c in name.chars() {
            now = self.after(&now, c);
        }
        now[self.tokens.len()]
    }

    /// Which tokens are waited for, once `c` was seen.
    fn after(&self, now: &[bool], c: char) -> Vec<bool> {
        let mut next = self.nothing();
        for (at, token) in self.tokens.iter().enumerate().filter(|(at, _)| now[*at]) {
            if token.takes(c) {
                self.enter(if token.repeats() { at } else { at + 1 }, &mut next);
            }
        }
        next
    }

    /// Marks `at` and what may be reached from there without a character.
    fn enter(&self, mut at: usize, marks: &mut [bool]) {
        while !std::mem::replace(&mut marks[at], true) {
            match self.tokens.get(at) {
                Some(Token::Star | Token::DoubleStar) => at += 1,
                Some(Token::MaybeFolders) => {
                    // `**/` is three tokens: this one, `**` and `/`. Here without the other two.
                    self.enter(at + 3, marks);
                    at += 1;
                }
                _ => return,
            }
        }
    }

    fn nothing(&self) -> Vec<bool> {
        vec![false; self.tokens.len() + 1]
    }
}

/// Whether one of `patterns` fits. What is no pattern fits nothing.
pub(crate) fn first_fit<'a>(patterns: &'a [String], name: &str) -> Option<&'a String> {
    patterns.iter().find(|text| Pattern::parse(text).is_ok_and(|pattern| pattern.fits(name)))
}

/// Triggers of a task, and patterns of each of their lists.
const MAX_TRIGGERS: usize = 50;
const MAX_PATTERNS: usize = 100;

/// Refuses a task's triggers when a pattern among them is none.
///
/// # Errors
/// The first such pattern, with its place: `triggers[0].branches[1]`.
pub fn validate(triggers: &[Trigger]) -> Result<(), InvalidPattern> {
    if triggers.len() > MAX_TRIGGERS {
        return Err(InvalidPattern::too_many("triggers".to_owned(), "triggers", MAX_TRIGGERS));
    }
    for (i, trigger) in triggers.iter().enumerate() {
        if let Trigger::PullRequest { paths, .. } = trigger {
            refuse_paths(i, paths)?;
        }
        for (field, patterns) in lists(trigger) {
            if patterns.len() > MAX_PATTERNS {
                let place = format!("triggers[{i}].{field}");
                return Err(InvalidPattern::too_many(place, "patterns", MAX_PATTERNS));
            }
            for (j, text) in patterns.iter().enumerate() {
                let place = |wrong: InvalidPattern| wrong.at(format!("triggers[{i}].{field}[{j}]"));
                Pattern::parse(text).and_then(|_| parse::fits_something(field, text)).map_err(place)?;
            }
        }
    }
    Ok(())
}

/// No host tells which files a pull request changes.
fn refuse_paths(index: usize, PathFilter { paths, ignore_paths }: &PathFilter) -> Result<(), InvalidPattern> {
    let found =
        [("paths", paths), ("ignore_paths", ignore_paths)].into_iter().find(|(_, list)| !list.is_empty());
    let Some((field, _)) = found else { return Ok(()) };
    Err(InvalidPattern::unheard_paths(format!("triggers[{index}].{field}")))
}

fn lists(trigger: &Trigger) -> Vec<(&'static str, &[String])> {
    let (mut lists, PathFilter { paths, ignore_paths }): (Vec<(_, &[String])>, _) = match trigger {
        Trigger::Commit { branches, tags, paths } => (vec![("branches", branches), ("tags", tags)], paths),
        Trigger::PullRequest { branches, paths } => (vec![("branches", branches)], paths),
    };
    lists.extend([("paths", paths.as_slice()), ("ignore_paths", ignore_paths.as_slice())]);
    lists
}
