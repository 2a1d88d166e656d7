//! `slipway worker` is a role and, with `list`, a noun. In: the rest of the line. Out: which of the two.

use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Subcommand};

use crate::client::WorkerCommand;
use crate::roles::worker::WorkerArgs;

#[derive(Debug)]
pub(crate) enum WorkerLine {
    Role(Box<WorkerArgs>),
    Noun(WorkerCommand),
}

impl Args for WorkerLine {
    fn augment_args(command: Command) -> Command {
        let command = WorkerArgs::augment_args(command);
        let command = WorkerCommand::augment_subcommands(command);
        // What the role needs, the noun doesn't.
        command.subcommand_required(false).arg_required_else_help(false).subcommand_negates_reqs(true)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for WorkerLine {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        match matches.subcommand() {
            Some(_) => WorkerCommand::from_arg_matches(matches).map(Self::Noun),
            None => WorkerArgs::from_arg_matches(matches).map(|args| Self::Role(Box::new(args))),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<WorkerLine, Error> {
        let command = WorkerLine::augment_args(Command::new("worker"));
        WorkerLine::from_arg_matches(&command.try_get_matches_from(line.split(' '))?)
    }

    #[test]
    fn the_role_and_the_noun_are_told_apart() {
        assert!(matches!(read("worker list --json"), Ok(WorkerLine::Noun(_))));
        assert!(matches!(read("worker --store /s --publisher-socket /p"), Ok(WorkerLine::Role(_))));
        assert!(read("worker --publisher-socket /p").is_err() || std::env::var_os("SLIPWAY_STORE").is_some());
    }
}
