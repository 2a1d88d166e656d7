//! `slipway delivery`: what a git host sent, what became of it and why.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use server::api::Delivery;

use super::error::{ClientError, conclude};
use super::shared::{print_list, print_one, when, when_known};
use super::{NOUN_EXIT_CODES, ServiceArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum DeliveryCommand {
    /// List deliveries, newest first.
    #[command(after_help = format!("Examples:
  slipway delivery list --status ignored
  slipway delivery list --hook github
  slipway delivery list --json | jq -r '.summary'

{NOUN_EXIT_CODES}"))]
    List(ListArgs),
    /// Show a delivery, and why each task was started or not.
    #[command(after_help = format!("Examples:
  slipway delivery show DELIVERY
  slipway delivery show DELIVERY --json | jq -r .body

With --json also its headers and its body, as they were sent.

{NOUN_EXIT_CODES}"))]
    Show(NamedArgs),
    /// Look at a delivery once more, with the tasks as they are now.
    #[command(after_help = format!("Example:
  slipway delivery replay DELIVERY

A commit that a task was run for already is not run again: `slipway task run` does that.

{NOUN_EXIT_CODES}"))]
    Replay(NamedArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    service: ServiceArgs,
    /// Only those that stand there
    #[arg(long, value_parser = ["received", "matched", "ignored", "failed"])]
    status: Option<String>,
    /// Only those that came to this hook
    #[arg(long, value_name = "NAME")]
    hook: Option<String>,
    /// How many, newest first
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// The delivery's id
    id: model::DeliveryId,
    #[command(flatten)]
    service: ServiceArgs,
}

pub(crate) async fn delivery(command: DeliveryCommand) -> anyhow::Result<ExitCode> {
    let json = match &command {
        DeliveryCommand::List(args) => args.service.json(),
        DeliveryCommand::Show(args) | DeliveryCommand::Replay(args) => args.service.json(),
    };
    conclude(carry_out(&command, json).await, json)
}

async fn carry_out(command: &DeliveryCommand, json: bool) -> Result<u8, ClientError> {
    match command {
        DeliveryCommand::List(args) => {
            let service = args.service.service()?;
            let list =
                service.list_deliveries(args.status.as_deref(), args.hook.as_deref(), args.limit).await?;
            let row = |delivery: &Delivery| {
                let Delivery { id, hook, received_at, summary, .. } = delivery;
                [id.to_string(), when(*received_at), hook.clone(), summary.clone()]
            };
            let none = match args.status.is_some() || args.hook.is_some() {
                true => format!("There are no such deliveries in registry {}.", service.registry()),
                false => format!("Nothing was delivered to registry {}.", service.registry()),
            };
            print_list(json, &list, ["DELIVERY", "RECEIVED", "HOOK", "WHAT BECAME OF IT"], row, &none);
        }
        DeliveryCommand::Show(args) => {
            show(json, &args.service.service()?.get_delivery(&args.id.to_string()).await?);
        }
        DeliveryCommand::Replay(args) => {
            show(json, &args.service.service()?.replay_delivery(&args.id.to_string()).await?);
        }
    }
    Ok(0)
}

fn show(json: bool, delivery: &Delivery) {
    let decisions = delivery.decisions.iter().map(|decision| {
        let verdict = match (decision.starts, decision.was_there) {
            (true, true) => "was there already",
            (true, false) => "started",
            (false, _) => "not started",
        };
        let run = decision.run.map(|run| format!(", run {run}")).unwrap_or_default();
        format!("{}: {verdict}, {}{run}", decision.task, decision.reason)
    });
    print_one(
        json,
        delivery,
        &[
            ("delivery", delivery.id.to_string()),
            ("hook", delivery.hook.clone()),
            ("event", format!("{} (the sender's id: {})", delivery.event, delivery.sender_id)),
            ("received", when(delivery.received_at)),
            ("worked off", when_known(delivery.worked_at)),
            ("outcome", delivery.summary.clone()),
            ("tasks", decisions.collect::<Vec<_>>().join("\n")),
        ],
    );
}
