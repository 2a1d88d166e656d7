//! What has to hold, whatever struck. In: the evidence. Out: for each invariant how much was looked at, and what
//! broke it. The numbers are those of the service's list of invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::time::UNIX_EPOCH;

use serde_json::Value;
use test_support::Asked;

use crate::draw::{Fault, Target};
use crate::evidence::{Evidence, text};
use crate::fleet::{NAMES, SHARED, Seen, is_end};
use crate::readback;
use crate::stage::CANARY;

/// Their names, for the table.
pub(crate) const ALL: [(&str, &str); 14] = [
    ("I1", "what was acknowledged is one run, and ends"),
    ("I2", "one holder: at most one attempt and one publication of a run succeed"),
    ("I3", "statuses only move forward, an end never moves"),
    ("I4", "when the fault is over, every run ends within the limit"),
    ("I5", "what succeeded can be read back, every blob with its digest"),
    ("I6", "what did not succeed moves no tag after its end"),
    ("I7", "the newest source has the tag"),
    ("I8", "logs have no hole, nothing twice, nothing rewritten"),
    ("I9", "no process, mount, cgroup or folder is left"),
    ("I10", "a secret is in no log, no layer, no report"),
    ("I12", "descriptors, threads, memory, connections and queues are back to what they were"),
    ("I14", "the same source is the same digest"),
    ("I15", "each end is to be told once, and what was told is true"),
    (
        "I16",
        "a fault of the service is never the user's; one fault fails no run, and a database that is away costs no attempt",
    ),
];

/// What was looked at and what is wrong, by invariant.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) looked: BTreeMap<&'static str, usize>,
    pub(crate) broken: Vec<(&'static str, String)>,
}

impl Verdict {
    fn check(&mut self, invariant: &'static str, holds: bool, otherwise: impl FnOnce() -> String) {
        *self.looked.entry(invariant).or_default() += 1;
        if !holds {
            self.broken.push((invariant, otherwise()));
        }
    }
}

pub(crate) async fn judge(evidence: &Evidence, registry: &str) -> Verdict {
    let mut verdict = Verdict::default();
    one_run_each(evidence, &mut verdict);
    one_holder(evidence, &mut verdict);
    forward_only(evidence, &mut verdict);
    success_is_true(evidence, registry, &mut verdict).await;
    no_late_effect(evidence, &mut verdict);
    newest_wins(evidence, &mut verdict);
    whole_logs(evidence, &mut verdict);
    verdict.check("I9", evidence.residue.is_none(), || evidence.residue.clone().unwrap_or_default());
    verdict.check("I12", evidence.held.is_none(), || evidence.held.clone().unwrap_or_default());
    no_secret(evidence, &mut verdict);
    the_same_digest(evidence, registry, &mut verdict).await;
    told(evidence, &mut verdict);
    right_blame(evidence, &mut verdict);
    verdict
}

fn status(seen: &Seen) -> &str {
    seen.ended["status"].as_str().unwrap_or("not ended")
}

fn succeeded(seen: &Seen) -> bool {
    status(seen) == "succeeded"
}

fn digest(seen: &Seen) -> &str {
    seen.ended["images"][0]["digest"].as_str().unwrap_or_default()
}

fn one_run_each(evidence: &Evidence, verdict: &mut Verdict) {
    let known: BTreeSet<String> = evidence.seen.iter().map(|seen| seen.id.clone()).collect();
    let rows: BTreeSet<String> = evidence.runs.iter().map(|row| text(row, "id")).collect();
    verdict.check("I1", known == rows, || format!("the client knows {known:?}, the database {rows:?}"));
    for seen in &evidence.seen {
        verdict
            .check("I4", is_end(status(seen)), || format!("{} has not ended: {:?}", seen.name, seen.moves));
    }
    for row in &evidence.runs {
        verdict.check("I1", is_end(&text(row, "status")), || format!("a run does not end: {row}"));
    }
}

fn one_holder(evidence: &Evidence, verdict: &mut Verdict) {
    for seen in &evidence.seen {
        let attempts: Vec<&Value> = Evidence::of(&evidence.attempts, &seen.id).collect();
        let good = attempts.iter().filter(|row| row["outcome"] == "succeeded").count();
        let published =
            Evidence::of(&evidence.publications, &seen.id).filter(|row| row["status"] == "published").count();
        let wanted = usize::from(succeeded(seen));
        verdict.check("I2", good == wanted && published == wanted, || {
            format!(
                "{} is {}, and {good} attempts, {published} publications succeeded",
                seen.name,
                status(seen)
            )
        });
        let numbers: Vec<i64> = attempts.iter().filter_map(|row| row["attempt"].as_i64()).collect();
        let in_order = numbers.iter().copied().eq(1..=i64::try_from(numbers.len()).unwrap());
        verdict.check("I2", in_order, || format!("{} has the attempts {numbers:?}", seen.name));
    }
}

