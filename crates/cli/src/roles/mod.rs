//! What every role has in common: where its database is, who it becomes, when it stops.

pub(crate) mod backup;
pub(crate) mod build_network;
pub(crate) mod egress;
pub(crate) mod first_token;
pub(crate) mod keeping;
pub(crate) mod limits;
pub(crate) mod migrate;
pub(crate) mod publisher;
pub(crate) mod scrape;
pub(crate) mod server;
pub(crate) mod serving;
pub(crate) mod worker;

use std::path::PathBuf;

use anyhow::Context;
use cell::porch;
use clap::Args;
use nix::unistd::{Pid, Uid};
use tokio_util::sync::CancellationToken;

/// Where the database is, and whether to die with a parent.
#[derive(Debug, Clone, Args)]
pub(crate) struct RoleArgs {
    /// The database, as this role: postgres://role:password@host/name
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// A file that holds it
    #[arg(long, env = "DATABASE_URL_FILE", conflicts_with = "database_url")]
    database_url_file: Option<PathBuf>,
    /// End when this process, the parent, ends.
    #[arg(long, hide = true)]
    parent: Option<i32>,
}

impl RoleArgs {
    /// The address, from the argument or its file.
    pub(crate) fn url(&self) -> anyhow::Result<String> {
        match (&self.database_url, &self.database_url_file) {
            (Some(url), _) => Ok(url.clone()),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("{} can't be read", file.display()))?;
                Ok(text.trim().to_owned())
            }
            (None, None) => anyhow::bail!("no database: give --database-url, or set DATABASE_URL"),
        }
    }

    /// Becomes the role's user where this is root, and asks to die with the parent. The address of
    /// the database is read before: its file may be root's.
    pub(crate) fn become_role(&self, user: &str) -> anyhow::Result<()> {
        let parent = self.parent.map(Pid::from_raw);
        if Uid::effective().is_root() {
            porch::make_users().context("the roles' users can't be made")?;
            porch::become_user(user, parent).context("root can't be given up")?;
        } else {
            porch::die_with(parent)?;
        }
        Ok(())
    }

    /// Told by SIGTERM; by SIGINT too, unless a parent passes on what it is told: ^C reaches all at once.
    pub(crate) fn stop_signals(&self) -> anyhow::Result<StopSignals> {
        StopSignals::listen(self.parent.is_none())
    }
}

/// What a process is told by signals.
#[derive(Debug, Clone, Default)]
pub(crate) struct StopSignals {
    /// The first: to stop.
    pub(crate) stop: CancellationToken,
    /// The second: not to wait for anything.
    pub(crate) now: CancellationToken,
}

/// A runtime for one command.
pub(crate) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
}

impl StopSignals {
    /// Listens from now on. An interrupt that does not count is ignored.
    pub(crate) fn listen(interrupt_counts: bool) -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let told = Self::default();
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let signals = told.clone();
        tokio::spawn(async move {
            for (token, word) in [(signals.stop, "stopping"), (signals.now, "stopping at once")] {
                loop {
                    tokio::select! {
                        _ = terminate.recv() => break,
                        _ = interrupt.recv() => if interrupt_counts { break },
                    }
                }
                tracing::info!("{word}");
                token.cancel();
            }
        });
        Ok(told)
    }
}
