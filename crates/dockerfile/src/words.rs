//! Splitting an instruction's text: flags, words between blanks, JSON arrays, `name=value` pairs.

use crate::error::Error;
use crate::text::Text;

/// Words between blanks; quotes and the escape character keep blanks together and stay in the words.
pub(crate) fn quoted_words(text: &Text, escape: char) -> Vec<Text> {
    split(text, escape, true)
}

/// Words between blanks, as COPY has them: only quotes of here-document names matter there.
pub(crate) fn blank_separated(text: &Text, escape: char) -> Vec<Text> {
    split(text, escape, false)
}

fn split(text: &Text, escape: char, quotes: bool) -> Vec<Text> {
    let mut words = Vec::new();
    let mut at = word_begin(text, 0);
    while at < text.len() {
        let end = word_end(text, at, escape, quotes);
        words.push(text.slice(at, end));
        at = word_begin(text, end);
    }
    words
}

/// The first character from `at` on that is no blank.
fn word_begin(text: &Text, mut at: usize) -> usize {
    while text.get(at).is_some_and(char::is_whitespace) {
        at += 1;
    }
    at
}

/// The end of the word that begins at `at`.
fn word_end(text: &Text, mut at: usize, escape: char, quotes: bool) -> usize {
    let mut quote = None;
    while let Some(character) = text.get(at) {
        match (quote, character) {
            (None, c) if c.is_whitespace() => return at,
            (None, '"' | '\'') if quotes => quote = Some(character),
            (Some(open), c) if c == open => quote = None,
            // Within single quotes nothing is escaped.
            (open, c) if quotes && c == escape && open != Some('\'') => {
                at += 1;
            }
            _ => {}
        }
        at += 1;
    }
    at.min(text.len())
}

/// A flag: `--name` or `--name=value`.
#[derive(Debug, Clone)]
pub(crate) struct Flag {
    /// Whole.
    pub(crate) text: Text,
    pub(crate) name: String,
    pub(crate) value: Option<Text>,
}

/// The flags at the beginning and the rest.
pub(crate) fn flags(text: &Text, escape: char) -> (Vec<Flag>, Text) {
    let mut flags = Vec::new();
    let mut at = word_begin(text, 0);
    while text.get(at) == Some('-') && text.get(at + 1) == Some('-') {
        let end = word_end(text, at, escape, true);
        let word = text.slice(at, end);
        at = word_begin(text, end);
        let name = word.slice(2, word.len());
        // `--` alone ends them.
        if name.is_empty() {
            break;
        }
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name.string(), Some(value)),
            None => (name.string(), None),
        };
        flags.push(Flag { text: word, name, value });
    }
    (flags, text.slice(at, text.len()).trim())
}

/// A JSON array of strings, if that is what it is. What is no JSON is the other form; an array of other
/// things is neither.
pub(crate) fn json_array(text: &Text) -> Result<Option<Vec<Text>>, Error> {
    let trimmed = text.trim();
    if trimmed.get(0) != Some('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(&trimmed.string()) else {
        return Ok(None);
    };
    let words: Option<Vec<Text>> =
        values.iter().map(|value| value.as_str().map(|word| trimmed.with(word))).collect();
    match words {
        Some(words) => Ok(Some(words)),
        None => Err(Error::syntax(
            &trimmed,
            "An array may hold nothing but strings here.",
            "Put double quotes around each element.",
        )),
    }
}

/// `a=b c="d e"`, or `a b c` where the first word has no `=`: then all that follows it is the value. The
/// second answer says which it was.
pub(crate) fn pairs(text: &Text, escape: char) -> Result<(Vec<(Text, Text)>, bool), Error> {
    let words = quoted_words(text, escape);
    let Some(first) = words.first() else { return Ok((Vec::new(), false)) };
    if first.split_once('=').is_none() {
        let value = text.trim().slice(first.len(), text.len()).trim();
        if value.is_empty() {
            let message = format!("`{}` has no value.", first.string());
            return Err(Error::syntax(first, message, "Write NAME=VALUE."));
        }
        return Ok((vec![(first.clone(), value)], true));
    }
    let mut pairs = Vec::new();
    for word in words {
        let Some((name, value)) = word.split_once('=') else {
            let message = format!("`{}` is not NAME=VALUE.", word.string());
            return Err(Error::syntax(&word, message, "Put quotes around a value that has blanks."));
        };
        if name.is_empty() {
            return Err(Error::syntax(&word, "A name is missing before the `=`.", "Write NAME=VALUE."));
        }
        pairs.push((name, value));
    }
    Ok((pairs, false))
}
