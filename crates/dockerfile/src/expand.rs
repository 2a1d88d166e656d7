//! Variables, quotes and escapes, as BuildKit's shell lexer reads them (`frontend/dockerfile/shell`).

use crate::budget::Budget;
use crate::error::Error;
use crate::glob::Glob;
use crate::text::Text;

/// Largest result of one word.
const SIZE: usize = 1 << 20;
/// `${a:-${b:-…}}` within each other.
const DEPTH: usize = 20;

/// What a name stands for.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A word without its quotes, its variables replaced.
pub(crate) fn word(text: &Text, escape: char, lookup: Lookup<'_>, budget: &Budget) -> Result<String, Error> {
    let words = run(text, escape, lookup, budget, false)?;
    Ok(words.into_iter().next().unwrap_or_default())
}

/// The same, split at the blanks that stand outside quotes, also at those out of variables.
pub(crate) fn words(
    text: &Text,
    escape: char,
    lookup: Lookup<'_>,
    budget: &Budget,
) -> Result<Vec<String>, Error> {
    run(text, escape, lookup, budget, true)
}

fn run(
    text: &Text,
    escape: char,
    lookup: Lookup<'_>,
    budget: &Budget,
    split: bool,
) -> Result<Vec<String>, Error> {
    let characters: Vec<char> = text.characters().collect();
    let mut expander =
        Expander { characters: &characters, at: 0, escape, lookup, budget, text, depth: 0, pattern: false };
    let mut out = Out { split, ..Out::default() };
    expander.until(None, &mut out)?;
    budget.spend(out.size, text)?;
    out.words.extend(out.word);
    Ok(out.words)
}

/// Words being written.
#[derive(Default)]
struct Out {
    words: Vec<String>,
    word: Option<String>,
    split: bool,
    /// Of all words.
    size: usize,
}

impl Out {
    fn raw(&mut self, text: &str) {
        self.size += text.len();
        self.word.get_or_insert_default().push_str(text);
    }

    /// Text outside quotes.
    fn plain(&mut self, text: &str) {
        if !self.split {
            return self.raw(text);
        }
        self.size += text.len();
        for character in text.chars() {
            if character.is_whitespace() {
                self.words.extend(self.word.take());
            } else {
                self.word.get_or_insert_default().push(character);
            }
        }
    }
}

struct Expander<'a> {
    characters: &'a [char],
    at: usize,
    escape: char,
    lookup: Lookup<'a>,
    budget: &'a Budget,
    text: &'a Text,
    depth: usize,
    /// In a pattern the escape character stays: it is the pattern's too.
    pattern: bool,
}

