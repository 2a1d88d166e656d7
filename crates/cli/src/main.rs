//! The one binary `slipway`: every role is a subcommand, and all wiring is below `roles` and `up`.

mod client;
mod doctor;
mod logging;
mod roles;
mod up;
mod worker_line;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use worker_line::WorkerLine;

/// A self-hosted cloud build service for container images.
#[derive(Debug, Parser)]
#[command(
    name = "slipway",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_help = "Examples:
  slipway up                                     everything on this machine, in the foreground
  slipway build . -t app:1                       build this folder, push it as app:1
  slipway build https://example.com/a.git#main -t app
  slipway task create app --source https://example.com/a.git#main -t app --on-push main
  slipway hook create github --host github       the address to enter at the git host
  slipway logs -f RUN                            follow a run's log
  slipway doctor                                 what this host gives, and what is missing")]
struct Cli {
    #[command(flatten)]
    logging: logging::Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine, in the foreground.
    Up(Box<up::UpArgs>),
    /// Answer REST.
    Server(roles::server::ServerArgs),
    /// Lease runs and build them; or, with `list`, look at those that do.
    Worker(WorkerLine),
    /// Push what was built. The only role that holds the registry's credential.
    Publisher(roles::publisher::PublisherArgs),
    /// Make the database's roles and bring its tables up to date.
    Migrate(roles::migrate::MigrateArgs),
    /// Write everything that the service knows to a file, while it works.
    Backup(roles::backup::BackupArgs),
    /// Make the service what a backup says.
    Restore(roles::backup::RestoreArgs),
    /// Print what this host gives for builds, and what is missing.
    Doctor(doctor::DoctorArgs),
    /// Build an image from a folder or a git address, and push it.
    Build(client::BuildArgs),
    /// Registries that images are pushed to.
    #[command(subcommand)]
    Registry(client::RegistryCommand),
    /// Secrets for sources, registries, webhooks and builds.
    #[command(subcommand)]
    Credential(client::CredentialCommand),
    /// Saved builds, and what starts them.
    #[command(subcommand)]
    Task(Box<client::TaskCommand>),
    /// Addresses that git hosts deliver to.
    #[command(subcommand)]
    Hook(client::HookCommand),
    /// What git hosts delivered, and what became of it.
    #[command(subcommand)]
    Delivery(client::DeliveryCommand),
    /// Executions of a build.
    #[command(subcommand)]
    Run(client::RunCommand),
    /// Who may ask what.
    #[command(subcommand)]
    Token(client::TokenCommand),
    /// List runs, or show one: `run list` and `run show`.
    Runs(client::RunsArgs),
    /// Print a run's log: `run logs`.
    Logs(client::LogsArgs),
    /// Cancel a run: `run cancel`.
    Cancel(client::CancelArgs),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:
  slipway completions bash > /etc/bash_completion.d/slipway")]
    Completions {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// One run's box; started by the worker, never by hand.
    #[command(hide = true)]
    Cell {
        /// Process id of the worker.
        worker: u32,
    },
    /// Says what a run takes of the store; started by the worker, never by hand.
    #[command(hide = true)]
    Measure,
    /// Keeps a key and runs ssh with it; started by the worker, never by hand.
    #[command(hide = true)]
    GitSsh {
        /// Process id of the worker.
        worker: u32,
        /// Of the run's repository.
        address: String,
    },
    /// What ssh talks to a git host through; started by ssh, never by hand.
    #[command(hide = true)]
    Connect {
        #[command(flatten)]
        egress: roles::egress::EgressArgs,
        host: String,
        port: u16,
    },
}

impl Command {
    /// Whether it is a part of the service. Its pipes lead to cells, ssh and other roles: one that closes early is an
    /// error there like any other, and must not end the process with all of its runs.
    fn serves(&self) -> bool {
        match self {
            Self::Up(_) | Self::Server(_) | Self::Publisher(_) | Self::Migrate(_) => true,
            Self::Worker(line) => matches!(line, WorkerLine::Role(_)),
            Self::Cell { .. } | Self::GitSsh { .. } | Self::Connect { .. } => true,
            _ => false,
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if !cli.command.serves() {
        // A pipe that closes early (`slipway logs | head`) ends us quietly instead of with a panic.
        reset_sigpipe();
    }
    if let Command::Cell { worker } = cli.command {
        // Before any thread exists: a user namespace can't be left by a process with threads.
        cell::enter(worker);
    }
    match carry_out(cli) {
        Ok(code) => code,
        Err(error) => {
            logging::print_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn carry_out(cli: Cli) -> anyhow::Result<ExitCode> {
    let role = |name| logging::start(&cli.logging, name);
    match cli.command {
        Command::Up(args) => role("up").and_then(|()| up::run(&args)),
        Command::Server(args) => role("server").and_then(|()| roles::server::run(args)),
        Command::Worker(WorkerLine::Role(args)) => role("worker").and_then(|()| roles::worker::run(*args)),
        Command::Worker(WorkerLine::Noun(command)) => roles::block_on(client::worker(command)),
        Command::Publisher(args) => role("publisher").and_then(|()| roles::publisher::run(args)),
        Command::Migrate(args) => role("migrate").and_then(|()| roles::migrate::run(&args)),
        Command::Backup(args) => role("backup").and_then(|()| roles::backup::backup(&args)),
        Command::Restore(args) => role("restore").and_then(|()| roles::backup::restore(&args)),
        Command::Doctor(args) => doctor::run(&args),
        Command::Build(args) => roles::block_on(client::build(args)),
        Command::Registry(command) => roles::block_on(client::registry(command)),
        Command::Credential(command) => roles::block_on(client::credential(command)),
        Command::Task(command) => roles::block_on(client::task(*command)),
        Command::Hook(command) => roles::block_on(client::hook(command)),
        Command::Delivery(command) => roles::block_on(client::delivery(command)),
        Command::Run(command) => roles::block_on(client::run(command)),
        Command::Token(command) => roles::block_on(client::token(command)),
        Command::Runs(args) => roles::block_on(client::runs(args)),
        Command::Logs(args) => roles::block_on(client::logs(args)),
        Command::Cancel(args) => roles::block_on(client::cancel(args)),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "slipway", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::GitSsh { worker, address } => Ok(worker::keep_key(worker, &address)),
        Command::Connect { egress, host, port } => Ok(worker::connect(&egress.policy(), &host, port)),
        Command::Measure => Ok(cell::measure().map(|()| ExitCode::SUCCESS)?),
        Command::Cell { .. } => Ok(ExitCode::FAILURE),
    }
}

#[expect(unsafe_code, reason = "Rust ignores SIGPIPE before main")]
fn reset_sigpipe() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: the default action replaces no handler of ours, and no thread exists yet.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands without commands of their own, with their names.
    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, String)>) {
        if command.is_hide_set() {
            return;
        }
        let path = format!("{path} {}", command.get_name());
        for inner in command.get_subcommands() {
            leaves(inner, &path, found);
        }
        // `slipway worker` is a role besides.
        if !command.has_subcommands() || command.get_name() == "worker" {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            found.push((path.trim().to_owned(), help));
        }
    }

    #[test]
    fn the_help_of_every_command_has_an_example_of_it() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "", &mut found);
        assert!(found.len() > 40, "{}", found.len());
        for (path, help) in found {
            // `run logs` and `run cancel` have shorter names besides.
            let short = path.replacen("slipway run ", "slipway ", 1);
            let names_it = |line: &str| line.contains(&path) || line.contains(&short);
            let is_example = |line: &str| line.starts_with("  ") && names_it(line);
            let shown = help.contains("Example") && help.lines().any(is_example);
            assert!(shown, "`{path} --help` shows no example of it:\n{help}");
        }
    }

    #[test]
    fn the_arguments_of_every_command_agree() {
        Cli::command().debug_assert();
    }
}
