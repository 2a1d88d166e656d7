//! What roles write to standard error: one line an event, JSON or for people.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// How roles log.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// What is logged, for instance `info,worker=debug`.
    #[arg(long, global = true, env = "SLIPWAY_LOG", default_value = "info", hide = true)]
    pub(crate) log: String,
    /// How it is written; `pretty` on a terminal and `json` elsewhere by default.
    #[arg(long, global = true, env = "SLIPWAY_LOG_FORMAT", hide = true)]
    pub(crate) log_format: Option<Format>,
}

/// One line an event, either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Pretty,
    Json,
}

/// Starts logging for a role.
pub(crate) fn start(options: &Options, role: &'static str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&options.log).map_err(|error| {
        anyhow::anyhow!("`{}` is not a log filter ({error}): write for instance `info`", options.log)
    })?;
    let terminal = std::io::stderr().is_terminal();
    let default = if terminal { Format::Pretty } else { Format::Json };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match options.log_format.unwrap_or(default) {
        Format::Pretty => {
            let colours = terminal && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colours).with_target(true).compact().init();
        }
        Format::Json => {
            builder.json().flatten_event(true).with_current_span(false).with_span_list(true).init()
        }
    }
    tracing::debug!(role, "logging started");
    Ok(())
}

/// An error that ends the program: what happened, because of what, and what to do.
#[expect(clippy::print_stderr, reason = "the command line speaks to people here")]
pub(crate) fn print_error(error: &anyhow::Error) {
    let red = console::Style::new().for_stderr().red().bold();
    eprintln!("{} {error}", red.apply_to("error:"));
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
    if let Some(hint) = error.chain().find_map(hint_of) {
        eprintln!("hint: {hint}");
    }
}

/// What an error of one of our rooms says to do.
fn hint_of(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    let hint = if let Some(error) = cause.downcast_ref::<server::Error>() {
        error.failure().hint
    } else if let Some(error) = cause.downcast_ref::<database::Error>() {
        match error.is_unavailable() {
            true => {
                "Does PostgreSQL run at the address that DATABASE_URL names, and does it let that role in?"
                    .to_owned()
            }
            false => error.failure().hint,
        }
    } else {
        cause.downcast_ref::<model::Failure>()?.hint.clone()
    };
    Some(hint).filter(|hint| !hint.is_empty())
}
