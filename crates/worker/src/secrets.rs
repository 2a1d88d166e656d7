//! What is masked of a run's log and failure. In: its secrets, as they were granted. Out: a mask.

use broker::RunSecrets;
use mask::{Mask, Secrets};

pub(crate) fn mask_of(secrets: &RunSecrets) -> Mask {
    let build = secrets.build.values();
    let found = build.fold(Secrets::default(), |found, secret| found.with(secret.expose()));
    let found = match &secrets.git {
        Some(git) => {
            let user = git.username.as_deref().unwrap_or(crate::git::DEFAULT_USER);
            found.with_login(user, git.secret.expose())
        }
        None => found,
    };
    found.mask()
}
