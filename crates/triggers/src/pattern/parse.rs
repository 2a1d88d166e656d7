//! The text of a pattern in, its tokens out.

/// The longest pattern: git's own limit for a ref is lower, and paths are rarely this long.
const MAX_CHARACTERS: usize = 500;

/// A pattern that is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct InvalidPattern {
    /// The JSON field, where it is known: `triggers[0].branches[1]`.
    pub field: String,
    /// What is wrong, as a sentence.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl InvalidPattern {
    fn new(message: String, hint: &str) -> Self {
        Self { field: String::new(), message, hint: hint.to_owned() }
    }

    /// Paths where no changed file is ever told of.
    pub(super) fn unheard_paths(field: String) -> Self {
        Self {
            field,
            message: "A pull request is not narrowed by paths: no git host tells which files it changes."
                .to_owned(),
            hint: "Leave them out, or name the branches that it may go to; `commit` triggers take paths."
                .to_owned(),
        }
    }

    pub(super) fn too_many(field: String, what: &str, most: usize) -> Self {
        Self { field, message: format!("More than {most} {what}."), hint: format!("Name at most {most}.") }
    }

    fn fits_nothing(text: &str, why: &str, hint: String) -> Self {
        Self::new(format!("The pattern `{text}` fits nothing: {why}."), &hint)
    }

    pub(super) fn at(self, field: String) -> Self {
        Self { field, ..self }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Token {
    Character(char),
    /// `?`
    Any,
    /// `*`
    Star,
    /// `**`
    DoubleStar,
    /// `**/`: this token, [`Token::DoubleStar`] and a slash. It may skip the other two.
    MaybeFolders,
    /// `[…]`: ranges, and whether one of them has to hold the character or none may.
    OneOf(Vec<(char, char)>, bool),
}

impl Token {
    pub(super) fn takes(&self, c: char) -> bool {
        match self {
            Self::Character(own) => *own == c,
            Self::Any | Self::Star => c != '/',
            Self::DoubleStar => true,
            Self::MaybeFolders => false,
            Self::OneOf(ranges, inside) => {
                c != '/' && ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) == *inside
            }
        }
    }

    /// Whether it takes any number of characters.
    pub(super) fn repeats(&self) -> bool {
        matches!(self, Self::Star | Self::DoubleStar)
    }
}

/// Refuses what no name that a host tells can fit: names of branches and tags are short, paths begin at the
/// repository's root.
pub(super) fn fits_something(field: &str, text: &str) -> Result<(), InvalidPattern> {
    if matches!(field, "branches" | "tags") {
        let short = ["refs/heads/", "refs/tags/"].iter().find_map(|space| text.strip_prefix(space));
        return match short {
            Some(name) => {
                let why = "names of branches and tags are compared without `refs/heads/` and `refs/tags/`";
                Err(InvalidPattern::fits_nothing(text, why, format!("Write `{name}`.")))
            }
            None => Ok(()),
        };
    }
    if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        let parts: Vec<_> = text.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect();
        let hint = match (text.ends_with('/'), parts.is_empty()) {
            (_, true) => "Write `**` for anything.".to_owned(),
            (true, _) => format!("Write `{}/**` for all in a folder.", parts.join("/")),
            (false, _) => format!("Write `{}`.", parts.join("/")),
        };
        let why = "paths are told from the repository's root, without `/` at either end, `.` and `..`";
        return Err(InvalidPattern::fits_nothing(text, why, hint));
    }
    Ok(())
}

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, InvalidPattern> {
    let refuse = |message: String, hint| Err(InvalidPattern::new(message, hint));
    if text.is_empty() || text.chars().count() > MAX_CHARACTERS {
        let message = format!("A pattern has 1 to {MAX_CHARACTERS} characters.");
        return refuse(message, "Write `**` for anything.");
    }
    if text.starts_with('!') {
        let message = format!("The pattern `{text}` begins with `!`, which takes nothing back here.");
        return refuse(message, "Name what counts; for paths there is `ignore_paths`.");
    }
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let at_start = rest.len() == text.len() || tokens.last() == Some(&Token::Character('/'));
        rest = match c {
            '*' => stars(rest, at_start, &mut tokens),
            '[' => one_of(rest, text, &mut tokens)?,
            '?' => one(Token::Any, rest, &mut tokens),
            _ => one(Token::Character(c), rest, &mut tokens),
        };
    }
    Ok(tokens)
}

fn one<'a>(token: Token, rest: &'a str, tokens: &mut Vec<Token>) -> &'a str {
    tokens.push(token);
    let mut chars = rest.chars();
    chars.next();
    chars.as_str()
}

fn stars<'a>(rest: &'a str, at_start: bool, tokens: &mut Vec<Token>) -> &'a str {
    let after = rest.trim_start_matches('*');
    if rest.len() - after.len() == 1 {
        tokens.push(Token::Star);
        return after;
    }
    if at_start && after.starts_with('/') {
        tokens.push(Token::MaybeFolders);
    }
    tokens.push(Token::DoubleStar);
    after
}

/// As in a shell: `]` and `-` stand for themselves in the first place, `-` in the last one too.
fn one_of<'a>(rest: &'a str, text: &str, tokens: &mut Vec<Token>) -> Result<&'a str, InvalidPattern> {
    let wrong = || {
        let message = format!("The pattern `{text}` has a `[` without a set and its `]`.");
        InvalidPattern::new(message, "Write `[abc]` or `[a-z]`; `[[]` stands for the bracket itself.")
    };
    let inner = &rest[1..];
    let set = inner.strip_prefix(['!', '^']).unwrap_or(inner);
    let first = set.chars().next().ok_or_else(wrong)?.len_utf8();
    let end = first + set[first..].find(']').ok_or_else(wrong)?;
    let ranges = ranges(&set[..end]).ok_or_else(wrong)?;
    tokens.push(Token::OneOf(ranges, set.len() == inner.len()));
    Ok(&set[end + 1..])
}

fn ranges(set: &str) -> Option<Vec<(char, char)>> {
    let mut ranges = Vec::new();
    let mut chars = set.chars();
    while let Some(low) = chars.next() {
        let mut ahead = chars.clone();
        let high = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(high)) => {
                chars = ahead;
                high
            }
            _ => low,
        };
        if low > high {
            return None;
        }
        ranges.push((low, high));
    }
    Some(ranges)
}
