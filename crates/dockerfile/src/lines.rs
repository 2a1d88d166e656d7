//! From text to logical lines: parser directives, comments, continuations and here-documents (Dockerfile
//! reference, "Format" and "Parser directives"; BuildKit `parser.go`).

use std::rc::Rc;

use model::Location;

use crate::Warning;
use crate::checks::Checks;
use crate::error::Error;
use crate::text::{Source, Text};

/// A Dockerfile larger than this is none.
const SIZE: usize = 2 << 20;
/// A line longer than this is refused by BuildKit too, and would come back in every error about it.
const LINE: usize = 65_535;

/// One instruction's text with its here-documents.
#[derive(Debug, Clone)]
pub(crate) struct Logical {
    pub(crate) text: Text,
    pub(crate) heredocs: Vec<Heredoc>,
}

/// `<<NAME` and what follows until a line `NAME`.
#[derive(Debug, Clone)]
pub(crate) struct Heredoc {
    /// Without quotes.
    pub(crate) name: String,
    /// With the lines' ends; without leading tabs after `<<-`.
    pub(crate) content: String,
    /// As the shell must see it again: the lines and the end.
    pub(crate) raw: String,
}

impl Heredoc {
    /// Whether `command` is nothing but this here-document's beginning.
    pub(crate) fn is_whole(&self, command: &str) -> bool {
        let rest = command.strip_prefix("<<").map(|rest| rest.strip_prefix('-').unwrap_or(rest));
        rest.map(|rest| rest.trim_matches(['"', '\''])) == Some(self.name.as_str())
    }
}

/// What the whole file says.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) logical: Vec<Logical>,
    pub(crate) escape: char,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) checks: Checks,
}

pub(crate) fn read(name: &str, text: &str) -> Result<Lines, Error> {
    if text.len() > SIZE {
        let message = format!("The Dockerfile has {} bytes; {SIZE} are possible.", text.len());
        return Err(Error::bare("dockerfile_too_large", message, "Put data into files of the context."));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some((index, line)) = text.split('\n').enumerate().find(|(_, line)| line.len() > LINE) {
        let message = format!("Line {} has {} bytes; {LINE} are possible.", index + 1, line.len());
        return Err(Error::bare("dockerfile_too_large", message, "Break it with a `\\` at its end."));
    }
    refuse_nul(name, text)?;
    let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line).to_owned()).collect();
    let source = Rc::new(Source { name: name.to_owned(), lines });
    let mut reader = Reader {
        source,
        next: 0,
        escape: '\\',
        logical: Vec::new(),
        warnings: Vec::new(),
        checks: Checks::default(),
    };
    reader.directives()?;
    while reader.next < reader.source.lines.len() {
        reader.logical_line()?;
    }
    let Reader { logical, escape, warnings, checks, .. } = reader;
    Ok(Lines { logical, escape, warnings, checks })
}

/// No argument, variable or name that a process or a file can have holds it.
fn refuse_nul(name: &str, text: &str) -> Result<(), Error> {
    let Some((index, line)) = text.split('\n').enumerate().find(|(_, line)| line.contains('\0')) else {
        return Ok(());
    };
    let before = line.chars().take_while(|c| *c != '\0').count();
    let location = Location {
        file: name.to_owned(),
        line: line_number(index),
        text: line.replace('\0', "\u{2400}"),
        column: u32::try_from(before + 1).unwrap_or(0),
        width: 1,
    };
    let hint = "Write what you mean without it, for instance `\\0` for printf.";
    Err(Error::located("dockerfile_syntax", location, "A line holds the character NUL (U+0000).", hint))
}

struct Reader {
    source: Rc<Source>,
    next: usize,
    escape: char,
    logical: Vec<Logical>,
    warnings: Vec<Warning>,
    checks: Checks,
}

impl Reader {
    /// `# name=value` at the very top, until the first line that is none.
    fn directives(&mut self) -> Result<(), Error> {
        let mut seen = Vec::new();
        while let Some(line) = self.source.lines.get(self.next) {
            let Some((name, value)) = directive(line) else { return Ok(()) };
            let text = self.physical(self.next);
            if seen.contains(&name) {
                return Err(Error::syntax(
                    &text,
                    format!("The directive `{name}` is given twice."),
                    "Keep one of them.",
                ));
            }
            match name.as_str() {
                "escape" => {
                    self.escape = match value.as_str() {
                        "\\" => '\\',
                        "`" => '`',
                        other => {
                            let message = format!("`{other}` can't be the escape character.");
                            return Err(Error::syntax(&text, message, "Only `\\` and a backtick can."));
                        }
                    };
                }
                "check" => self.checks = Checks::parse(&value, &text)?,
                "syntax" if !is_known_frontend(&value) => {
                    let hint = "Only `docker/dockerfile:1` and its minor versions are built in: leave the line out or use that.";
                    return Err(Error::unsupported(&text, &format!("The frontend `{value}`"), hint));
                }
                _ => {}
            }
            seen.push(name);
            self.next += 1;
        }
        Ok(())
    }

