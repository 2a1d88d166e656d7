//! What can go wrong between here and the service, as sentences, and the exit code each means.

use std::fmt;
use std::process::ExitCode;

use model::RunStatus;
use server::api::ProblemBody;

/// Wrong arguments, or a request that the service refused.
pub(crate) const USAGE: u8 = 2;
/// The service can't be reached or failed.
pub(crate) const UNAVAILABLE: u8 = 5;
/// Left by a second ^C, as shells write it.
pub(crate) const LEFT: u8 = 130;

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nothing answers there.
    Unreachable { server: String, cause: String },
    /// The service answered with a problem.
    Problem(Box<ProblemBody>),
    /// Something answers there, but not Slipway.
    NotSlipway { server: String, what: String },
    /// The arguments can't be carried out.
    Usage { message: String, hint: String },
    /// A file of the context that can't be read, or a wrong line in one.
    Context(Box<model::Failure>),
}

impl ClientError {
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: hint.into() }
    }

    /// Whether asking again may help.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Problem(problem) => problem.status >= 500,
            _ => false,
        }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } | Self::NotSlipway { .. } => UNAVAILABLE,
            Self::Problem(problem) if problem.status >= 500 => UNAVAILABLE,
            Self::Problem(_) | Self::Usage { .. } | Self::Context(_) => USAGE,
        }
    }

    /// `--json`: the same as one object.
    pub(crate) fn json(&self) -> serde_json::Value {
        match self {
            Self::Problem(problem) => serde_json::json!({ "event": "error", "problem": problem }),
            Self::Context(failure) => serde_json::json!({ "event": "error", "failure": failure }),
            other => serde_json::json!({ "event": "error", "message": other.to_string() }),
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { server, cause } => write!(
                f,
                "No Slipway answers at {server}: {cause}.\n\
                 hint: Start one with `slipway up`, or name another with --server or SLIPWAY_SERVER."
            ),
            Self::Problem(problem) => {
                write!(f, "{} ({})", problem.detail, problem.kind)?;
                if let Some(field) = &problem.field {
                    write!(f, "\n  --> {field}")?;
                }
                if problem.kind == "unauthenticated" {
                    write!(
                        f,
                        "\nhint: Set SLIPWAY_TOKEN, or give --token-file. Whoever started `slipway up` was shown a token \
                         once; only that user's commands find it by themselves."
                    )?;
                } else if !problem.hint.is_empty() {
                    write!(f, "\nhint: {}", problem.hint)?;
                }
                if problem.status >= 500 {
                    write!(f, "\nrequest: {}", problem.request_id)?;
                }
                Ok(())
            }
            Self::NotSlipway { server, what } => write!(
                f,
                "What answers at {server} is not Slipway: {what}.\nhint: Check --server and SLIPWAY_SERVER."
            ),
            Self::Usage { message, hint } if hint.is_empty() => f.write_str(message),
            Self::Usage { message, hint } => write!(f, "{message}\nhint: {hint}"),
            Self::Context(failure) => failure.fmt(f),
        }
    }
}

/// The exit code for a run's end.
pub(crate) fn exit_code_of(status: RunStatus) -> u8 {
    match status {
        RunStatus::Succeeded => 0,
        RunStatus::Cancelled => 3,
        RunStatus::TimedOut => 4,
        _ => 1,
    }
}

/// Carries a command out, and shows why it could not be.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line speaks to people here")]
pub(crate) fn conclude(result: Result<u8, ClientError>, json: bool) -> anyhow::Result<ExitCode> {
    let error = match result {
        Ok(code) => return Ok(ExitCode::from(code)),
        Err(error) => error,
    };
    if json {
        println!("{}", error.json());
    } else {
        let red = console::Style::new().for_stderr().red().bold();
        eprintln!("{} {error}", red.apply_to("error:"));
    }
    Ok(ExitCode::from(error.exit_code()))
}
