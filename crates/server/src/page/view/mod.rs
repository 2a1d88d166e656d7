//! What the templates say of the API's structs, in words, and where the page of a thing is. Absent: anything that
//! is not in them.

mod run;
mod source;
mod task;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub(crate) use run::{RunView, runs};
pub(crate) use task::TaskView;

/// A part of a path: names stay readable.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// `timed_out` as people write it.
pub(crate) fn word(name: &str) -> String {
    name.replace('_', " ")
}

pub(crate) fn run_address(registry: &str, run: &str) -> String {
    format!("/registries/{registry}/runs/{run}")
}

pub(crate) fn task_address(registry: &str, task: &str) -> String {
    format!("/registries/{registry}/tasks/{}", part(task))
}

pub(crate) fn delivery_address(registry: &str, delivery: &str) -> String {
    format!("/registries/{registry}/deliveries/{delivery}")
}

pub(crate) fn registry_address(registry: &str) -> String {
    format!("/registries/{}", part(registry))
}

/// A text as a part of an address.
pub(crate) fn part(text: &str) -> String {
    utf8_percent_encode(text, PART).to_string()
}
