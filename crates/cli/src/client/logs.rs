//! `slipway logs`.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Args;
use model::RunId;

use super::error::{ClientError, conclude};
use super::render::{self, Lines, harmless};
use super::watch::{OnInterrupt, watch};
use super::{EXIT_CODES, ServiceArgs};

#[derive(Debug, Args)]
#[command(after_help = format!("Examples:
  slipway logs 0190b6a3-5c1f-7a7e-b3a5-2d1d0c9e8f70
  slipway logs -f 0190b6a3-5c1f-7a7e-b3a5-2d1d0c9e8f70

--json goes with -f. With -f it ends with the run, and its exit code is the run's; ^C leaves the run to itself.

{EXIT_CODES}"))]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    service: ServiceArgs,
    /// The run's id
    run: RunId,
    /// Go on until the run ends
    #[arg(short, long)]
    follow: bool,
    /// Which attempt [default: the latest]
    #[arg(long, value_name = "NUMBER", conflicts_with = "follow")]
    attempt: Option<i32>,
}

pub(crate) async fn logs(args: LogsArgs) -> anyhow::Result<ExitCode> {
    conclude(carry_out(&args).await, args.service.json())
}

async fn carry_out(args: &LogsArgs) -> Result<u8, ClientError> {
    let service = args.service.service()?;
    if args.follow {
        return watch(&service, args.run, render::choose(args.service.json()).as_mut(), OnInterrupt::Leave)
            .await;
    }
    if args.service.json() {
        let hint = "Add --follow: then each event is a JSON object.";
        return Err(ClientError::usage("A log by itself is text.", hint));
    }
    let mut offset = 0;
    let mut printer = Printer { lines: Lines::default(), to_terminal: std::io::stdout().is_terminal() };
    loop {
        let (bytes, next) = service.log_text(args.run, args.attempt, offset).await?;
        if bytes.is_empty() {
            printer.end();
            return Ok(0);
        }
        printer.print(&bytes);
        offset = next;
    }
}

/// A pipe gets the bytes as they are; a terminal gets what a build can't play with.
struct Printer {
    lines: Lines,
    to_terminal: bool,
}

impl Printer {
    fn print(&mut self, bytes: &[u8]) {
        match self.to_terminal {
            true => self
                .lines
                .take(bytes)
                .iter()
                .for_each(|line| write(format!("{}\n", harmless(line)).as_bytes())),
            false => write(bytes),
        }
    }

    fn end(&mut self) {
        if let Some(rest) = self.lines.rest() {
            write(harmless(&rest).as_bytes());
        }
    }
}

/// A pipe that closes early ends the program by its signal.
fn write(bytes: &[u8]) {
    let _ = std::io::stdout().lock().write_all(bytes);
}
