//! Live, on a terminal: a moving line for every step at work with the last thing it said, a still line
//! for every step that is done, and the last words of one that failed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use console::Style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use model::RunStatus;
use server::api::Run;

use super::summary::{summary, word};
use super::{Lines, Show, harmless};
use crate::client::line::Line;

/// Lines of a step that are kept for the case that it fails.
const LAST_WORDS: usize = 20;

pub(crate) struct Terminal {
    screen: MultiProgress,
    /// What the run as a whole is doing.
    status: ProgressBar,
    lines: Lines,
    steps: BTreeMap<u32, Step>,
}

struct Step {
    name: String,
    bar: ProgressBar,
    last: VecDeque<String>,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let screen = MultiProgress::new();
        let status = screen.add(moving("{spinner} {msg} {elapsed:.dim}"));
        Self { screen, status, lines: Lines::default(), steps: BTreeMap::new() }
    }

    fn say(&self, text: &str) {
        // A terminal that is gone ends the program by a signal.
        let _ = self.screen.println(text);
    }

    fn line(&mut self, line: &str) {
        match Line::parse(line) {
            Line::Vertex { number, name } => self.begin(number, &harmless(name)),
            Line::Output { number, text, .. } => self.output(number, &harmless(text)),
            Line::Cached { number } => self.end(number, "✓", "cached"),
            Line::Done { number, took } => self.end(number, "✓", took),
            Line::Error { number, message } => self.fail(number, &harmless(message)),
            Line::Other(text) => self.say(&harmless(text)),
        }
    }

    fn begin(&mut self, number: u32, name: &str) {
        if self.steps.contains_key(&number) {
            return;
        }
        let bar = moving("{spinner:.cyan} {prefix} {elapsed:.dim} {wide_msg:.dim}");
        let bar = self.screen.insert_before(&self.status, bar);
        bar.set_prefix(name.to_owned());
        self.steps.insert(number, Step { name: name.to_owned(), bar, last: VecDeque::new() });
    }

    fn output(&mut self, number: u32, text: &str) {
        let Some(step) = self.steps.get_mut(&number) else { return self.say(text) };
        step.bar.set_message(text.to_owned());
        if step.last.len() == LAST_WORDS {
            step.last.pop_front();
        }
        step.last.push_back(text.to_owned());
    }

    fn end(&mut self, number: u32, mark: &str, how: &str) {
        let Some(step) = self.steps.remove(&number) else { return };
        step.bar.finish_and_clear();
        let (green, dim) = (Style::new().green(), Style::new().dim());
        self.say(&format!("{} {} {}", green.apply_to(mark), step.name, dim.apply_to(how)));
    }

    fn fail(&mut self, number: u32, message: &str) {
        let Some(step) = self.steps.remove(&number) else { return self.say(message) };
        step.bar.finish_and_clear();
        self.say(&format!("{} {} {message}", Style::new().red().apply_to("✗"), step.name));
        for line in &step.last {
            self.say(&format!("  {line}"));
        }
    }
}

impl Show for Terminal {
    fn created(&mut self, run: &Run) {
        self.say(&format!("run {}", Style::new().bold().apply_to(run.id)));
    }

    fn status(&mut self, status: RunStatus, _attempt: i32) {
        self.status.set_message(word(status));
    }

    fn attempt(&mut self, attempt: i32) {
        for (_, step) in std::mem::take(&mut self.steps) {
            step.bar.finish_and_clear();
        }
        self.say(&format!("The service failed; attempt {attempt} begins."));
    }

    fn log(&mut self, _attempt: i32, _offset: u64, bytes: &[u8]) {
        for line in self.lines.take(bytes) {
            self.line(&line);
        }
    }

    fn note(&mut self, text: &str) {
        self.say(text);
    }

    fn lost(&mut self, cause: &str) {
        self.status.set_message(format!("reconnecting: {cause}"));
    }

    fn end(&mut self, run: &Run) {
        if let Some(rest) = self.lines.rest() {
            self.line(&rest);
        }
        self.left();
        self.say(&summary(run));
    }

    fn left(&mut self) {
        for (_, step) in std::mem::take(&mut self.steps) {
            step.bar.finish_and_clear();
        }
        self.status.finish_and_clear();
    }
}

fn moving(template: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
