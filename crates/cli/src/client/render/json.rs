//! `--json`: one event a line on standard output, with the same names as the service's stream.

use model::RunStatus;
use serde_json::{Value, json};
use server::api::Run;

use super::Show;

pub(crate) struct Json;

#[expect(clippy::print_stdout, reason = "this is what the script reads")]
fn print(value: &Value) {
    println!("{value}");
}

impl Show for Json {
    fn created(&mut self, run: &Run) {
        print(&json!({ "event": "created", "run": run }));
    }

    fn status(&mut self, status: RunStatus, attempt: i32) {
        print(&json!({ "event": "status", "status": status, "attempt": attempt }));
    }

    fn attempt(&mut self, attempt: i32) {
        print(&json!({ "event": "attempt", "attempt": attempt }));
    }

    fn log(&mut self, attempt: i32, offset: u64, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        print(&json!({ "event": "log", "attempt": attempt, "offset": offset, "text": text }));
    }

    fn note(&mut self, text: &str) {
        print(&json!({ "event": "note", "text": text }));
    }

    fn lost(&mut self, cause: &str) {
        print(&json!({ "event": "reconnecting", "cause": cause }));
    }

    fn end(&mut self, run: &Run) {
        print(&json!({ "event": "end", "run": run }));
    }

    fn left(&mut self) {}
}
