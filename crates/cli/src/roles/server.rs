//! Wiring of `slipway server`.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use cell::porch;
use clap::Args;
use database::Database;
use vault::Vault;

use super::egress::EgressArgs;
use super::keeping::RetentionArgs;
use super::serving::ServingArgs;
use super::{RoleArgs, block_on};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  slipway server --listen 127.0.0.1:7420 --key-file /run/secrets/slipway.key --database-url postgres://slipway_server:…@db/slipway")]
pub(crate) struct ServerArgs {
    #[command(flatten)]
    role: RoleArgs,
    #[command(flatten)]
    serving: ServingArgs,
    #[command(flatten)]
    egress: EgressArgs,
    #[command(flatten)]
    retention: RetentionArgs,
    /// The key that secrets are sealed with; the publisher needs the same
    #[arg(long, env = "SLIPWAY_KEY_FILE")]
    key_file: PathBuf,
    /// Address to answer REST on; other than loopback only with TLS
    #[arg(long, env = "SLIPWAY_LISTEN", default_value = "127.0.0.1:7420")]
    listen: SocketAddr,
    /// A listening socket that was inherited at this descriptor.
    #[arg(long, hide = true)]
    listen_descriptor: Option<i32>,
}

/// Bytes from which on a block is the kernel's again as soon as it is free.
const LARGE: i32 = 1 << 20;

/// glibc raises that by itself with each larger block that it sees, and then keeps tens of MiB for every thread
/// that ever held a large delivery.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a setting of the C library's allocator")]
fn give_large_blocks_back() {
    // SAFETY: it changes a number, before any other thread is there.
    unsafe { nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, LARGE) };
}

pub(crate) fn run(args: ServerArgs) -> anyhow::Result<ExitCode> {
    #[cfg(target_env = "gnu")]
    give_large_blocks_back();
    let url = args.role.url()?;
    let listener = match args.listen_descriptor {
        Some(descriptor) => inherited(descriptor)?,
        None => TcpListener::bind(args.listen).with_context(|| format!("can't listen on {}", args.listen))?,
    };
    let config = ::server::Config {
        policy: args.egress.policy(),
        keep: args.retention.keep(),
        ..args.serving.config()
    };
    ::server::check_listen_address(listener.local_addr()?, &config)?;
    listener.set_nonblocking(true)?;
    args.role.become_role(porch::SERVER_USER)?;
    block_on(async {
        let stop = args.role.stop_signals()?.stop;
        let database = Database::connect(&url, "slipway server").await?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let vault = Vault::open(&args.key_file)?;
        ::server::serve(config, database, vault, listener, stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}

#[expect(unsafe_code, reason = "the socket is inherited at a fixed descriptor")]
pub(super) fn inherited(descriptor: i32) -> anyhow::Result<TcpListener> {
    anyhow::ensure!(descriptor > 2, "{descriptor} is not a descriptor that could be a socket");
    // SAFETY: the parent put it there for this process, and nothing else here uses it. If it is not a
    // listening socket, the next call on it fails.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    nix::fcntl::fcntl(&socket, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))
        .with_context(|| format!("descriptor {descriptor} is not open"))?;
    Ok(TcpListener::from(socket))
}
