//! The commands of people and pipelines: they talk REST to a running service and to nothing else. In:
//! arguments. Out: a log, a table or JSON on standard output, and an exit code. Absent: the roles.

pub(crate) mod address;
mod build;
mod cancel;
mod context;
mod credential;
mod delivery;
mod error;
mod events;
mod follow;
mod hook;
mod interrupt;
mod line;
mod logs;
mod notify;
mod pack;
mod registry;
mod render;
mod runs;
mod service;
pub(crate) mod shared;
mod steps;
mod task;
mod token;
mod upload;
mod watch;
mod worker;

pub(crate) use build::{BuildArgs, build};
pub(crate) use cancel::{CancelArgs, cancel};
pub(crate) use credential::{CredentialCommand, credential};
pub(crate) use delivery::{DeliveryCommand, delivery};
pub(crate) use hook::{HookCommand, hook};
pub(crate) use logs::{LogsArgs, logs};
pub(crate) use registry::{RegistryCommand, registry};
pub(crate) use runs::{RunCommand, RunsArgs, run, runs};
pub(crate) use shared::seconds;
pub(crate) use task::{TaskCommand, task};
pub(crate) use token::{TokenCommand, token};
pub(crate) use worker::{WorkerCommand, worker};

use std::path::PathBuf;

use clap::Args;

use error::ClientError;
use service::Service;

/// What every help of these commands ends with.
pub(crate) const EXIT_CODES: &str = "Exit codes:
  0  succeeded            3  the run was cancelled
  1  the run failed       4  the run timed out
  2  wrong arguments, or  5  the service can't be reached or failed
     a request that the   130  left by a second ^C, the run's end unknown
     service refused";

/// What the help of a command ends with that starts and follows no run.
pub(crate) const NOUN_EXIT_CODES: &str = "Exit codes:
  0  done
  2  wrong arguments, or a request that the service refused
  5  the service can't be reached or failed";

/// Which service.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReachArgs {
    /// Address of the service [default: the local `slipway up`, or http://127.0.0.1:7420]
    #[arg(long, env = "SLIPWAY_SERVER", value_name = "URL")]
    server: Option<String>,
    /// A file that holds the access token [default: SLIPWAY_TOKEN, or the token of the local `slipway up`]
    #[arg(long, env = "SLIPWAY_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// One JSON object a line instead of text
    #[arg(long)]
    json: bool,
}

/// Which service, and which of its registries.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServiceArgs {
    #[command(flatten)]
    reach: ReachArgs,
    /// The registry, by the name the service knows it by
    #[arg(long, env = "SLIPWAY_BUILD_REGISTRY", value_name = "NAME", default_value = "local")]
    registry: String,
}

impl ServiceArgs {
    fn service(&self) -> Result<Service, ClientError> {
        self.reach.service(&self.registry)
    }

    fn json(&self) -> bool {
        self.reach.json
    }
}

impl ReachArgs {
    fn service(&self, registry: &str) -> Result<Service, ClientError> {
        let server = match &self.server {
            Some(server) => server.clone(),
            None => address::local()?.map_or_else(|| address::DEFAULT.to_owned(), |local| local.address),
        };
        Service::new(&server, registry, self.token(&server)?.as_deref())
    }

    /// A token is never an argument: other users of the machine see those.
    fn token(&self, server: &str) -> Result<Option<String>, ClientError> {
        if let Some(file) = &self.token_file {
            let text = std::fs::read_to_string(file).map_err(|error| {
                ClientError::usage(format!("The token file {} can't be read: {error}.", file.display()), "")
            })?;
            return Ok(Some(text.trim().to_owned()));
        }
        let variable = std::env::var("SLIPWAY_TOKEN").ok().filter(|token| !token.is_empty());
        Ok(variable.or_else(|| address::token_of(server)))
    }
}
