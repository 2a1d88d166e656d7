//! Plain lines, for pipes and files: the log as it is, then what became of the run.

use std::io::Write as _;

use model::RunStatus;
use server::api::Run;

use super::Show;
use super::summary::summary;

/// Writes the log's bytes through; its own words begin with `slipway:` where they come before the end.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    /// Whether the last byte written ended no line.
    within_line: bool,
}

impl Plain {
    #[expect(clippy::print_stdout, reason = "the command line speaks to people here")]
    fn say(&mut self, text: &str) {
        if std::mem::take(&mut self.within_line) {
            println!();
        }
        println!("slipway: {text}");
    }
}

impl Show for Plain {
    fn created(&mut self, run: &Run) {
        self.say(&format!("run {}", run.id));
    }

    fn status(&mut self, status: RunStatus, _attempt: i32) {
        if status == RunStatus::Queued {
            self.say("queued");
        }
    }

    fn attempt(&mut self, attempt: i32) {
        self.say(&format!("the service failed; attempt {attempt}"));
    }

    fn log(&mut self, _attempt: i32, _offset: u64, bytes: &[u8]) {
        let mut out = std::io::stdout().lock();
        // A closed pipe ends the program by its signal; any other error shows at the next write.
        let _ = out.write_all(bytes).and_then(|()| out.flush());
        self.within_line = bytes.last().is_some_and(|byte| *byte != b'\n');
    }

    fn note(&mut self, text: &str) {
        self.say(text);
    }

    #[expect(clippy::print_stderr, reason = "the command line speaks to people here")]
    fn lost(&mut self, cause: &str) {
        eprintln!("slipway: reconnecting: {cause}");
    }

    /// What went wrong goes where errors go, also when the log is piped away.
    #[expect(clippy::print_stderr, reason = "the command line speaks to people here")]
    fn end(&mut self, run: &Run) {
        for line in summary(run).lines() {
            match run.status {
                RunStatus::Succeeded => self.say(line),
                _ => {
                    if std::mem::take(&mut self.within_line) {
                        eprintln!();
                    }
                    eprintln!("slipway: {line}");
                }
            }
        }
    }

    fn left(&mut self) {}
}
