//! Why a delivery is not believed.

use model::Failure;

/// A delivery that nothing may be done for.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// No signature, or an empty one.
    #[error("The delivery carries no signature.")]
    Unsigned,
    /// No secret of the hook made this signature.
    #[error("The delivery's signature was made with none of the hook's secrets.")]
    WrongSignature,
    /// Signed too long ago, or in the future.
    #[error("The delivery was signed more than five minutes ago, or in the future.")]
    Stale,
    /// Not what the hook's host sends. A sentence.
    #[error("{0}")]
    Malformed(String),
    /// From somebody who knows the secret, and still not what the hook's host sends. A sentence.
    #[error("{0}")]
    Unusable(String),
}

impl Refused {
    /// For an answer to the sender, who has to act.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let (kind, hint) = match self {
            Self::Unsigned => ("hook_unsigned", "Enter the hook's secret where the git host asks for it."),
            Self::WrongSignature => {
                ("hook_wrong_signature", "Compare the secret at the git host with the hook's.")
            }
            Self::Stale => ("hook_stale", "Set the sender's clock; a delivery is not sent again as it was."),
            Self::Malformed(_) | Self::Unusable(_) => {
                ("hook_malformed", "See whether the hook is of the sender's kind.")
            }
        };
        Failure::user(kind, self.to_string(), hint)
    }
}
