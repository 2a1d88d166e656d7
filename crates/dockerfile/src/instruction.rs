//! The language as a tree. Values are still as written: what variables stand for is known later.

use crate::error::Error;
use crate::lines::Heredoc;
use crate::text::Text;

/// One instruction.
#[derive(Debug, Clone)]
pub(crate) struct Instruction {
    /// All of it, without continuations and comments.
    pub(crate) text: Text,
    pub(crate) kind: Kind,
    /// Why it can't be carried out, if it is right but not supported. It is refused when its stage is needed.
    pub(crate) unsupported: Option<Error>,
}

/// What it says.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    From {
        image: Text,
        name: Option<Text>,
        platform: Option<Text>,
    },
    Run {
        command: Command,
        secrets: Vec<SecretMount>,
    },
    Cmd(Command),
    Entrypoint(Command),
    Shell(Vec<String>),
    Env(Vec<(Text, Text)>),
    Label(Vec<(Text, Text)>),
    Arg(Vec<(Text, Option<Text>)>),
    Copy(Transfer),
    Add(Transfer),
    Workdir(Text),
    User(Text),
    Expose(Vec<Text>),
    Volume(Vec<Text>),
    StopSignal(Text),
    Healthcheck(Healthcheck),
    Maintainer(Text),
    /// The instruction it triggers has been checked.
    Onbuild,
}

/// A command in one of its two forms.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    Shell { text: Text, heredocs: Vec<Heredoc> },
    Exec(Vec<String>),
}

/// `--mount=type=secret`.
#[derive(Debug, Clone)]
pub(crate) struct SecretMount {
    pub(crate) text: Text,
    /// The last part of `target` when absent.
    pub(crate) id: Option<Text>,
    /// `/run/secrets/ID` when absent, unless there is `env`.
    pub(crate) target: Option<Text>,
    pub(crate) env: Option<Text>,
    pub(crate) required: bool,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// COPY and ADD.
#[derive(Debug, Clone)]
pub(crate) struct Transfer {
    pub(crate) from: Option<Text>,
    pub(crate) chown: Option<Text>,
    /// Of the one address that an ADD fetches.
    pub(crate) checksum: Option<Text>,
    pub(crate) sources: Vec<Text>,
    pub(crate) dest: Text,
}

/// HEALTHCHECK; times are nanoseconds, 0 inherits.
#[derive(Debug, Clone)]
pub(crate) enum Healthcheck {
    None,
    Cmd {
        command: Command,
        interval: i64,
        timeout: i64,
        start_period: i64,
        start_interval: i64,
        retries: i64,
    },
}

/// Every instruction, for hints.
pub(crate) const NAMES: [&str; 18] = [
    "FROM",
    "RUN",
    "CMD",
    "LABEL",
    "MAINTAINER",
    "EXPOSE",
    "ENV",
    "ADD",
    "COPY",
    "ENTRYPOINT",
    "VOLUME",
    "USER",
    "WORKDIR",
    "ARG",
    "ONBUILD",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "SHELL",
];
