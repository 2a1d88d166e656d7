//! What went wrong, in a form that a database column, an API field, a metric label and a person can
//! all use.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who has to act. It alone decides whether a run is tried again: only `service` is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The person who asked for the run: its source, its Dockerfile, its names.
    User,
    /// A limit that the operator or the user set.
    Limits,
    /// Slipway, its machine, or a service it depends on.
    Service,
}

impl Blame {
    /// The word used in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Limits => "limits",
            Self::Service => "service",
        }
    }
}

impl std::str::FromStr for Blame {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "user" => Ok(Self::User),
            "limits" => Ok(Self::Limits),
            "service" => Ok(Self::Service),
            other => Err(format!("`{other}` is not a blame")),
        }
    }
}

/// A place in a file the user wrote.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Location {
    /// Path within the context, for instance `Dockerfile`.
    pub file: String,
    /// First line, counted from 1.
    pub line: u32,
    /// That line as written, without its end.
    pub text: String,
    /// First marked column of `text`, counted in characters from 1; 0 marks the whole line.
    #[serde(default)]
    pub column: u32,
    /// How many characters are marked.
    #[serde(default)]
    pub width: u32,
}

/// A failure as the world outside a room sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// Stable name in `snake_case`: database column, API field, metric label, documentation anchor.
    pub kind: String,
    /// Who has to act.
    pub blame: Blame,
    /// What happened, as a sentence.
    pub message: String,
    /// What to do about it, as a sentence; may be empty.
    #[serde(default)]
    pub hint: String,
    /// The user's own line, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Box<Location>>,
}

impl Failure {
    /// A blob of a store is not what it was: whoever says so makes the worker look.
    pub const BLOB_DAMAGED: &str = "blob_damaged";

    /// A failure that the person who asked for the run has to mend.
    pub fn user(kind: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(kind, Blame::User, message, hint)
    }

    /// A failure by a limit.
    pub fn limits(kind: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(kind, Blame::Limits, message, hint)
    }

    /// A failure of the service or of what it depends on.
    pub fn service(kind: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(kind, Blame::Service, message, hint)
    }

    fn new(kind: &str, blame: Blame, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), blame, message: message.into(), hint: hint.into(), location: None }
    }

    /// The same failure, with the user's own line.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(Box::new(location));
        self
    }
}

impl fmt::Display for Location {
    /// Three lines, as compilers write them: where, the line, the mark.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(f, "{gutter}--> {}:{}", self.file, self.line)?;
        write!(f, "{number} | {}", self.text)?;
        if self.column > 0 {
            let before = " ".repeat(self.column as usize - 1);
            let mark = "^".repeat(self.width.max(1) as usize);
            write!(f, "\n{gutter} | {before}{mark}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, rest) = self.message.split_once('\n').unwrap_or((&self.message, ""));
        write!(f, "{first} ({})", self.kind)?;
        if !rest.is_empty() {
            write!(f, "\n{rest}")?;
        }
        if let Some(location) = &self.location {
            write!(f, "\n{location}")?;
        }
        if !self.hint.is_empty() {
            write!(f, "\nhint: {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_users_own_line_with_the_place_marked() {
        let failure = Failure::user("dockerfile_syntax", "Unknown flag `--form`.", "Did you mean `--from`?")
            .at(Location {
                file: "Dockerfile".into(),
                line: 3,
                text: "COPY --form=a b c".into(),
                column: 6,
                width: 6,
            });
        let text = failure.to_string();
        assert!(text.contains("3 | COPY --form=a b c\n  |      ^^^^^^"), "{text}");
        assert!(text.ends_with("hint: Did you mean `--from`?"));
    }
}
