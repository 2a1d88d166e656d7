//! Wiring of `slipway publisher`.

use std::path::PathBuf;
use std::process::ExitCode;

use cell::porch;
use clap::Args;
use database::Database;
use vault::Vault;

use super::{RoleArgs, block_on, stop_signal};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  slipway publisher --store /var/lib/slipway/store --key-file /run/secrets/slipway.key

It reads the worker's content store and is the only role that opens a registry's credential.")]
pub(crate) struct PublisherArgs {
    #[command(flatten)]
    role: RoleArgs,
    /// The worker's content store
    #[arg(long, env = "SLIPWAY_STORE")]
    store: PathBuf,
    /// The key that secrets are sealed with; the server needs the same
    #[arg(long, env = "SLIPWAY_KEY_FILE")]
    key_file: PathBuf,
}

pub(crate) fn run(args: PublisherArgs) -> anyhow::Result<ExitCode> {
    let url = args.role.url()?;
    args.role.become_role(porch::PUBLISHER_USER)?;
    block_on(async {
        let stop = stop_signal()?;
        let database = Database::connect(&url, "slipway publisher").await?;
        let vault = Vault::open(&args.key_file)?;
        let (identity, egress) = (publisher::IdentityOptions::default(), egress::Options::default());
        let config = publisher::Config { store: args.store, vault, identity, egress };
        publisher::run(config, database, stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}
