//! The header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-08).

use axum::http::HeaderMap;
use sha2::{Digest as _, Sha256};

use crate::http::kind;
use crate::http::problem::Problem;

/// Longest key that is taken.
const LONGEST: usize = 255;

/// The client's key and what it was sent with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdempotencyKey {
    pub(crate) key: String,
    /// SHA-256 over the request as it was understood, so that blanks and the order of fields don't count.
    pub(crate) request: [u8; 32],
}

impl IdempotencyKey {
    /// The key of a request, if it has one. The draft has it as a quoted string; bare words are taken too.
    pub(crate) fn of(headers: &HeaderMap, body: &impl serde::Serialize) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Problem::new(
                &kind::HEADER_INVALID,
                "The request has two idempotency keys.",
                "Send one for each request.",
            )
            .in_field("Idempotency-Key"));
        }
        let text = value.to_str().unwrap_or_default().trim();
        let bare = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
        let sane = (1..=LONGEST).contains(&bare.len()) && bare.bytes().all(|b| (b' '..=b'~').contains(&b));
        if !sane {
            return Err(Problem::new(
                &kind::HEADER_INVALID,
                format!("The idempotency key is not 1 to {LONGEST} printable ASCII characters."),
                "Send a UUID, for instance.",
            )
            .in_field("Idempotency-Key"));
        }
        let canonical = serde_json::to_vec(body).unwrap_or_default();
        Ok(Some(Self { key: bare.to_owned(), request: Sha256::digest(&canonical).into() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: &str, body: &str) -> Result<Option<IdempotencyKey>, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", value.parse().expect("a header"));
        IdempotencyKey::of(&headers, &serde_json::from_str::<crate::api::NewRun>(body).expect("a body"))
    }

    #[test]
    fn writing_the_same_request_differently_is_the_same_request() {
        let short = key("a", r#"{"source":"https://e.com/a.git","images":["x"]}"#).expect("taken");
        let long = key(
            "\"a\"",
            r#"{ "images":["x"], "no_cache":false, "source":{"type":"git","url":"https://e.com/a.git"} }"#,
        );
        assert_eq!(Some(short), long.ok());
        let other = key("a", r#"{"source":"https://e.com/a.git","images":["y"]}"#).expect("taken");
        assert_ne!(key("a", r#"{"source":"https://e.com/a.git"}"#).expect("taken"), other);
    }

    #[test]
    fn an_empty_or_endless_key_is_refused() {
        let body = r#"{"source":"https://e.com/a.git"}"#;
        for bad in ["", "\"\"", &"x".repeat(256)] {
            assert!(key(bad, body).is_err(), "{bad}");
        }
        let mut twice = HeaderMap::new();
        for value in ["a", "b"] {
            twice.append("idempotency-key", value.parse().expect("a header"));
        }
        assert!(IdempotencyKey::of(&twice, &body).is_err(), "which one counts is not guessed");
    }
}
