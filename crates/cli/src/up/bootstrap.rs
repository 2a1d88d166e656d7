//! What the database needs before a role can work: roles, tables, the registry's row, a first token.

use std::path::{Path, PathBuf};

use anyhow::Context;
use cell::porch;
use database::{Database, NewCredential, NewRegistry, PutCredential};
use model::{CredentialKind, SignIn};
use vault::Vault;

use super::UpArgs;
use super::layout::Layout;
use crate::roles::first_token::first_token;

/// The registry that `slipway up` makes.
pub(crate) const REGISTRY: &str = "local";
/// The credential that `--registry-username` makes.
const CREDENTIAL: &str = "registry";

/// What a person is told once.
pub(crate) struct Bootstrapped {
    /// As the server's role.
    pub(crate) database: Database,
    /// A first administrator's token, if one was made now.
    pub(crate) token: Option<vault::Secret>,
    /// Where the command line of this user finds it.
    pub(crate) token_file: PathBuf,
}

/// Roles with passwords of their own, tables up to date, the registry, and a token.
pub(crate) async fn bootstrap(
    args: &UpArgs,
    layout: &Layout,
    admin: &str,
    address: &str,
) -> anyhow::Result<Bootstrapped> {
    let passwords = database::migrate::Passwords::random()?;
    let urls = database::migrate::roles(admin, &passwords).await?;
    database::migrate::run(&urls.owner).await?;
    for (role, owner, url) in [
        ("server", porch::SERVER_USER, &urls.server),
        ("worker", porch::WORKER_USER, &urls.worker),
        ("publisher", porch::PUBLISHER_USER, &urls.publisher),
    ] {
        layout.write_secret(&layout.database_url(role), owner, url)?;
    }
    let vault = keys(layout)?;
    let database = Database::connect(&urls.server, "slipway up").await?;
    name_registry(args, &database, &vault, address).await?;
    let token_file = layout.data.join("secrets/administrator.token");
    let token = first_token(&database, &token_file).await?;
    Ok(Bootstrapped { database, token, token_file })
}

/// One key; a copy each for the two roles that may open secrets.
fn keys(layout: &Layout) -> anyhow::Result<Vault> {
    let path = layout.data.join("secrets/encryption.key");
    vault::make_key_file(&path).with_context(|| format!("{} can't be made", path.display()))?;
    let key = std::fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))?;
    for (role, owner) in [("server", porch::SERVER_USER), ("publisher", porch::PUBLISHER_USER)] {
        layout.write_secret(&layout.key(role), owner, &key)?;
    }
    Ok(Vault::open(&path)?)
}

async fn name_registry(
    args: &UpArgs,
    database: &Database,
    vault: &Vault,
    address: &str,
) -> anyhow::Result<()> {
    let there = database.get_registry(REGISTRY).await?;
    let plain_http = args.registry_plain_http || args.registry.is_none();
    if there.is_none() {
        database.upsert_registry(REGISTRY, address, plain_http).await?;
    }
    let sign_in = match (&args.registry_username, &args.registry_password_file) {
        (Some(user), Some(file)) => {
            keep_password(database, vault, user, file).await?;
            SignIn::Basic { credential: CREDENTIAL.to_owned() }
        }
        // A credential is never sent to another registry than it was given for.
        _ => match &there {
            Some(there) if there.address == address => there.sign_in.clone(),
            _ => SignIn::Anonymous,
        },
    };
    let notify = there.map(|there| there.notify).unwrap_or_default();
    let row =
        NewRegistry { name: REGISTRY.to_owned(), address: address.to_owned(), plain_http, sign_in, notify };
    database.update_registry(&row, None).await?;
    Ok(())
}

async fn keep_password(database: &Database, vault: &Vault, user: &str, file: &Path) -> anyhow::Result<()> {
    let password =
        std::fs::read_to_string(file).with_context(|| format!("{} can't be read", file.display()))?;
    let sealed =
        vault.seal(&format!("credential/{REGISTRY}/{CREDENTIAL}"), password.trim_end_matches('\n'))?;
    let new = NewCredential {
        registry: REGISTRY.to_owned(),
        name: CREDENTIAL.to_owned(),
        kind: CredentialKind::Registry,
        username: Some(user.to_owned()),
        known_hosts: None,
        sealed,
    };
    match database.put_credential(&new).await? {
        PutCredential::Kept(_) => Ok(()),
        PutCredential::InUse => {
            anyhow::bail!("the credential `{CREDENTIAL}` of `{REGISTRY}` is of another kind, and in use")
        }
    }
}
