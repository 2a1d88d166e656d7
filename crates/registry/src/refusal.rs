//! What `oci-client`'s errors mean. In: one. Out: ours.

use oci_client::errors::{OciDistributionError, OciErrorCode};

use crate::Error;
use crate::target::Target;

impl Target<'_> {
    pub(crate) fn failed(&self, error: OciDistributionError) -> Error {
        let (host, repository) = (self.host().to_owned(), self.repository().to_owned());
        match error {
            OciDistributionError::UnauthorizedError { .. } => Error::Denied {
                host,
                repository,
                said: "the credential is wrong, or not good for that".to_owned(),
            },
            OciDistributionError::AuthenticationFailure(said) => {
                Error::Denied { host, repository, said: crate::error::said(said.as_bytes()) }
            }
            OciDistributionError::ServerError { code: 401 | 403, message, .. } => {
                Error::Denied { host, repository, said: crate::error::said(message.as_bytes()) }
            }
            // The bytes were not those of the digest: ours are damaged, or broken on the way.
            OciDistributionError::ServerError { message, .. } if message.contains("DIGEST_INVALID") => {
                Error::DigestMismatch { what: format!("a blob pushed to {host}/{repository}") }
            }
            OciDistributionError::ServerError { code, message, .. } => {
                Error::refused(&host, code, message.as_bytes())
            }
            OciDistributionError::RegistryError { envelope, .. } => {
                let denied =
                    |code: &OciErrorCode| matches!(code, OciErrorCode::Denied | OciErrorCode::Unauthorized);
                let is_denied = envelope.errors.iter().any(|error| denied(&error.code));
                // The status itself is lost in `oci-client`.
                let is_busy = envelope.errors.iter().any(|error| error.code == OciErrorCode::Toomanyrequests);
                let status = if is_busy { 429 } else { 400 };
                let said: String = envelope.to_string().chars().take(300).collect();
                match is_denied {
                    true => Error::Denied { host, repository, said },
                    false => Error::Refused { host, status, said },
                }
            }
            OciDistributionError::RequestError(error) => match error.status().map(|status| status.as_u16()) {
                Some(401 | 403) => Error::Denied {
                    host,
                    repository,
                    said: "the credential is wrong, or not good for that".to_owned(),
                },
                Some(status) => Error::Refused { host, status, said: "without a word".to_owned() },
                None => Error::unreachable(&host, &error),
            },
            OciDistributionError::IoError(error) => Error::Unreachable { host, cause: error.to_string() },
            other => Error::Protocol { host, reason: other.to_string() },
        }
    }
}
