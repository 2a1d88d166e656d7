//! The three questions of the worker beside us, for a run that it proves to hold. In: a question; the run's
//! row, from the database. Out: whether its image may be pushed, a token that only pulls, its own secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::{Answer, Answers, Ask, GitSecret, Question, RunSecrets, Secret};
use database::LeasedSource;
use futures_util::future::{BoxFuture, FutureExt};
use identity::{Access, Authorization, Identity};
use model::{CredentialKind, Failure, Trust};

use crate::House;
use crate::publication::while_away;
use crate::sign_in::Asker;

/// Answers with what the house knows.
pub(crate) struct Desk(pub(crate) Arc<House>);

impl Answers for Desk {
    fn answer(&self, question: Question) -> BoxFuture<'_, Result<Answer, Failure>> {
        async move {
            let Question { run, epoch, token, ask } = question;
            let (database, token) = (&self.0.database, &token);
            let held = while_away(|| database.leased_run(run, epoch, token)).await;
            let held = held.map_err(|error| error.failure())?;
            match ask {
                Ask::Preflight => self.preflight(&held).await.map(|()| Answer::Passed),
                Ask::PullToken { repository } => {
                    self.pull_token(&held, &repository).await.map(Answer::PullToken)
                }
                Ask::Secrets => self.secrets(&held).await.map(Answer::Secrets),
            }
        }
        .boxed()
    }
}

impl Desk {
    async fn identity(&self, held: &LeasedSource) -> Result<Identity, Failure> {
        let target = (held.registry_address.as_str(), held.plain_http);
        self.0.identities.of(self.asker(held), target, &held.sign_in).await
    }

    fn asker<'a>(&'a self, held: &'a LeasedSource) -> Asker<'a> {
        Asker { database: &self.0.database, registry: &held.registry_name, lease: held.lease() }
    }

    /// Nothing to push needs no right.
    async fn preflight(&self, held: &LeasedSource) -> Result<(), Failure> {
        let mut repositories: Vec<&str> =
            held.images.iter().map(|name| name.split(':').next().unwrap_or(name)).collect();
        repositories.sort_unstable();
        repositories.dedup();
        if repositories.is_empty() {
            return Ok(());
        }
        let identity = self.identity(held).await?;
        identity.preflight(&repositories).await.map_err(|error| error.failure())
    }

    /// A stranger's build reads what everybody may read. A password is not given away: a registry without
    /// tokens is pulled from by name alone.
    async fn pull_token(&self, held: &LeasedSource, repository: &str) -> Result<Option<Secret>, Failure> {
        if held.trust == Trust::Untrusted {
            return Ok(None);
        }
        let identity = self.identity(held).await?;
        let authorization = identity.authorization(&[repository], Access::Pull).await;
        Ok(match authorization.map_err(|error| error.failure())? {
            Authorization::Bearer { token, .. } => Some(Secret::new(token)),
            Authorization::Basic { .. } | Authorization::Anonymous => None,
        })
    }

    async fn secrets(&self, held: &LeasedSource) -> Result<RunSecrets, Failure> {
        let mut secrets = RunSecrets::default();
        if let Some(name) = &held.spec.source_credential {
            secrets.git = Some(self.credential(held, name, CredentialKind::Git).await?);
        }
        if held.trust == Trust::Trusted {
            secrets.build = self.build_secrets(held).await?;
        }
        Ok(secrets)
    }

    async fn build_secrets(&self, held: &LeasedSource) -> Result<BTreeMap<String, Secret>, Failure> {
        let mut secrets = BTreeMap::new();
        for (id, name) in &held.spec.secrets {
            let credential = self.credential(held, name, CredentialKind::Build).await?;
            secrets.insert(id.clone(), credential.secret);
        }
        Ok(secrets)
    }

    /// One of the run's registry's credentials, which the run's own row names.
    async fn credential(
        &self,
        held: &LeasedSource,
        name: &str,
        kind: CredentialKind,
    ) -> Result<GitSecret, Failure> {
        let opened = self.0.identities.credential(self.asker(held), name, kind).await?;
        let secret = Secret::new(opened.secret.expose());
        Ok(GitSecret { username: opened.username, secret, known_hosts: opened.known_hosts })
    }
}