    fn physical(&self, index: usize) -> Text {
        let line = line_number(index);
        let mut text = Text::empty(&self.source, line);
        if let Some(content) = self.source.lines.get(index) {
            text.push_str(content, line, 1);
        }
        text
    }

    fn logical_line(&mut self) -> Result<(), Error> {
        let first = self.next;
        let mut text = Text::empty(&self.source, line_number(first));
        let source = Rc::clone(&self.source);
        while let Some(line) = source.lines.get(self.next) {
            let number = line_number(self.next);
            self.next += 1;
            if is_comment(line) {
                if text.is_empty() { return Ok(()) } else { continue }
            }
            if line.trim().is_empty() {
                if text.is_empty() {
                    return Ok(());
                }
                self.warn("NoEmptyContinuation", "An empty line goes on with the line before.", number);
                continue;
            }
            let (content, goes_on) = self.continuation(line);
            let indent =
                if text.is_empty() { content.chars().take_while(|c| c.is_whitespace()).count() } else { 0 };
            let content: String = content.chars().skip(indent).collect();
            text.push_str(&content, number, u32::try_from(indent).unwrap_or(0) + 1);
            if !goes_on {
                break;
            }
        }
        let heredocs = self.heredocs(&text)?;
        if !text.trim().is_empty() {
            self.logical.push(Logical { text, heredocs });
        }
        Ok(())
    }

    /// The line without the escape character at its end, and whether there was one.
    fn continuation<'a>(&self, line: &'a str) -> (&'a str, bool) {
        let trimmed = line.trim_end_matches([' ', '\t']);
        match trimmed.strip_suffix(self.escape) {
            // Two of them are one that was meant.
            Some(rest) if !rest.ends_with(self.escape) => (rest, true),
            _ => (line, false),
        }
    }

    fn warn(&mut self, rule: &'static str, message: &str, line: u32) {
        let text = self.source.lines.get(line as usize - 1).cloned().unwrap_or_default();
        let location = Location { file: self.source.name.clone(), line, text, column: 0, width: 0 };
        self.warnings.push(Warning { rule, message: message.to_owned(), location });
    }

    /// Reads the bodies of the here-documents that a RUN, COPY or ADD begins.
    fn heredocs(&mut self, text: &Text) -> Result<Vec<Heredoc>, Error> {
        let whole = text.string();
        let mut words = whole.split_whitespace().map(str::to_lowercase);
        let instruction = words.next().filter(|word| word != "onbuild").or_else(|| words.next());
        if !instruction.is_some_and(|word| ["run", "copy", "add"].contains(&word.as_str())) {
            return Ok(Vec::new());
        }
        let mut heredocs = Vec::new();
        for (word, name, chomp) in heads(text, self.escape) {
            let (mut content, mut raw) = (String::new(), String::new());
            loop {
                let Some(line) = self.source.lines.get(self.next) else {
                    let message = format!("The here-document `{name}` has no end.");
                    return Err(Error::syntax(
                        &word,
                        message,
                        format!("Write a line `{name}` where it ends."),
                    ));
                };
                self.next += 1;
                let chomped = if chomp { line.trim_start_matches('\t') } else { line };
                raw.push_str(line);
                raw.push('\n');
                if chomped == name {
                    break;
                }
                content.push_str(chomped);
                content.push('\n');
            }
            heredocs.push(Heredoc { name, content, raw });
        }
        Ok(heredocs)
    }
}

/// The words `<<NAME`, `<<-NAME`, `<<'NAME'` of a line that stand in no quotes.
fn heads(text: &Text, escape: char) -> Vec<(Text, String, bool)> {
    let mut heads = Vec::new();
    for word in crate::words::quoted_words(text, escape) {
        let string = word.string();
        let rest = string.trim_start_matches(|c: char| c.is_ascii_digit());
        let Some(rest) = rest.strip_prefix("<<") else { continue };
        let (chomp, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
        let quoted = |q: char| rest.strip_prefix(q).and_then(|r| r.strip_suffix(q));
        let name = quoted('"').or_else(|| quoted('\'')).unwrap_or(rest);
        let plain =
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-' || c == '.');
        if plain {
            heads.push((word, name.to_owned(), chomp));
        }
    }
    heads
}

fn directive(line: &str) -> Option<(String, String)> {
    let (name, value) = line.trim_start().strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim().to_lowercase(), value.trim());
    let known = ["syntax", "escape", "check"].contains(&name.as_str());
    (known && !value.is_empty()).then(|| (name, value.to_owned()))
}

/// Ours speaks what `docker/dockerfile:1` does.
fn is_known_frontend(value: &str) -> bool {
    let name = value.strip_prefix("docker.io/").unwrap_or(value);
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let Some(version) = name.strip_prefix("docker/dockerfile") else { return false };
    let Some(version) = version.strip_prefix(':') else { return version.is_empty() };
    let mut parts = version.split('.');
    parts.next() == Some("1")
        && parts.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

fn line_number(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}