fn forward_only(evidence: &Evidence, verdict: &mut Verdict) {
    let rank = |status: &str| match status {
        "queued" => 0,
        "started" => 1,
        "publishing" => 2,
        _ => 3,
    };
    for seen in &evidence.seen {
        let forward = seen.moves.windows(2).all(|pair| {
            let ((before, was), (after, is)) = (&pair[0], &pair[1]);
            !is_end(was) && (after > before || (after == before && rank(is) > rank(was)))
        });
        verdict.check("I3", forward, || format!("{} moved {:?}", seen.name, seen.moves));
        let row = evidence.runs.iter().find(|row| row["id"] == seen.id.as_str());
        let same = row.is_some_and(|row| row["status"] == seen.ended["status"]);
        verdict.check("I3", same, || format!("{} ended {}, and is {row:?} now", seen.name, status(seen)));
    }
}

async fn success_is_true(evidence: &Evidence, registry: &str, verdict: &mut Verdict) {
    for (seen, image) in evidence.seen.iter().zip(&evidence.images).filter(|(seen, _)| succeeded(seen)) {
        let repository = image.split(':').next().unwrap_or_default();
        let read = readback::image(registry, repository, digest(seen), CANARY).await;
        verdict.check("I5", read.is_ok(), || format!("{}: {}", seen.name, read.err().unwrap_or_default()));
    }
    for (image, tag) in &evidence.tags {
        let Some(tag) = tag else { continue };
        let is_known = evidence.publications.iter().any(|row| row["digest"] == tag.as_str());
        verdict.check("I5", is_known, || format!("{image} is {tag}, which nobody built"));
    }
}

fn no_late_effect(evidence: &Evidence, verdict: &mut Verdict) {
    let puts = evidence.journal.iter().filter(|entry| entry.asked == Asked::TagPut);
    for put in puts {
        let of_put =
            evidence.publications.iter().filter(|row| row["digest"].as_str() == put.digest.as_deref());
        let ids: BTreeSet<String> = of_put.map(|row| text(row, "run_id")).collect();
        let name = put.path.rsplit('/').next().unwrap_or_default();
        if !evidence.images.iter().any(|image| image.ends_with(name)) {
            continue;
        }
        let at = put.at.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        // Twins share a digest: one of those it may be of.
        let may = evidence.runs.iter().filter(|row| ids.contains(&text(row, "id"))).any(|row| {
            row["status"] == "succeeded" || row["finished"].as_f64().is_none_or(|finished| at <= finished)
        });
        verdict.check("I6", may, || format!("{put:?} came after the end of {ids:?}: {:?}", evidence.runs));
    }
}

fn newest_wins(evidence: &Evidence, verdict: &mut Verdict) {
    let newest = evidence.seen[..SHARED].iter().rev().find(|seen| succeeded(seen)).map(digest);
    let tag = evidence.tags[&evidence.shared].as_deref();
    verdict.check("I7", newest == tag, || {
        format!("{} is {tag:?}, and the newest that succeeded is {newest:?}", evidence.shared)
    });
    for (seen, image) in
        evidence.seen.iter().zip(&evidence.images).skip(SHARED).filter(|(seen, _)| succeeded(seen))
    {
        let tag = evidence.tags[image].as_deref();
        verdict
            .check("I7", tag == Some(digest(seen)), || format!("{image} is {tag:?}, not {}", digest(seen)));
    }
}

fn whole_logs(evidence: &Evidence, verdict: &mut Verdict) {
    let mut ends: BTreeMap<(String, i64), i64> = BTreeMap::new();
    for chunk in &evidence.chunks {
        let end = ends.entry((text(chunk, "run_id"), chunk["attempt"].as_i64().unwrap())).or_default();
        let start = chunk["start"].as_i64().unwrap();
        verdict.check("I8", start == *end, || format!("a chunk begins at {start}, not at {end}: {chunk}"));
        *end = start + chunk["length"].as_i64().unwrap();
    }
    for seen in &evidence.seen {
        for (attempt, read) in &seen.logs {
            let now = evidence.logs.get(&(seen.id.clone(), *attempt)).map_or("", String::as_str);
            verdict.check("I8", now.starts_with(read.as_str()), || {
                format!("{}, attempt {attempt}: it was read as {read:?} and is {now:?}", seen.name)
            });
            let is_last = seen.ended["attempt"].as_i64() == Some(*attempt) && succeeded(seen);
            let (good, found) = lines(now, seen, evidence, is_last);
            verdict.check("I8", good, || format!("{}, attempt {attempt}: lines {found:?}", seen.name));
        }
    }
}

