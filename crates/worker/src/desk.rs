//! What a run's holder asks of the publisher beside it. In: the lease. Out: whether the image may be pushed,
//! tokens to pull with, the run's own secrets. The worker keeps them in memory, as long as the run lasts.

use broker::{Answer, Ask, Broker, GitSecret, Question, RunSecrets};
use futures_util::future::{BoxFuture, FutureExt, Shared};
use model::{BuildSpec, Failure, SourceSpec};
use registry::PullTokens;

use crate::lease::Lease;

/// Whether the image may be pushed, once known; everybody who waits gets the same answer.
pub(crate) type Preflight = Shared<BoxFuture<'static, Result<(), Failure>>>;

/// What a run was given before its cell starts.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) desk: Desk,
    pub(crate) preflight: Preflight,
    pub(crate) secrets: RunSecrets,
}

/// The publisher, asked under one lease.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    broker: Broker,
    lease: Lease,
}

impl Desk {
    pub(crate) fn new(broker: Broker, lease: Lease) -> Self {
        Self { broker, lease }
    }

    /// Asks for what this run needs.
    ///
    /// # Errors
    /// As [`Desk::secrets`]; `git_credential_mismatch`.
    pub(crate) async fn grant(self, spec: &BuildSpec) -> Result<Granted, Failure> {
        let preflight = self.preflight();
        let secrets = match spec.source_credential.is_some() || !spec.secrets.is_empty() {
            true => self.secrets().await?,
            false => RunSecrets::default(),
        };
        check_credential(&spec.source, secrets.git.as_ref())?;
        Ok(Granted { desk: self, preflight, secrets })
    }

    /// Asked at once, beside the fetch of the source: nothing is built before the answer.
    fn preflight(&self) -> Preflight {
        let desk = self.clone();
        let asked = tokio::spawn(async move {
            match desk.ask(Ask::Preflight).await? {
                Answer::Passed => Ok(()),
                _ => Err(another_answer()),
            }
        });
        let gone = |error: tokio::task::JoinError| Failure::service("internal", error.to_string(), "");
        asked.map(move |answer| answer.unwrap_or_else(|error| Err(gone(error)))).boxed().shared()
    }

    /// The run's own.
    ///
    /// # Errors
    /// A credential that the run names is gone, or the publisher can't be asked.
    async fn secrets(&self) -> Result<RunSecrets, Failure> {
        match self.ask(Ask::Secrets).await? {
            Answer::Secrets(secrets) => Ok(secrets),
            _ => Err(another_answer()),
        }
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, Failure> {
        let Lease { run, epoch, token, .. } = self.lease.clone();
        self.broker.ask(&Question { run, epoch, token, ask }).await
    }
}

impl PullTokens for Desk {
    fn pull_token<'a>(&'a self, repository: &'a str) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        async move {
            match self.ask(Ask::PullToken { repository: repository.to_owned() }).await? {
                Answer::PullToken(token) => Ok(token.map(|token| token.expose().to_owned())),
                _ => Err(another_answer()),
            }
        }
        .boxed()
    }
}

/// A source over ssh wants a key and its host's; any other has no use for them. The service looked when the
/// run was asked for, but credentials change.
fn check_credential(source: &SourceSpec, credential: Option<&GitSecret>) -> Result<(), Failure> {
    let SourceSpec::Git { .. } = source else { return Ok(()) };
    let is_key = credential.is_some_and(|credential| credential.known_hosts.is_some());
    let (message, hint) = match (source.ssh().is_some(), is_key) {
        (true, false) => (
            "The source is fetched over ssh, and its credential is no key with host keys.",
            "`slipway credential set NAME --kind git --secret-file KEY --known-hosts-file HOSTS` keeps one.",
        ),
        (false, true) => (
            "The source's credential is a key for ssh, and its address is none of ssh.",
            "Write the address as git@host:path or ssh://git@host/path, or name a credential with a token.",
        ),
        (true, true) | (false, false) => return Ok(()),
    };
    Err(Failure::user("git_credential_mismatch", message, hint))
}

fn another_answer() -> Failure {
    Failure::service(
        "publisher_unreachable",
        "The publisher answered another question.",
        "Run the same version of worker and publisher.",
    )
}

#[cfg(test)]
mod tests {
    use broker::Secret;

    use super::*;

    #[test]
    fn a_key_goes_to_ssh_and_a_token_does_not() {
        let credential = |known_hosts: Option<&str>| GitSecret {
            username: None,
            secret: Secret::new("secret"),
            known_hosts: known_hosts.map(str::to_owned),
        };
        let (key, token) = (credential(Some("host ssh-ed25519 AAAA")), credential(None));
        for (address, credential, fits) in [
            ("git@host:a.git", Some(&key), true),
            ("git@host:a.git", Some(&token), false),
            ("git@host:a.git", None, false),
            ("https://host/a.git", Some(&key), false),
            ("https://host/a.git", Some(&token), true),
            ("https://host/a.git", None, true),
        ] {
            let source = SourceSpec::parse_git(address).expect("an address");
            let checked = check_credential(&source, credential).map_err(|failure| failure.kind);
            let expected = if fits { Ok(()) } else { Err("git_credential_mismatch".to_owned()) };
            assert_eq!(checked, expected, "{address} {credential:?}");
        }
    }
}
