//! Reading JSON field by field: a value and its path in, text or a sentence that names the path out.
//!
//! Absent: the names of any host's fields, and patience with a missing one.

use model::{Failure, SourceSpec};
use serde_json::Value;

/// A payload that does not say what its kind of event has to say.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Unreadable {
    /// Where in the JSON, for instance `pull_request.head.sha`; empty when it is no JSON at all.
    pub path: String,
    /// What is wrong, as a sentence.
    pub message: String,
    /// What to do about it, as a sentence.
    pub hint: String,
}

impl Unreadable {
    /// For an answer to the sender.
    #[must_use]
    pub fn failure(&self) -> Failure {
        Failure::user("hook_unreadable", self.message.clone(), self.hint.clone())
    }

    pub(crate) fn no_json(error: &serde_json::Error) -> Self {
        Self {
            path: String::new(),
            message: format!("The delivery's body is not JSON: {error}."),
            hint: "Let the sender use the content type application/json.".to_owned(),
        }
    }

    pub(crate) fn unknown(key: &str, known: &[&str]) -> Self {
        let key: String = key.chars().take(100).collect();
        Self {
            message: format!("The delivery's `{key}` is no field of this payload."),
            hint: format!("The fields are {}.", known.join(", ")),
            path: key,
        }
    }

    fn at(path: &str, wrong: &str) -> Self {
        Self {
            path: path.to_owned(),
            message: format!("The delivery's `{path}` {wrong}."),
            hint: "See whether the hook is of the sender's kind; the payload is not what it documents."
                .to_owned(),
        }
    }
}

/// A place in a payload.
#[derive(Clone)]
pub(crate) struct Field<'a> {
    pub(crate) value: &'a Value,
    path: String,
}

impl<'a> Field<'a> {
    pub(crate) fn root(value: &'a Value) -> Self {
        Self { value, path: String::new() }
    }

    /// The field `key`; absent also when it is null.
    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(Self { value, path: self.path_of(key) })
    }

    pub(crate) fn need(&self, key: &str) -> Result<Self, Unreadable> {
        self.get(key).ok_or_else(|| Unreadable::at(&self.path_of(key), "is missing"))
    }

    /// Text that has to be there, and not be empty.
    pub(crate) fn text(&self, key: &str) -> Result<&'a str, Unreadable> {
        let field = self.need(key)?;
        match field.value.as_str() {
            Some("") => Err(field.wrong("is empty")),
            Some(text) if text.contains('\0') => Err(field.wrong("holds the character NUL")),
            Some(text) => Ok(text),
            None => Err(field.wrong("is not text")),
        }
    }

    /// As [`Field::text`], cut where nobody reads on.
    pub(crate) fn short_text(&self, key: &str) -> Result<&'a str, Unreadable> {
        self.text(key).map(beginning)
    }

    /// Text that only people read: absent when it is anything else, or can't be kept; cut where nobody reads on.
    pub(crate) fn maybe_text(&self, key: &str) -> Option<&'a str> {
        let text = self.value.get(key)?.as_str().filter(|text| !text.is_empty() && !text.contains('\0'))?;
        Some(beginning(text))
    }

    /// A number that can be kept: Postgres has 63 bits for it.
    pub(crate) fn number(&self, key: &str) -> Result<u64, Unreadable> {
        let field = self.need(key)?;
        let number = field.value.as_u64().filter(|number| i64::try_from(*number).is_ok());
        number.ok_or_else(|| field.wrong("is not a whole number below 2^63"))
    }

    pub(crate) fn maybe_number(&self, key: &str) -> Option<u64> {
        self.value.get(key)?.as_u64()
    }

    /// Whether `key` is there and true.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.value.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn items(&self, key: &str) -> Result<Vec<Self>, Unreadable> {
        let list = self.need(key)?;
        let values = list.value.as_array().ok_or_else(|| list.wrong("is not a list"))?;
        let item = |(i, value)| Self { value, path: format!("{}[{i}]", list.path) };
        Ok(values.iter().enumerate().map(item).collect())
    }

    /// A commit id in lower case; absent when it is all zeros, which says: none.
    pub(crate) fn commit(&self, key: &str) -> Result<Option<String>, Unreadable> {
        let text = self.text(key)?;
        let is_id = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_id {
            return Err(self.need(key)?.wrong("is not a commit id of 40 or 64 hexadecimal digits"));
        }
        Ok((!text.bytes().all(|byte| byte == b'0')).then(|| text.to_ascii_lowercase()))
    }

    /// A commit id that is not all zeros.
    pub(crate) fn need_commit(&self, key: &str) -> Result<String, Unreadable> {
        let commit = self.commit(key)?;
        commit.ok_or_else(|| Unreadable::at(&self.path_of(key), "names no commit: it is all zeros"))
    }

    /// A ref or the name of a branch that may be handed to git, byte for byte.
    pub(crate) fn reference(&self, key: &str) -> Result<&'a str, Unreadable> {
        let text = self.text(key)?;
        // Checked without its namespace as well: the short name is what a person or a command sees.
        let short = text.strip_prefix("refs/heads/").or_else(|| text.strip_prefix("refs/tags/"));
        if [Some(text), short].into_iter().flatten().all(is_reference) {
            return Ok(text);
        }
        Err(self.need(key)?.wrong("is not a ref that git knows"))
    }

    pub(crate) fn wrong(&self, what: &str) -> Unreadable {
        Unreadable::at(&self.path, what)
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// Bytes of a name or an address; longer ones are nobody's.
const LONGEST: usize = 1000;

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

/// Whether a source may name it, by [`SourceSpec::validate`].
fn is_reference(text: &str) -> bool {
    let url = "https://host/repository".to_owned();
    let spec = SourceSpec::Git { url, reference: Some(text.to_owned()), subdirectory: None };
    !text.is_empty() && spec.validate().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Postgres has no place for it, neither in a text nor in JSON.
    #[test]
    fn the_character_nul_is_refused_by_name_or_left_out() {
        let json = serde_json::json!({ "push": { "ref": "a\0b", "by": "c\0d", "to": "e" } });
        let push = Field::root(&json).get("push").expect("it is there");
        let refused = push.text("ref").expect_err("it is refused");
        assert_eq!((refused.path.as_str(), refused.message.contains("NUL")), ("push.ref", true), "{refused}");
        assert_eq!((push.maybe_text("by"), push.maybe_text("to")), (None, Some("e")));
    }

    #[test]
    fn what_nobody_reads_to_the_end_is_cut_and_what_can_not_be_kept_is_refused() {
        let json = serde_json::json!({ "name": "ü".repeat(1 << 20), "most": i64::MAX, "more": 1_u64 << 63 });
        let root = Field::root(&json);
        assert_eq!(root.maybe_text("name"), Some(&*"ü".repeat(500)));
        assert_eq!(root.short_text("name").as_deref(), Ok(&*"ü".repeat(500)));
        assert_eq!(root.number("most"), Ok(i64::MAX.unsigned_abs()));
        assert_eq!(root.number("more").expect_err("it is refused").path, "more");
    }
}
