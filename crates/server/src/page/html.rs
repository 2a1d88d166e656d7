//! Values that know how they are written in HTML. What is marked safe here is made of numbers and times alone;
//! every text that somebody else wrote goes through askama's escaping.

use std::fmt;

use askama::filters::HtmlSafe;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::{format_description, offset};

const UTC: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");

/// A point in time. As UTC; the script puts it into the reader's zone and says how long ago it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(OffsetDateTime);

/// How long something took, or takes: the script goes on counting from `since`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    pub(crate) seconds: f64,
    /// When it began, if it has not ended.
    pub(crate) since: Option<OffsetDateTime>,
}

impl HtmlSafe for Moment {}
impl HtmlSafe for Took {}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let utc = self.0.to_offset(offset!(UTC));
        let (exact, shown) = (rfc3339(utc), utc.format(UTC).map_err(|_| fmt::Error)?);
        write!(f, r#"<time class="moment" datetime="{exact}" title="{shown}">{shown}</time>"#)
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = duration(self.seconds);
        match self.since {
            Some(since) => write!(f, r#"<span class="ticks" data-since="{}">{words}</span>"#, rfc3339(since)),
            None => f.write_str(&words),
        }
    }
}

/// Lets a template say when something was, however many references lead there.
pub(crate) trait Shown {
    fn moment(&self) -> Moment;
}

impl Shown for OffsetDateTime {
    fn moment(&self) -> Moment {
        Moment(*self)
    }
}

/// From `start` to `end`, or to `now` and on.
pub(crate) fn took(start: OffsetDateTime, end: Option<OffsetDateTime>, now: OffsetDateTime) -> Took {
    let seconds = (end.unwrap_or(now) - start).as_seconds_f64().max(0.0);
    Took { seconds, since: end.is_none().then_some(start) }
}

/// `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked: not negative, and rounded"
    )]
    let whole = seconds.round() as u64;
    let (minutes, hours, days) = (whole / 60, whole / 3600, whole / 86400);
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{minutes} min {} s", whole % 60),
        3600..86400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// `812 B`, `3.4 KiB`, `25.0 MiB`.
pub(crate) fn bytes(count: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    let mut size = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}

pub(crate) fn rfc3339(at: OffsetDateTime) -> String {
    at.to_offset(offset!(UTC)).format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn durations_are_said_in_two_units() {
        for (seconds, words) in [
            (0.04, "0.0 s"),
            (9.94, "9.9 s"),
            (9.96, "10 s"),
            (59.6, "1 min 0 s"),
            (3599.0, "59 min 59 s"),
            (7800.0, "2 h 10 min"),
            (273_600.0, "3 d 4 h"),
        ] {
            assert_eq!(duration(seconds), words);
        }
        assert_eq!(
            (bytes(812), bytes(3500), bytes(26_214_400)),
            ("812 B".into(), "3.4 KiB".into(), "25.0 MiB".into())
        );
    }

    #[test]
    fn a_moment_carries_its_absolute_time() {
        let html = Moment(datetime!(2026-11-24 23:24:05.5 +1)).to_string();
        assert!(
            html.contains(r#"datetime="2026-11-24T22:24:05.5Z" title="2026-11-24 22:24:05 UTC">"#),
            "{html}"
        );
    }
}
