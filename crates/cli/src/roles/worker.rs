//! Wiring of `slipway worker`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use cell::porch;
use clap::Args;
use database::Database;
use nix::unistd::Uid;
use tokio_util::sync::CancellationToken;

use super::build_network::BuildNetworkArgs;
use super::egress::EgressArgs;
use super::keeping::KeepingArgs;
use super::limits::LimitArgs;
use super::scrape::{self, ScrapeArgs};
use super::{RoleArgs, block_on};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  slipway worker --store /var/lib/slipway/store --publisher-socket /run/slipway/publisher.sock \\
    --database-url postgres://slipway_worker:…@db/slipway

Started as root it makes what builds need (users, subordinate ids, cgroups, a tun device) and then
gives root up. Started as an ordinary user it makes do with what the host gives: `slipway doctor`.")]
pub(crate) struct WorkerArgs {
    #[command(flatten)]
    role: RoleArgs,
    #[command(flatten)]
    scrape: ScrapeArgs,
    #[command(flatten)]
    egress: EgressArgs,
    /// Folder of the content store, on a disk of its own if possible; one worker a store
    #[arg(long, env = "SLIPWAY_STORE")]
    store: PathBuf,
    /// The publisher's socket: it is asked before a run is built whether the image may be pushed, and for
    /// the run's own secrets
    #[arg(long, env = "SLIPWAY_PUBLISHER_SOCKET")]
    publisher_socket: PathBuf,
    /// Name shown in lists [default: the host's name]
    #[arg(long, env = "SLIPWAY_WORKER_NAME")]
    name: Option<String>,
    /// Runs at the same time
    #[arg(long, env = "SLIPWAY_SLOTS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    slots: u32,
    /// Build steps of one run at the same time [default: the number of cores]
    #[arg(long, env = "SLIPWAY_CORES")]
    cores: Option<usize>,
    /// OCI runtime: crun, runc, runsc (a kernel of its own for each step) or a path [default: crun, else runc]
    #[arg(long, env = "SLIPWAY_RUNTIME")]
    runtime: Option<String>,
    #[command(flatten)]
    keeping: KeepingArgs,
    #[command(flatten)]
    network: BuildNetworkArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

pub(crate) fn run(args: WorkerArgs) -> anyhow::Result<ExitCode> {
    let url = args.role.url()?;
    let listener = args.scrape.listener()?;
    let site = args.network.read()?;
    if Uid::effective().is_root() {
        porch::make_users().context("the roles' users can't be made")?;
        porch::make_store(&args.store).context("the store can't be given to the worker")?;
        porch::furnish().context("the worker's surroundings can't be made")?;
    } else {
        std::fs::create_dir_all(&args.store)
            .with_context(|| format!("{} can't be made", args.store.display()))?;
    }
    args.role.become_role(porch::WORKER_USER)?;
    block_on(async {
        let signals = args.role.stop_signals()?;
        let stop = worker::Stop { drain: signals.stop, now: signals.now };
        // Numbers are worth having while runs under way end.
        let ended = CancellationToken::new();
        scrape::serve(listener, ended.clone())?;
        let database = Database::connect(&url, "slipway worker").await?;
        let config = worker::Config {
            store: std::path::absolute(&args.store)?,
            name: args.name.unwrap_or_else(host_name),
            slots: args.slots,
            cores: args.cores.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
            runtime: args.runtime,
            broker: broker::Broker::at(std::path::absolute(&args.publisher_socket)?),
            egress: ::egress::Options { ca_bundle: site.ca_bundle, ..::egress::Options::default() },
            network: site.network,
            policy: args.egress.policy(),
            quota: args.keeping.store_quota,
            cleaning: args.keeping.cleaning(),
            limits: args.limits.options(),
            drain: args.limits.drain(),
        };
        worker::run(config, database, stop).await?;
        ended.cancel();
        Ok(ExitCode::SUCCESS)
    })
}

fn host_name() -> String {
    nix::unistd::gethostname()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_else(|_| "worker".into())
}
