//! What registries and the way to them do wrong, and whose it is to mend.

use mask::Mask;
use model::{Digest, Failure, ImageReference, Platform};

/// A refusal, or none of the registry's answers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no image {0}")]
    ImageNotFound(ImageReference),
    #[error("the registry lets nobody read {0} without a credential")]
    ImageDenied(ImageReference),
    #[error("{image} is not there for {wanted}, only for {}", list(found))]
    PlatformMissing { image: Box<ImageReference>, wanted: Box<Platform>, found: Vec<Platform> },
    /// Valid, but of a kind that is not built upon.
    #[error("{image} can't be used: {reason}")]
    Unsupported { image: Box<ImageReference>, reason: String },
    #[error("{image} has {layers} layers, and a base image may have {most}")]
    TooManyLayers { image: Box<ImageReference>, layers: usize, most: usize },
    #[error("{image} has more than {} GiB of layers", most >> 30)]
    ImageTooLarge { image: Box<ImageReference>, most: u64 },
    #[error("{what} has another digest than it was asked for by")]
    DigestMismatch { what: String },
    /// The bytes that were to be pushed are not those of this digest.
    #[error("what was to be pushed as {0} are other bytes")]
    Damaged(Digest),
    /// Where somebody has to let it: the registry itself, or where it leads.
    #[error("{0}")]
    AddressDenied(Box<egress::Denied>),
    #[error("the registry {host} can't be reached: {cause}")]
    Unreachable { host: String, cause: String },
    #[error("the registry {host} refuses a push to {repository}: {said}")]
    Denied { host: String, repository: String, said: String },
    /// Nobody gave an authorization.
    #[error("{0}")]
    SignIn(Box<Failure>),
    #[error("the registry {host} answers {status}: {said}")]
    Refused { host: String, status: u16, said: String },
    /// What it answers is not what the specification has.
    #[error("the registry {host} breaks the protocol: {reason}")]
    Protocol { host: String, reason: String },
}

/// What a registry says of a blob or an upload that it had taken, after a restart for one (distribution
/// specification, "Error Codes"). The next try asks what is there, and uploads it again.
const LOST: [&str; 3] = ["BLOB_UNKNOWN", "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"];

