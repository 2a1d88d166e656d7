//! The opaque cursor of a list: where the next page begins, which only this file can read.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::RunId;

use crate::http::kind;
use crate::http::problem::Problem;

/// Marks the format, so that a later one can be told apart.
const FORMAT: &str = "1:";

pub(crate) fn write(after: RunId) -> String {
    URL_SAFE_NO_PAD.encode(format!("{FORMAT}{}", after.0.simple()))
}

pub(crate) fn read(cursor: &str) -> Result<RunId, Problem> {
    let decode = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        text.strip_prefix(FORMAT)?.parse().ok()
    };
    decode().ok_or_else(foreign)
}

/// The same for lists that go by name.
pub(crate) fn write_text(after: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{FORMAT}{after}"))
}

pub(crate) fn read_text(cursor: &str) -> Result<String, Problem> {
    let decode = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        text.strip_prefix(FORMAT).filter(|name| !name.contains('\0')).map(str::to_owned)
    };
    decode().ok_or_else(foreign)
}

fn foreign() -> Problem {
    Problem::new(
        &kind::PARAMETER_INVALID,
        "The cursor was not made by this service.",
        "Take it from `next_cursor` or from the header Link, or leave it out for the first page.",
    )
    .in_field("cursor")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_is_taken() {
        let run = RunId(uuid::Uuid::now_v7());
        assert_eq!(read(&write(run)).expect("it is ours"), run);
        for bad in ["", "x", "%%%", &URL_SAFE_NO_PAD.encode("2:x"), &run.to_string()] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
