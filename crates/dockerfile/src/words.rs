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
    let (mut begin, mut quote, mut at) = (None, None, 0);
    while let Some(character) = text.get(at) {
        match (quote, character) {
            (None, c) if c.is_whitespace() => {
                if let Some(begin) = begin.take() {
                    words.push(text.slice(begin, at));
                }
                at += 1;
                continue;
            }
            (None, '"' | '\'') if quotes => quote = Some(character),
            (Some(open), c) if c == open => quote = None,
            // Within single quotes nothing is escaped.
            (open, c) if quotes && c == escape && open != Some('\'') => {
                begin.get_or_insert(at);
                at += 1;
            }
            _ => {}
        }
        begin.get_or_insert(at);
        at += 1;
    }
    if let Some(begin) = begin {
        words.push(text.slice(begin, text.len()));
    }
    words
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
    let mut rest = text.trim();
    while rest.get(0) == Some('-') && rest.get(1) == Some('-') {
        let Some(word) = quoted_words(&rest, escape).into_iter().next() else { break };
        rest = rest.slice(word.len(), rest.len()).trim();
        let name = word.slice(2, word.len());
        if name.is_empty() {
            break;
        }
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name.string(), Some(value)),
            None => (name.string(), None),
        };
        flags.push(Flag { text: word, name, value });
    }
    (flags, rest)
}

/// A JSON array of strings, if that is what it is; everything else is the other form.
pub(crate) fn json_array(text: &Text) -> Option<Vec<Text>> {
    let trimmed = text.trim();
    if trimmed.get(0) != Some('[') {
        return None;
    }
    let words: Vec<String> = serde_json::from_str(&trimmed.string()).ok()?;
    Some(words.iter().map(|word| trimmed.with(word)).collect())
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
