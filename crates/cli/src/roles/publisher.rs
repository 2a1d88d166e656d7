//! Wiring of `slipway publisher`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use cell::porch;
use clap::Args;
use database::Database;
use nix::unistd::Uid;
use publisher::DeskSocket;
use vault::Vault;

use super::egress::EgressArgs;
use super::scrape::{self, ScrapeArgs};
use super::{RoleArgs, block_on};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  slipway publisher --store /var/lib/slipway/store --key-file /run/secrets/slipway.key \\
    --socket /run/slipway/publisher.sock --socket-user slipway-worker

It reads the worker's content store and is the only role that opens a registry's credential.")]
pub(crate) struct PublisherArgs {
    #[command(flatten)]
    role: RoleArgs,
    #[command(flatten)]
    scrape: ScrapeArgs,
    #[command(flatten)]
    egress: EgressArgs,
    /// The worker's content store
    #[arg(long, env = "SLIPWAY_STORE")]
    store: PathBuf,
    /// The key that secrets are sealed with; the server needs the same
    #[arg(long, env = "SLIPWAY_KEY_FILE")]
    key_file: PathBuf,
    /// The Unix socket to make, at which the worker asks what it needs for a run
    #[arg(long, env = "SLIPWAY_PUBLISHER_SOCKET")]
    socket: PathBuf,
    /// User that the worker runs as, by name or number: nobody else is answered [default: as root
    /// slipway-worker, else this user]
    #[arg(long, env = "SLIPWAY_SOCKET_USER", value_name = "USER")]
    socket_user: Option<String>,
    /// Azure container registries by another name than *.azurecr.io (.cn, .us): a host, or what hosts end in. A
    /// managed identity signs in there as well
    #[arg(long, env = "SLIPWAY_ACR_SUFFIXES", value_name = "HOST", value_delimiter = ',')]
    acr_suffix: Vec<String>,
}

pub(crate) fn run(args: PublisherArgs) -> anyhow::Result<ExitCode> {
    let url = args.role.url()?;
    let listener = args.scrape.listener()?;
    let desk = desk(&args)?;
    args.role.become_role(porch::PUBLISHER_USER)?;
    block_on(async {
        let stop = args.role.stop_signals()?.stop;
        scrape::serve(listener, stop.clone())?;
        let database = Database::connect(&url, "slipway publisher").await?;
        let vault = Vault::open(&args.key_file)?;
        let identity = publisher::IdentityOptions {
            acr_suffixes: args.acr_suffix,
            ..publisher::IdentityOptions::default()
        };
        let (egress, policy) = (::egress::Options::default(), args.egress.policy());
        let config = publisher::Config { store: args.store, vault, identity, desk, egress, policy };
        publisher::run(config, database, stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Made while this is still root: the socket's folder may be root's.
fn desk(args: &PublisherArgs) -> anyhow::Result<DeskSocket> {
    let uid = match (&args.socket_user, Uid::effective().is_root()) {
        (Some(user), _) => uid_of(user)?,
        (None, true) => {
            porch::make_users().context("the roles' users can't be made")?;
            uid_of(porch::WORKER_USER)?
        }
        (None, false) => Uid::effective().as_raw(),
    };
    let socket = &args.socket;
    let listener = broker::bind(socket)
        .with_context(|| format!("the socket {} can't be made; is its folder there?", socket.display()))?;
    Ok(DeskSocket { listener, uid })
}

fn uid_of(user: &str) -> anyhow::Result<u32> {
    if let Ok(uid) = user.parse() {
        return Ok(uid);
    }
    let found =
        nix::unistd::User::from_name(user).with_context(|| format!("the user {user} can't be looked up"))?;
    Ok(found.with_context(|| format!("there is no user {user}"))?.uid.as_raw())
}
