//! HEALTHCHECK and its times.

use super::Parser;
use super::flags::Flags;
use crate::error::Error;
use crate::instruction::{Healthcheck, Kind};
use crate::lines::Logical;
use crate::text::Text;

/// Shorter ones are refused by Docker.
const SHORTEST: i64 = 1_000_000;

impl Parser {
    pub(super) fn healthcheck(&self, rest: &Text, line: &Logical, flags: &mut Flags) -> Result<Kind, Error> {
        let word = super::first_word(rest);
        let command = rest.slice(word.len(), rest.len()).trim();
        match word.string().to_uppercase().as_str() {
            "NONE" if command.is_empty() => Ok(Kind::Healthcheck(Healthcheck::None)),
            "NONE" => Err(Error::syntax(&command, "HEALTHCHECK NONE takes nothing more.", "")),
            "CMD" if command.is_empty() => Err(Error::syntax(&word, "HEALTHCHECK CMD needs a command.", "")),
            "CMD" => Ok(Kind::Healthcheck(Healthcheck::Cmd {
                interval: time(flags, "interval")?,
                timeout: time(flags, "timeout")?,
                start_period: time(flags, "start-period")?,
                start_interval: time(flags, "start-interval")?,
                retries: retries(flags)?,
                command: self.command(&command, line)?,
            })),
            other => {
                let message = format!("HEALTHCHECK is followed by CMD or NONE, not by `{other}`.");
                Err(Error::syntax(&word, message, "Write HEALTHCHECK CMD and the command."))
            }
        }
    }
}

fn time(flags: &mut Flags, name: &'static str) -> Result<i64, Error> {
    let Some(text) = flags.value(name)? else { return Ok(0) };
    match nanoseconds(&text.string()) {
        Some(0) => Ok(0),
        Some(time) if time >= SHORTEST => Ok(time),
        _ => {
            let message = format!("`{}` is no time of a millisecond or more.", text.string());
            Err(Error::syntax(&text, message, "Write it as 30s, 1m30s or 500ms."))
        }
    }
}

fn retries(flags: &mut Flags) -> Result<i64, Error> {
    let Some(text) = flags.value("retries")? else { return Ok(0) };
    match text.string().parse() {
        Ok(retries @ 0..=1_000_000) => Ok(retries),
        _ => Err(Error::syntax(
            &text,
            format!("`{}` is no number of retries.", text.string()),
            "Write --retries=3.",
        )),
    }
}

/// A duration as Go's `time.ParseDuration` reads it: `1h`, `1m30s`, `1.5s`, `500ms`.
fn nanoseconds(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end =
            rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |n| digits + n);
        let unit = match &rest[digits..unit_end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[unit_end..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked against the largest duration")]
    (!text.is_empty() && total < 9.2e18).then_some(total as i64)
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("30s", Some(30_000_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("500ms", Some(500_000_000)),
            ("0", Some(0)),
            ("2h", Some(7_200_000_000_000)),
            ("", None),
            ("30", None),
            ("s", None),
            ("3x", None),
            ("99999999999h", None),
        ] {
            assert_eq!(nanoseconds(text), expected, "{text}");
        }
    }
}
