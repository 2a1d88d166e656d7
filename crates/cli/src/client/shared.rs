//! What the commands of every noun share: how a list, one thing and a question to the person look, and how
//! times and files are read. Absent: anything of one noun.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use super::error::ClientError;
use super::render::harmless;

/// Prints a list: one JSON object a line, or a table.
#[expect(clippy::print_stdout, reason = "the command line speaks to people here")]
pub(crate) fn print_list<T: Serialize, const N: usize>(
    json: bool,
    things: &[T],
    header: [&str; N],
    row: impl Fn(&T) -> [String; N],
    none: &str,
) {
    if json {
        things.iter().for_each(|thing| println!("{}", serde_json::json!(thing)));
    } else if things.is_empty() {
        println!("{none}");
    } else {
        let mut table = Table::new();
        // On a terminal no wider than it; a pipe gets each thing on a line of its own.
        table.load_style(presets::NOTHING).set_header(header);
        if let Some((_, columns)) = console::Term::stdout().size_checked() {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
        }
        table.add_rows(things.iter().map(|thing| row(thing).map(|cell| shown(&cell))));
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        println!("{}", table.trim_fmt());
    }
}

/// Prints one thing: a JSON object, or a line for each field that has something to say.
#[expect(clippy::print_stdout, reason = "the command line speaks to people here")]
pub(crate) fn print_one<T: Serialize>(json: bool, thing: &T, fields: &[(&str, String)]) {
    if json {
        println!("{}", serde_json::json!(thing));
        return;
    }
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        let margin = format!("\n{:width$}  ", "");
        println!("{name:width$}  {}", shown(value).replace('\n', &margin));
    }
}

/// Names and reasons come from strangers too: no line may play with the terminal.
fn shown(text: &str) -> String {
    text.lines().map(harmless).collect::<Vec<_>>().join("\n")
}

/// Says what was done; with `--json` nothing is printed, for there is nothing left to show.
#[expect(clippy::print_stdout, reason = "the command line speaks to people here")]
pub(crate) fn print_done(json: bool, text: &str) {
    if !json {
        println!("{text}");
    }
}

/// Asks before something is gone for good; a pipe or a script is not asked.
///
/// # Errors
/// The person said no.
#[expect(clippy::print_stderr, reason = "the command line speaks to people here")]
pub(crate) fn confirm(yes: bool, what: &str) -> Result<(), ClientError> {
    if yes || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(());
    }
    eprint!("Delete {what}? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let _ = std::io::stdin().read_line(&mut answer);
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(ClientError::usage("Nothing was deleted.", "")),
    }
}

/// `2026-11-24 01:02:03Z`
pub(crate) fn when(time: OffsetDateTime) -> String {
    let time = time.to_offset(time::UtcOffset::UTC);
    let (date, (hour, minute, second)) = (time.date(), time.time().as_hms());
    format!("{date} {hour:02}:{minute:02}:{second:02}Z")
}

pub(crate) fn when_known(time: Option<OffsetDateTime>) -> String {
    time.map(when).unwrap_or_default()
}

/// The text of a file; `-` is standard input.
///
/// # Errors
/// It can't be read or is no UTF-8.
pub(crate) fn read_text(file: &Path) -> Result<String, ClientError> {
    let mut text = String::new();
    let read = match file.as_os_str() == "-" {
        true => std::io::stdin().read_to_string(&mut text),
        false => std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text)),
    };
    let cannot =
        |error| ClientError::usage(format!("{} can't be read as text: {error}.", file.display()), "");
    read.map_err(cannot)?;
    Ok(text)
}

/// JSON of a file; `-` is standard input.
///
/// # Errors
/// It can't be read, or is no such thing.
pub(crate) fn read_json<T: DeserializeOwned>(file: &Path) -> Result<T, ClientError> {
    let text = read_text(file)?;
    serde_json::from_str(&text)
        .map_err(|error| ClientError::usage(format!("{} is not such JSON: {error}.", file.display()), ""))
}

/// `90`, `90s`, `15m`, `12h` or `30d`, in seconds.
///
/// # Errors
/// It is none of these.
pub(crate) fn seconds(text: &str) -> Result<u32, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86400),
        _ => None,
    };
    let number: Option<u32> = digits.parse().ok();
    let seconds = unit.zip(number).and_then(|(unit, number)| number.checked_mul(unit));
    seconds.ok_or_else(|| "write seconds, or a number with s, m, h or d: 90s, 15m, 12h, 30d".to_owned())
}

/// One of the words of a noun: shown in help and completions.
pub(crate) fn word_of<T, const N: usize>(words: [&'static str; N]) -> impl TypedValueParser<Value = T>
where
    T: std::str::FromStr<Err = String> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| word.parse::<T>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        for (text, expected) in
            [("90", Some(90)), ("15m", Some(900)), ("30d", Some(2_592_000)), ("0s", Some(0))]
        {
            assert_eq!(seconds(text).ok(), expected, "{text}");
        }
        for wrong in ["", "d", "1w", "-1", "1.5h", "99999999d"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
