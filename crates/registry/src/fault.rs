//! What became of a request of a push that did not succeed. In: an answer, or none. Out: whether another try may
//! help, and our error.

use std::time::Duration;

use bytes::Bytes;
use oci_client::errors::OciErrorCode;
use reqwest::{Response, StatusCode};
use serde::Deserialize as _;

use crate::error::said;
use crate::get::{ERROR_LIMIT, read_limited, retry_after};
use crate::target::{Target, Trouble};
use crate::{Authorization, Error};

/// Not what was asked for.
#[derive(Debug)]
pub(crate) enum Fault {
    Answer {
        status: StatusCode,
        /// None: another host's, to which the registry led.
        body: Option<Bytes>,
        wanted: Option<Duration>,
    },
    /// No answer, or none that is one. The registry may be better later.
    Silent(Error),
    /// Asking again is of no use.
    Final(Error),
}

impl Fault {
    pub(crate) async fn of(response: Response, is_its_own: bool, host: &str) -> Self {
        let (status, wanted) = (response.status(), retry_after(response.headers()));
        let body = match is_its_own {
            true => Some(read_limited(response, ERROR_LIMIT, host).await.unwrap_or_default()),
            false => None,
        };
        Self::Answer { status, body, wanted }
    }

    /// What kept the request from succeeding, where trying again may help.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Answer { status, .. } => Trouble::of(*status),
            Self::Silent(_) => Some(Trouble::Unavailable),
            Self::Final(_) => None,
        }
    }

    /// How long the registry wants to be left alone.
    pub(crate) fn wanted(&self) -> Option<Duration> {
        match self {
            Self::Answer { wanted, .. } => *wanted,
            _ => None,
        }
    }
}

impl Target<'_> {
    pub(crate) fn failed(&self, fault: Fault) -> Error {
        let (host, repository) = (self.host().to_owned(), self.repository().to_owned());
        let (status, body) = match fault {
            Fault::Answer { status, body, .. } => (status, body),
            Fault::Silent(error) | Fault::Final(error) => return error,
        };
        let Some(body) = body else { return Error::refused_elsewhere(&host, status.as_u16()) };
        let codes = codes(&body);
        let has = |code: OciErrorCode| codes.contains(&code);
        let is_denied = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if is_denied || has(OciErrorCode::Denied) || has(OciErrorCode::Unauthorized) {
            let said = match (body.is_empty(), &self.authorization) {
                (true, Authorization::Anonymous) => "it wants a credential".to_owned(),
                (true, _) => "the credential is wrong, or not good for that".to_owned(),
                (false, _) => said(&body, &self.authorization.mask()),
            };
            return Error::Denied { host, repository, said };
        }
        // The bytes were not those of the digest: they broke on the way, for ours were checked.
        if has(OciErrorCode::DigestInvalid) {
            return Error::DigestMismatch { what: format!("a blob pushed to {host}/{repository}") };
        }
        Error::refused(&host, status.as_u16(), &body, &self.authorization.mask())
    }
}

/// Of an error's body (distribution specification, "Error Codes"); codes that are not the specification's are left out.
fn codes(body: &[u8]) -> Vec<OciErrorCode> {
    let json = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    let errors = json["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().filter_map(|error| OciErrorCode::deserialize(&error["code"]).ok()).collect()
}