impl Expander<'_> {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    fn syntax(&self, from: usize, message: &str, hint: &str) -> Error {
        Error::syntax(&self.text.slice(from, self.characters.len()), message, hint)
    }

    /// Up to `stop`, which is taken, or the end.
    fn until(&mut self, stop: Option<char>, out: &mut Out) -> Result<(), Error> {
        let begin = self.at;
        while let Some(character) = self.next() {
            match character {
                c if Some(c) == stop => return Ok(()),
                '\'' => self.single_quoted(out)?,
                '"' => self.double_quoted(out)?,
                '$' => {
                    let value = self.dollar()?;
                    out.plain(&value);
                }
                c if c == self.escape => {
                    if let Some(next) = self.next() {
                        self.keep_escape(out);
                        out.raw(next.encode_utf8(&mut [0; 4]));
                    }
                }
                c => out.plain(c.encode_utf8(&mut [0; 4])),
            }
            self.check_size(out)?;
        }
        match stop {
            None => Ok(()),
            Some(stop) => Err(self.syntax(begin.saturating_sub(1), &format!("A `{stop}` is missing."), "")),
        }
    }

    fn check_size(&self, out: &Out) -> Result<(), Error> {
        match out.size > SIZE {
            false => Ok(()),
            true => {
                Err(Error::at("dockerfile_variable", self.text, "The value becomes larger than 1 MiB.", ""))
            }
        }
    }

    fn keep_escape(&self, out: &mut Out) {
        if self.pattern {
            out.raw("\\");
        }
    }

    /// The value of a name.
    fn value(&self, name: &str) -> Result<Option<String>, Error> {
        let value = (self.lookup)(name);
        self.budget.spend(1 + value.as_ref().map_or(0, String::len), self.text)?;
        Ok(value)
    }

    fn single_quoted(&mut self, out: &mut Out) -> Result<(), Error> {
        let begin = self.at - 1;
        out.raw("");
        loop {
            match self.next() {
                Some('\'') => return Ok(()),
                Some(character) => out.raw(character.encode_utf8(&mut [0; 4])),
                None => {
                    return Err(self.syntax(
                        begin,
                        "The quote `'` is not closed.",
                        "Close it, or write \\' for the character.",
                    ));
                }
            }
        }
    }

    fn double_quoted(&mut self, out: &mut Out) -> Result<(), Error> {
        let begin = self.at - 1;
        out.raw("");
        loop {
            match self.next() {
                Some('"') => return Ok(()),
                Some('$') => {
                    let value = self.dollar()?;
                    out.raw(&value);
                    self.check_size(out)?;
                }
                Some(c) if c == self.escape => match self.peek() {
                    // Only these lose the escape character within double quotes.
                    Some(next) if next == '"' || next == '$' || next == self.escape => {
                        self.at += 1;
                        self.keep_escape(out);
                        out.raw(next.encode_utf8(&mut [0; 4]));
                    }
                    _ => out.raw(c.encode_utf8(&mut [0; 4])),
                },
                Some(character) => out.raw(character.encode_utf8(&mut [0; 4])),
                None => {
                    return Err(self.syntax(
                        begin,
                        "The quote `\"` is not closed.",
                        "Close it, or write \\\" for the character.",
                    ));
                }
            }
        }
    }

    /// Behind a `$`.
    fn dollar(&mut self) -> Result<String, Error> {
        if self.peek() != Some('{') {
            let name = self.name();
            return Ok(if name.is_empty() { "$".to_owned() } else { self.value(&name)?.unwrap_or_default() });
        }
        let begin = self.at - 1;
        self.at += 1;
        let name = self.name();
        if name.is_empty() {
            return Err(self.syntax(begin, "`${` needs a name.", "Write ${NAME}, or \\$ for the character."));
        }
        let value = self.value(&name)?;
        let colon = self.peek() == Some(':');
        if colon {
            self.at += 1;
        }
        match self.next() {
            Some('}') if !colon => Ok(value.unwrap_or_default()),
            Some(operator @ ('-' | '+' | '?')) => {
                let word = self.nested('}', false)?;
                let set = value.filter(|value| !colon || !value.is_empty());
                match (operator, set) {
                    ('-', set) => Ok(set.unwrap_or(word)),
                    ('+', set) => Ok(set.map(|_| word).unwrap_or_default()),
                    (_, Some(value)) => Ok(value),
                    (_, None) => {
                        let word = if word.is_empty() { "is not set".to_owned() } else { word };
                        let (message, at) = (format!("{name}: {word}."), self.text.slice(begin, self.at));
                        Err(Error::at(
                            "dockerfile_variable",
                            &at,
                            message,
                            "Give it with --build-arg, or set a default.",
                        ))
                    }
                }
            }
            Some(operator @ ('#' | '%')) if !colon => {
                let longest = self.doubled(operator);
                let pattern = Glob::new(&self.nested('}', true)?);
                let value = value.unwrap_or_default();
                self.budget.spend(pattern.cost(&value), self.text)?;
                Ok(if operator == '#' {
                    pattern.without_prefix(&value, longest)
                } else {
                    pattern.without_suffix(&value, longest)
                })
            }
            Some('/') if !colon => {
                let all = self.doubled('/');
                let pattern = Glob::new(&self.nested('/', true)?);
                let replacement = self.nested('}', false)?;
                let value = value.unwrap_or_default();
                // A match may begin at each character, and be replaced by the whole replacement.
                let cost = pattern.cost(&value).saturating_mul(value.len());
                let cost = cost.saturating_add(value.len().saturating_mul(replacement.len()));
                self.budget.spend(cost, self.text)?;
                Ok(pattern.replaced(&value, &replacement, all))
            }
            Some(other) => {
                let message = format!("`${{{name}{other}` is no way to use a variable.");
                Err(self.syntax(begin, &message, "Write ${NAME}, ${NAME:-default} or ${NAME:+other}."))
            }
            None => Err(self.syntax(begin, "A `}` is missing.", "")),
        }
    }

    fn doubled(&mut self, operator: char) -> bool {
        let doubled = self.peek() == Some(operator);
        self.at += usize::from(doubled);
        doubled
    }

    /// Up to the `}`, or the `/` before a replacement.
    fn nested(&mut self, stop: char, pattern: bool) -> Result<String, Error> {
        if self.depth == DEPTH {
            return Err(self.syntax(self.at, "Variables are too deep within each other.", ""));
        }
        self.depth += 1;
        let outer = std::mem::replace(&mut self.pattern, pattern);
        let mut out = Out::default();
        let done = self.until(Some(stop), &mut out);
        self.pattern = outer;
        self.depth -= 1;
        done.map(|()| out.word.unwrap_or_default())
    }

    /// A name, a number, or one of the shell's special characters.
    fn name(&mut self) -> String {
        let rest = &self.characters[self.at..];
        let length = match rest.first() {
            Some(c) if c.is_ascii_alphabetic() || *c == '_' => {
                rest.iter().take_while(|c| c.is_ascii_alphanumeric() || **c == '_').count()
            }
            Some(c) if c.is_ascii_digit() => rest.iter().take_while(|c| c.is_ascii_digit()).count(),
            Some('@' | '*' | '#' | '!' | '?' | '-' | '$') => 1,
            _ => 0,
        };
        let name = rest[..length].iter().collect();
        self.at += length;
        name
    }
}