fn list(platforms: &[Platform]) -> String {
    match platforms {
        [] => "none".to_owned(),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

impl Error {
    pub(crate) fn unreachable(host: &str, error: &reqwest::Error) -> Self {
        Self::Unreachable { host: host.to_owned(), cause: egress::innermost(error) }
    }

    pub(crate) fn not_sent(host: &str, error: &egress::Error) -> Self {
        match error.denied() {
            Some(denied) => Self::AddressDenied(Box::new(denied.clone())),
            None => Self::Unreachable { host: host.to_owned(), cause: error.to_string() },
        }
    }

    pub(crate) fn refused(host: &str, status: u16, body: &[u8], sent: &Mask) -> Self {
        Self::Refused { host: host.to_owned(), status, said: said(body, sent) }
    }

    /// By a host to which the registry leads, whose words are not quoted.
    pub(crate) fn refused_elsewhere(host: &str, status: u16) -> Self {
        Self::Refused { host: host.to_owned(), status, said: "so says the host that it leads to".to_owned() }
    }

    /// As a run's failure.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let message = sentence(&self.to_string());
        match self {
            Self::ImageNotFound(_) => {
                Failure::user("base_image_not_found", message, "Check the image's name and tag.")
            }
            Self::ImageDenied(_) => Failure::user(
                "base_image_denied",
                message,
                "Is the name right? An image of another registry has to be public; one of the run's own is read by the identity that pushes, where the registry gives tokens and the run is trusted.",
            ),
            Self::PlatformMissing { .. } => Failure::user(
                "image_platform_missing",
                message,
                "Build for one of those, or choose another base image.",
            ),
            Self::Unsupported { .. } => {
                Failure::user("image_unsupported", message, "Choose another base image.")
            }
            Self::TooManyLayers { .. } => Failure::user(
                "too_many_layers",
                message,
                "Choose another base image, or join the layers of this one.",
            ),
            Self::ImageTooLarge { .. } => {
                Failure::limits("image_too_large", message, "Choose a smaller base image.")
            }
            Self::Denied { .. } => Failure::user(
                "registry_denied",
                message,
                "Does the publisher sign in with the right credential (--registry-username), and may it push there?",
            ),
            Self::SignIn(failure) => (**failure).clone(),
            Self::AddressDenied(denied) => denied.failure(),
            Self::DigestMismatch { .. } => Failure::service(
                "digest_mismatch",
                message,
                "The registry or something before it is broken: pull by hand and compare.",
            ),
            Self::Damaged(_) => {
                Failure::service(Failure::BLOB_DAMAGED, message, "Check the disk that they were read from.")
            }
            Self::Unreachable { .. } => Failure::service(
                "registry_unreachable",
                message,
                "Is the address right? It is tried again while the run has attempts left.",
            ),
            // What the registry calls our request's fault will be so again, but for what it lost itself.
            Self::Refused { status, said, .. }
                if (400..500).contains(status)
                    && !matches!(status, 408 | 425 | 429)
                    && !LOST.iter().any(|code| said.contains(code)) =>
            {
                Failure::user("registry_refused", message, "The registry's own words say why.")
            }
            Self::Refused { .. } => Failure::service(
                "registry_refused",
                message,
                "It is tried again while the run has attempts left.",
            ),
            Self::Protocol { .. } => {
                Failure::service("registry_protocol", message, "Is it a registry at all?")
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        error.failure()
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", chars.as_str())
}

/// The registry's own words out of its error body (distribution specification, "Error Codes"), without what it was
/// sent, cut to 300 characters.
pub(crate) fn said(body: &[u8], sent: &Mask) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    let first = &json["errors"][0];
    let words = match (first["code"].as_str(), first["message"].as_str()) {
        (Some(code), Some(message)) => format!("{message} ({code})"),
        (Some(code), None) => code.to_owned(),
        _ => String::from_utf8_lossy(body).trim().to_owned(),
    };
    let words = if words.is_empty() { "without a word".to_owned() } else { words };
    sent.text(&words).chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registrys_own_words_are_shown_short_and_harmless() {
        let body = br#"{"errors":[{"code":"DENIED","message":"requested access is denied"}]}"#;
        let nothing = Mask::default();
        assert_eq!(said(body, &nothing), "requested access is denied (DENIED)");
        assert_eq!(said(b"\x1b[31m<html>", &nothing), "[31m<html>");
        assert_eq!(said(&[b'x'; 1000], &nothing).len(), 300);
        // A secret that is cut in two would not be found.
        let cut = format!("{}hunter2hunter2", "x".repeat(294));
        let sent = mask::Secrets::default().with("hunter2hunter2").mask();
        assert_eq!(said(cut.as_bytes(), &sent), format!("{}***", "x".repeat(294)));
    }

    #[test]
    fn only_what_may_pass_is_the_services_fault() {
        for (status, blame) in
            [(400, "user"), (413, "user"), (429, "service"), (500, "service"), (507, "service")]
        {
            let failure = Error::refused("r.example", status, b"", &Mask::default()).failure();
            assert_eq!(failure.blame.as_str(), blame, "{status}");
        }
    }

    #[test]
    fn what_the_registry_lost_is_not_the_users_fault() {
        for code in ["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"] {
            let body = format!(r#"{{"errors":[{{"code":"{code}","message":"blob unknown to registry"}}]}}"#);
            let failure = Error::refused("r.example", 400, body.as_bytes(), &Mask::default()).failure();
            assert_eq!(failure.blame.as_str(), "service", "{code}");
        }
    }
}
