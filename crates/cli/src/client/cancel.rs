//! `slipway cancel`.

use std::process::ExitCode;

use clap::Args;
use model::RunId;

use super::error::{ClientError, conclude};
use super::render::word;
use super::{EXIT_CODES, ServiceArgs};

#[derive(Debug, Args)]
#[command(after_help = format!("Example:
  slipway cancel 0190b6a3-5c1f-7a7e-b3a5-2d1d0c9e8f70

May be repeated. A run is cancelled until the push of its image's manifest begins.

{EXIT_CODES}"))]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    service: ServiceArgs,
    /// The run's id
    run: RunId,
}

pub(crate) async fn cancel(args: CancelArgs) -> anyhow::Result<ExitCode> {
    conclude(carry_out(&args).await, args.service.json())
}

#[expect(clippy::print_stdout, reason = "the command line speaks to people here")]
async fn carry_out(args: &CancelArgs) -> Result<u8, ClientError> {
    let run = args.service.service()?.cancel(args.run).await?;
    if args.service.json() {
        println!("{}", serde_json::json!(run));
    } else if run.status.is_end() {
        println!("run {}: {}", run.id, word(run.status));
    } else {
        println!("run {}: will be cancelled ({} now)", run.id, word(run.status));
    }
    Ok(0)
}
