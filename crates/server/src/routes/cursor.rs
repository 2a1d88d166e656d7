//! The opaque cursor of a list: where the next page begins, which only this file can read.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::RunId;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

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

/// The header Link of a page that has another behind it (RFC 8288).
pub(crate) fn link(address: &str, limit: u32, filters: &[(&str, Option<&str>)], next: &str) -> HeaderMap {
    let mut query = format!("limit={limit}");
    for (name, value) in filters.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
        query += &format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
    }
    let link = HeaderValue::from_str(&format!("<{address}?{query}&cursor={next}>; rel=\"next\""));
    link.into_iter().map(|link| (header::LINK, link)).collect()
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