/// The numbers that the build printed: 1, 2, 3 up to 40, or to where the attempt was broken off. None at all where
/// the step was cached.
fn lines(log: &str, seen: &Seen, evidence: &Evidence, is_last: bool) -> (bool, Vec<usize>) {
    let number = NAMES.iter().position(|name| *name == seen.name).unwrap_or_default();
    let name = if number < SHARED { seen.name } else { "twin" };
    let end = format!(" of {}/{name}", evidence.mark);
    // What a step prints follows the step's name.
    let numbers =
        log.lines().filter_map(|line| line.strip_suffix(&end)?.rsplit_once("line ")?.1.parse().ok());
    let found: Vec<usize> = numbers.collect();
    let in_order = found.iter().copied().eq(1..=found.len());
    (in_order && (!is_last || [0, 40].contains(&found.len())), found)
}

fn no_secret(evidence: &Evidence, verdict: &mut Verdict) {
    for (run, log) in &evidence.logs {
        verdict.check("I10", !log.contains(CANARY), || format!("it is in the log of {run:?}"));
    }
    verdict.check("I10", !evidence.service_log.contains(CANARY), || "it is in the service's log".to_owned());
    let told = evidence.told.iter().any(|body| body.to_string().contains(CANARY));
    verdict.check("I10", !told, || "somebody was told it".to_owned());
}

async fn the_same_digest(evidence: &Evidence, registry: &str, verdict: &mut Verdict) {
    let twins: Vec<&Seen> = evidence.seen[SHARED..].iter().filter(|seen| succeeded(seen)).collect();
    let [one, other] = twins[..] else { return };
    let same = digest(one) == digest(other);
    let shown = if same {
        String::new()
    } else {
        let one = readback::shown(registry, one.name, digest(one)).await;
        format!("one source is {one}\n  and {}", readback::shown(registry, other.name, digest(other)).await)
    };
    verdict.check("I14", same, || shown);
}

fn told(evidence: &Evidence, verdict: &mut Verdict) {
    for seen in &evidence.seen {
        let rows: Vec<&Value> = Evidence::of(&evidence.outbox, &seen.id).collect();
        let is_good = rows.len() == 1 && rows[0]["status"] != "given_up";
        verdict.check("I15", is_good, || format!("{} ended, and is told of by {rows:?}", seen.name));
        let bodies: Vec<&Value> =
            evidence.told.iter().filter(|body| body["data"]["run"] == seen.id.as_str()).collect();
        let is_true = bodies.iter().all(|body| body["data"]["status"] == seen.ended["status"]);
        verdict.check("I15", is_true, || {
            format!("{} is {}, and was told of as {bodies:?}", seen.name, status(seen))
        });
        let is_sent = rows.iter().any(|row| row["status"] == "sent");
        verdict.check("I15", !is_sent || !bodies.is_empty(), || format!("{} was told to nobody", seen.name));
    }
}

fn right_blame(evidence: &Evidence, verdict: &mut Verdict) {
    let rows = evidence.runs.iter().chain(&evidence.attempts).chain(&evidence.publications);
    for row in rows {
        let blame = row["failure"]["blame"].as_str();
        verdict.check("I16", blame != Some("user"), || format!("{row}"));
    }
    let is_databases = match evidence.draw.fault {
        Fault::RestartPostgres | Fault::KillBackends | Fault::ExhaustPool(_) | Fault::DeadLines(..) => true,
        Fault::Kill(target) => target == Target::Postgres,
        _ => false,
    };
    let (runs, attempts) = (evidence.runs.len(), evidence.attempts.len());
    // A run that was cancelled while it waited has none.
    verdict.check("I16", !is_databases || attempts <= runs, || {
        format!("{runs} runs took {attempts} attempts: {:?}", evidence.attempts)
    });
    // Room that is taken for longer than the attempts last is nothing that they could mend.
    let may_fail = matches!(evidence.draw.fault, Fault::FillDisk(_));
    for seen in &evidence.seen {
        let good = match status(seen) {
            "succeeded" => true,
            "cancelled" => seen.cancelled.is_some_and(|status| status < 400),
            _ => may_fail,
        };
        verdict.check("I16", good, || {
            format!(
                "{} is {}: {} {:?}",
                seen.name,
                status(seen),
                seen.ended["failure"],
                Evidence::of(&evidence.attempts, &seen.id).collect::<Vec<_>>()
            )
        });
    }
}
