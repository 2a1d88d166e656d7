//! How the processes around ssh tell the worker why they gave up: one line of ssh's error stream, the first.
//! A host can say nothing there before it is connected to; one that imitates the line afterwards only chooses
//! the words of its own failure.

use std::process::ExitCode;

use model::Failure;

/// As ssh's own failures.
pub(super) const GAVE_UP: u8 = 255;
const PREFIX: &str = "slipway: ";

/// Writes the line.
#[expect(clippy::print_stderr, reason = "the worker reads this stream")]
pub(super) fn report(failure: &Failure) -> ExitCode {
    eprintln!("{PREFIX}{}", serde_json::json!(failure));
    ExitCode::from(GAVE_UP)
}

/// Reads it from what ssh and its helpers said.
pub(super) fn reported(said: &str) -> Option<Failure> {
    serde_json::from_str(said.lines().next()?.strip_prefix(PREFIX)?).ok()
}
