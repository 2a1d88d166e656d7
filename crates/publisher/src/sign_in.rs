//! From what a registry's row says to a credential, opened.

use model::{CredentialKind, Failure, SignIn};
use registry::Credentials;

use crate::House;

/// The credential that a registry is signed in to with.
pub(crate) async fn credentials(
    house: &House,
    registry: &str,
    sign_in: &SignIn,
) -> Result<Credentials, Failure> {
    match sign_in {
        SignIn::Anonymous => Ok(Credentials::Anonymous),
        SignIn::Basic { credential } => {
            let found = house.database.sealed_credential(registry, credential).await;
            let found = found.map_err(|error| error.failure())?;
            let found = found
                .filter(|found| found.kind == CredentialKind::Registry)
                .ok_or_else(|| gone(credential))?;
            let secret = house.vault.unseal(&format!("credential/{registry}/{credential}"), &found.sealed);
            let password = secret.map_err(|error| error.failure())?.expose().to_owned();
            Ok(Credentials::Basic { username: found.username.unwrap_or_default(), password })
        }
        _ => Err(Failure::user(
            "sign_in_unsupported",
            "This way to sign in is not possible yet.",
            "Use `basic`.",
        )),
    }
}

fn gone(credential: &str) -> Failure {
    Failure::user(
        "credential_not_found",
        format!("The registry's credential `{credential}` is not there."),
        "Set it anew: `slipway credential set`.",
    )
}
