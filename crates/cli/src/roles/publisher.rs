//! Wiring of `slipway publisher`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use cell::porch;
use clap::Args;
use database::Database;

use super::{RoleArgs, block_on, stop_signal};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  slipway publisher --store /var/lib/slipway/store --registry-username ci --registry-password-file /run/secrets/ci

It reads the worker's content store and is the only role that holds the registry's credential.")]
pub(crate) struct PublisherArgs {
    #[command(flatten)]
    role: RoleArgs,
    /// The worker's content store
    #[arg(long, env = "SLIPWAY_STORE")]
    store: PathBuf,
    /// User at the registry
    #[arg(long, env = "SLIPWAY_REGISTRY_USERNAME", requires = "registry_password_file")]
    registry_username: Option<String>,
    /// A file that holds the password
    #[arg(long, env = "SLIPWAY_REGISTRY_PASSWORD_FILE", requires = "registry_username")]
    registry_password_file: Option<PathBuf>,
}

pub(crate) fn run(args: PublisherArgs) -> anyhow::Result<ExitCode> {
    let url = args.role.url()?;
    let sign_in = sign_in(&args)?;
    args.role.become_role(porch::PUBLISHER_USER)?;
    block_on(async {
        let stop = stop_signal()?;
        let database = Database::connect(&url, "slipway publisher").await?;
        let (identity, egress) = (publisher::IdentityOptions::default(), egress::Options::default());
        let config = publisher::Config { store: args.store, sign_in, identity, egress };
        publisher::run(config, database, stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn sign_in(args: &PublisherArgs) -> anyhow::Result<publisher::SignIn> {
    let (Some(username), Some(file)) = (&args.registry_username, &args.registry_password_file) else {
        return Ok(publisher::SignIn::Anonymous);
    };
    let password =
        std::fs::read_to_string(file).with_context(|| format!("{} can't be read", file.display()))?;
    let password = password.trim_end_matches('\n').to_owned();
    Ok(publisher::SignIn::Basic { username: username.clone(), password })
}
