//! What keeps us from an authorization, and whose it is to mend. No variant holds a secret.

use model::Failure;

const LONGEST_WORD: usize = 80;

/// A sign-in that came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// IMDS, Entra or the token's file: no answer, or none that can be read.
    #[error("the identity for {host} can't be had: {cause}")]
    IdentityUnavailable { host: String, cause: String },
    /// Entra or IMDS said no, or the declaration is incomplete.
    #[error("the identity for {host} is refused: {said}")]
    IdentityRefused { host: String, said: String },
    /// A token of Entra's is for registries of Azure's alone.
    #[error("an identity of Azure's does not sign in to {host}: {why}")]
    NoPlaceForIdentity { host: String, why: String },
    /// The registry or its token server said no.
    #[error("the registry {host} refuses the sign-in: {said}")]
    Denied { host: String, said: String, hint: String },
    /// It knows us, but does not let us push.
    #[error("the registry {host} gives no right to push to {}", .repositories.join(", "))]
    MayNotPush { host: String, repositories: Vec<String>, hint: String },
    #[error("the registry {host} can't be reached: {cause}")]
    Unreachable { host: String, cause: String },
    /// Of the token server that a registry names.
    #[error("{0}")]
    AddressDenied(Box<egress::Denied>),
}

impl Error {
    /// As a run's failure.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let message = sentence(&self.to_string());
        match self {
            Self::IdentityUnavailable { .. } => Failure::service(
                "identity_unavailable",
                message,
                "It is tried again while the run has attempts left. Is this machine given an identity, and does it reach where that is had?",
            ),
            Self::IdentityRefused { .. } => Failure::user(
                "identity_refused",
                message,
                "Check tenant, client id and secret, and that the identity is assigned to this machine.",
            ),
            Self::NoPlaceForIdentity { .. } => Failure::user(
                "identity_refused",
                message,
                "Sign in with user and password; or, where the host is an Azure container registry by another name, name that to the publisher: `--acr-suffix`.",
            ),
            Self::Denied { hint, .. } | Self::MayNotPush { hint, .. } => {
                Failure::user("registry_denied", message, hint.clone())
            }
            Self::AddressDenied(denied) => denied.failure(),
            Self::Unreachable { .. } => Failure::service(
                "registry_unreachable",
                message,
                "Is the address right? It is tried again while the run has attempts left.",
            ),
        }
    }

    /// Whether it may pass by itself.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::IdentityUnavailable { .. } | Self::Unreachable { .. })
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

/// Somebody else's words: one line, harmless, at most 300 characters. A word that is as long as a token is
/// left out: some servers repeat what they were sent.
pub(crate) fn short(words: &str) -> String {
    let line = words.trim().lines().next().unwrap_or_default();
    let words = line.split(' ').map(|word| if word.len() > LONGEST_WORD { "…" } else { word });
    let words = words.collect::<Vec<_>>().join(" ");
    let words: String = words.chars().filter(|c| !c.is_control()).take(300).collect();
    if words.is_empty() { "without a word".to_owned() } else { words }
}

/// The innermost cause: the outer ones only repeat the address.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    short(&cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_others_are_shown_short_and_without_tokens() {
        assert_eq!(short("\x1b[31mno\nsecond line"), "[31mno");
        assert_eq!(short(&format!("the token {} is bad", "x".repeat(81))), "the token … is bad");
        assert_eq!(short(&"word ".repeat(100)).len(), 300);
        assert_eq!(short(" "), "without a word");
    }
}
