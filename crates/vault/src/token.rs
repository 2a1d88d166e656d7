//! Access tokens: made here once, and kept as a hash only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::Secret;

/// What every token begins with, so that scanners for leaked secrets find one.
pub const TOKEN_PREFIX: &str = "sw_";

/// A token and what is kept of it.
#[derive(Debug)]
pub struct Token {
    /// `sw_` and 43 characters: shown once.
    pub text: Secret,
    /// SHA-256 of the text. 32 random bytes need no slower hash.
    pub hash: [u8; 32],
    /// The first characters, by which a person tells tokens apart.
    pub shown: String,
}

impl Token {
    /// A new one, from the system's randomness.
    ///
    /// # Errors
    /// The system gives none.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let text = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        Ok(Self { hash: Self::hash(&text), shown: text.chars().take(7).collect(), text: Secret::new(text) })
    }

    /// What is kept of a token's text.
    #[must_use]
    pub fn hash(text: &str) -> [u8; 32] {
        Sha256::digest(text).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_prefix_and_43_characters_and_no_two_are_the_same() {
        let (one, two) = (Token::random().expect("randomness"), Token::random().expect("randomness"));
        assert_eq!(one.text.expose().len(), 46);
        assert!(one.text.expose().starts_with(&one.shown) && one.shown.starts_with(TOKEN_PREFIX));
        assert_ne!(one.hash, two.hash);
        assert_eq!(one.hash, Token::hash(one.text.expose()));
    }
}
