//! The questions and their answers, one JSON object each.

use std::collections::BTreeMap;
use std::fmt;

use model::{Epoch, LeaseToken, RunId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// One of the three questions, and the lease that it is asked under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    pub run: RunId,
    pub epoch: Epoch,
    pub token: LeaseToken,
    pub ask: Ask,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// May the run's image be pushed? Asked of the registry, before anything is built.
    Preflight,
    /// A token that pulls from this repository of the run's own registry, and can do nothing else.
    PullToken { repository: String },
    /// What the run declares: the credential of its source, and its build's secrets.
    Secrets,
}

/// The answer to the question of that name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Passed,
    /// None where there is no such token: the registry gives none, or the run is not trusted.
    PullToken(Option<Secret>),
    Secrets(RunSecrets),
}

/// The secrets that a run may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSecrets {
    /// For the run's declared source, and nothing else.
    pub git: Option<GitSecret>,
    /// By the id that a Dockerfile names them with. An untrusted run has none.
    pub build: BTreeMap<String, Secret>,
}

/// How a source is fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitSecret {
    /// None where the host takes a token alone, and for ssh.
    pub username: Option<String>,
    /// Password, token, or private key.
    pub secret: Secret,
    /// Lines of known_hosts(5), for ssh.
    pub known_hosts: Option<String>,
}

/// A secret in memory: never printed, wiped when it is dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes it over.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// To be used at once, and not kept.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
