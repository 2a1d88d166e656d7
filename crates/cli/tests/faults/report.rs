//! What many seeds showed: a line each on the terminal, and the table of faults and invariants in a file.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::draw::{Draw, KINDS};
use crate::invariants::{ALL, Verdict};

/// Of one seed.
pub(crate) struct Played {
    pub(crate) draw: Draw,
    /// None: its moment did not come.
    pub(crate) struck: bool,
    pub(crate) runs: usize,
    pub(crate) attempts: usize,
    /// From the end of the fault to that of the last run.
    pub(crate) recovery: Option<Duration>,
    /// From the fault to the next lease of a run that had lost its worker.
    pub(crate) again: Option<Duration>,
    /// From a cancel to the end of its run.
    pub(crate) cancel: Option<Duration>,
    pub(crate) verdict: Verdict,
}

pub(crate) fn line(played: &Played) -> String {
    let Played { draw, struck, runs, attempts, recovery, verdict, .. } = played;
    let came = if *struck { "" } else { ", its moment did not come" };
    let after = recovery
        .map(|after| format!(", all ended {:.1} s after it", after.as_secs_f64()))
        .unwrap_or_default();
    let broken = match verdict.broken.len() {
        0 => String::new(),
        some => format!(", {some} VIOLATIONS"),
    };
    format!(
        "seed {}: {} at {:?}{came}: {runs} runs, {attempts} attempts{after}{broken}",
        draw.seed, draw.kind, draw.moment
    )
}

/// Everything about a violation that helps to find its cause.
pub(crate) fn violations(played: &Played) -> String {
    let mut text = format!("{}\n  drawn: {:?}\n", line(played), played.draw);
    for (invariant, evidence) in &played.verdict.broken {
        let words = ALL.iter().find(|(name, _)| name == invariant).map_or("", |(_, words)| words);
        let _ = writeln!(text, "  {invariant} ({words}): {evidence}");
    }
    let _ = writeln!(text, "  once more: make faults SEED={} COUNT=1", played.draw.seed);
    text
}

/// `docs/faults.md`.
pub(crate) fn page(all: &[Played], took: Duration) -> String {
    let mut text = String::from(
        "# Faults and what they break\n\n\
         Written by `make faults`; how it works is in [ARCHITECTURE.md](ARCHITECTURE.md), \"Faults from a seed\".\n\
         A seed draws one fault and its moment; a fleet of five builds runs through it (three share a tag, two are\n\
         twins), and afterwards the invariants are checked from records that do not know of each other.\n\n",
    );
    let (first, last) = (all.first().map_or(0, |p| p.draw.seed), all.last().map_or(0, |p| p.draw.seed));
    let broken: usize = all.iter().map(|played| played.verdict.broken.len()).sum();
    let runs: usize = all.iter().map(|played| played.runs).sum();
    let attempts: usize = all.iter().map(|played| played.attempts).sum();
    let _ = writeln!(
        text,
        "Seeds {first} to {last}: {} faults, of which {} struck, {runs} runs in {attempts} attempts, **{broken} violations**; {} minutes.\n",
        all.len(),
        all.iter().filter(|played| played.struck).count(),
        took.as_secs() / 60
    );
    for (name, words) in ALL {
        let _ = writeln!(text, "- **{name}** {words}");
    }
    text.push_str("\nA cell says how often the invariant was looked at, or how often it was broken.\n\n| fault | struck | runs | attempts |");
    for (name, _) in ALL {
        let _ = write!(text, " {name} |");
    }
    text.push_str(" recovery, median | worst |\n|---|---|---|---|");
    text.push_str(&"---|".repeat(ALL.len() + 2));
    text.push('\n');
    for kind in KINDS {
        let of_kind: Vec<&Played> = all.iter().filter(|played| played.draw.kind == kind).collect();
        if !of_kind.is_empty() {
            row(&mut text, kind, &of_kind);
        }
    }
    text.push_str("\nRecovery is the time from the end of the fault to the end of the last run.\n\n");
    for (what, figures) in [
        (
            "Fault → a run that lost its worker or cell is leased again",
            figures(all.iter().filter_map(|p| p.again)),
        ),
        ("Cancel → the run has ended, during a fault", figures(all.iter().filter_map(|p| p.cancel))),
        ("Fault over → every run has ended", figures(all.iter().filter_map(|p| p.recovery))),
    ] {
        let _ = writeln!(
            text,
            "- {what}: {}",
            figures.map_or("not seen".to_owned(), |(count, median, worst)| {
                format!(
                    "{:.1} s in the median, {:.1} s at worst, {count} times",
                    median.as_secs_f64(),
                    worst.as_secs_f64()
                )
            })
        );
    }
    text
}

fn row(text: &mut String, kind: &str, of_kind: &[&Played]) {
    let struck = of_kind.iter().filter(|played| played.struck).count();
    let sum = |number: fn(&Played) -> usize| of_kind.iter().map(|played| number(played)).sum::<usize>();
    let _ = write!(
        text,
        "| {kind} | {struck} of {} | {} | {} |",
        of_kind.len(),
        sum(|p| p.runs),
        sum(|p| p.attempts)
    );
    let (mut looked, mut broken): (BTreeMap<&str, usize>, BTreeMap<&str, usize>) = Default::default();
    for played in of_kind {
        for (name, count) in &played.verdict.looked {
            *looked.entry(name).or_default() += count;
        }
        for (name, _) in &played.verdict.broken {
            *broken.entry(name).or_default() += 1;
        }
    }
    for (name, _) in ALL {
        let _ = match broken.get(name) {
            Some(count) => write!(text, " **{count} broken** |"),
            None => write!(text, " {} |", looked.get(name).copied().unwrap_or(0)),
        };
    }
    let recovery = figures(of_kind.iter().filter_map(|played| played.recovery));
    let shown = recovery.map_or(("–".to_owned(), "–".to_owned()), |(_, median, worst)| {
        (format!("{:.1} s", median.as_secs_f64()), format!("{:.1} s", worst.as_secs_f64()))
    });
    let _ = writeln!(text, " {} | {} |", shown.0, shown.1);
}

/// How many, median and worst.
fn figures(all: impl Iterator<Item = Duration>) -> Option<(usize, Duration, Duration)> {
    let mut all: Vec<Duration> = all.collect();
    all.sort_unstable();
    Some((all.len(), *all.get(all.len() / 2)?, *all.last()?))
}
