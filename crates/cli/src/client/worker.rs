//! `slipway worker list`. The same word with other arguments is the role itself.

use std::process::ExitCode;

use clap::Subcommand;
use server::api::{Worker, WorkerList};

use super::error::{ClientError, conclude};
use super::service::Noun;
use super::shared::{print_list, when};
use super::{NOUN_EXIT_CODES, ReachArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum WorkerCommand {
    /// List workers and what they are doing.
    #[command(after_help = format!("Example:
  slipway worker list --json | jq -r 'select(.is_alive).name'

{NOUN_EXIT_CODES}"))]
    List(ReachArgs),
}

pub(crate) async fn worker(command: WorkerCommand) -> anyhow::Result<ExitCode> {
    let WorkerCommand::List(reach) = command;
    conclude(list(&reach).await, reach.json)
}

async fn list(reach: &ReachArgs) -> Result<u8, ClientError> {
    let list: WorkerList = reach.service("")?.list(Noun::Workers).await?;
    let row = |worker: &Worker| {
        let state = if worker.is_alive { "alive" } else { "gone" };
        let runs: Vec<_> = worker.runs.iter().map(|run| run.id.to_string()).collect();
        let Worker { name, platform, slots, limits, seen_at, .. } = worker;
        let slots = format!("{} of {slots}", runs.len());
        [
            name.clone(),
            state.into(),
            platform.clone(),
            slots,
            limits.to_string(),
            when(*seen_at),
            runs.join("\n"),
        ]
    };
    let header = ["NAME", "STATE", "PLATFORM", "BUSY", "LIMITS", "SEEN", "RUNS"];
    print_list(reach.json, &list.workers, header, row, "There are no workers.");
    Ok(0)
}
