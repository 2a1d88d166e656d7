//! Three ways to show a run: live on a terminal, as plain lines in a pipe, as JSON for scripts.

mod json;
mod plain;
mod summary;
mod terminal;

use std::io::IsTerminal;

use model::RunStatus;
use server::api::Run;

pub(crate) use json::Json;
pub(crate) use plain::Plain;
pub(crate) use summary::{duration, summary, word};
pub(crate) use terminal::Terminal;

/// What is told about a run, in the order in which it happens.
pub(crate) trait Show: Send {
    /// The run exists.
    fn created(&mut self, run: &Run);
    fn status(&mut self, status: RunStatus, attempt: i32);
    fn attempt(&mut self, attempt: i32);
    fn log(&mut self, attempt: i32, offset: u64, bytes: &[u8]);
    /// Something that the person should know and the run has no part in.
    fn note(&mut self, text: &str);
    /// The connection broke and is made anew.
    fn lost(&mut self, cause: &str);
    fn end(&mut self, run: &Run);
    /// Watching ends before the run does.
    fn left(&mut self);
}

/// The way that fits where standard output goes.
pub(crate) fn choose(json: bool) -> Box<dyn Show> {
    if json {
        return Box::new(Json);
    }
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    match std::io::stdout().is_terminal() && !dumb {
        true => Box::new(Terminal::new()),
        false => Box::new(Plain::default()),
    }
}

/// Cuts bytes into lines, however they come; keeps what is not a whole line yet.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<u8>);

impl Lines {
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(bytes);
        let Some(end) = self.0.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let rest = self.0.split_off(end + 1);
        let whole = std::mem::replace(&mut self.0, rest);
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }

    /// What is left without an end.
    pub(crate) fn rest(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.0);
        (!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned())
    }
}

/// A line as a terminal may show it: a build can't move the cursor, set titles or hide text.
pub(crate) fn harmless(text: &str) -> String {
    let plain = console::strip_ansi_codes(text);
    // What follows the last carriage return is what a terminal would have shown.
    let shown = plain.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
    let shown = shown.chars().map(|c| if c == '\t' { ' ' } else { c });
    shown.filter(|c| !c.is_control() && !turns_text(*c)).collect()
}

/// The characters that let text be read in another order than it stands (UAX #9, "Directional Formatting
/// Characters").
fn turns_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_the_bytes_are_cut() {
        let text = "eins\nzwei ä\r\n\ndrei";
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let got: Vec<_> = text.as_bytes().chunks(size).flat_map(|bytes| lines.take(bytes)).collect();
            assert_eq!(got, ["eins", "zwei ä", ""], "cut into pieces of {size}");
            assert_eq!(lines.rest().as_deref(), Some("drei"));
        }
    }

    #[test]
    fn a_build_cannot_play_with_the_terminal() {
        assert_eq!(harmless("\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7}x\u{8}"), "red x");
        assert_eq!(harmless("10%\r50%\r100%\r"), "100%");
        assert_eq!(harmless("\u{202e}gpj.exe\u{202c} \u{2066}x\u{9b}31m"), "gpj.exe x");
    }
}
