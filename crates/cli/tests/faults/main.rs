//! Faults from a seed. In: seeds. Out: one fleet of builds through one fault for each, and the invariants checked
//! after it. `SLIPWAY_FAULTS_SEED`, `_COUNT` and `_MINUTES` choose others than the few of `make test`;
//! `SLIPWAY_FAULTS_PAGE` names a file for the table. A violation names its seed, which plays it once more.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stderr, reason = "a line a seed, while it goes on")]

mod bounds;
mod draw;
mod evidence;
mod fleet;
mod invariants;
mod readback;
mod report;
mod stage;
mod strike;
#[path = "../support/mod.rs"]
mod support;

use std::cell::RefCell;
use std::time::{Duration, Instant, UNIX_EPOCH};

use draw::Draw;
use evidence::Evidence;
use fleet::{Client, Fleet};
use report::Played;
use stage::{CANARY, Stage};
use support::Identity;

/// Of `make test`: what is over in seconds. Of the other kinds `make verify` plays some.
const SHORT: &[u64] = &[0, 2, 3, 4, 5, 6, 8, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 25];
/// Services side by side: most of a fleet's time is somebody's pause.
const LANES: usize = 3;

fn number(name: &str) -> Option<u64> {
    std::env::var(format!("SLIPWAY_FAULTS_{name}")).ok().and_then(|text| text.parse().ok())
}

/// Seeds that are to be played, and what became of those that were.
struct Play {
    seeds: RefCell<Box<dyn Iterator<Item = u64>>>,
    until: Option<Instant>,
    played: RefCell<Vec<Played>>,
}

impl Play {
    fn of_environment() -> Self {
        let (seed, count, minutes) = (number("SEED"), number("COUNT"), number("MINUTES"));
        let seeds: Box<dyn Iterator<Item = u64>> = if seed.or(count).or(minutes).is_none() {
            Box::new(SHORT.iter().copied())
        } else {
            let first = seed.unwrap_or_else(|| {
                std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 1_000_000_000
            });
            Box::new(first..first.saturating_add(count.unwrap_or(u64::MAX / 2)))
        };
        let until = minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
        Self { seeds: RefCell::new(seeds), until, played: RefCell::default() }
    }

    fn next(&self) -> Option<u64> {
        let is_time = self.until.is_none_or(|until| Instant::now() < until);
        is_time.then(|| self.seeds.borrow_mut().next()).flatten()
    }

    /// One service, seed after seed.
    async fn lane(&self) {
        let Some(mut seed) = self.next() else { return };
        let mut stage = Stage::set().await;
        loop {
            let played = play(&mut stage, Draw::of(seed)).await;
            let is_broken = !played.verdict.broken.is_empty();
            eprintln!("{}", if is_broken { report::violations(&played) } else { report::line(&played) });
            if is_broken || std::env::var_os("SLIPWAY_FAULTS_KEEP").is_some() {
                keep_log(&stage, seed);
            }
            self.played.borrow_mut().push(played);
            let Some(next) = self.next() else { break };
            seed = next;
            if is_broken {
                // What is broken may break what comes next.
                drop(stage);
                stage = Stage::set().await;
            }
        }
        nothing_planted_is_found(&stage);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_fault_breaks_no_invariant() {
    let began = Instant::now();
    let play = Play::of_environment();
    let lanes = number("LANES").map_or(LANES, |lanes| usize::try_from(lanes).unwrap());
    let lane = async |number: usize| {
        if number < lanes {
            play.lane().await;
        }
    };
    tokio::join!(lane(0), lane(1), lane(2));
    let mut all = play.played.into_inner();
    all.sort_by_key(|played| played.draw.seed);
    if let Ok(page) = std::env::var("SLIPWAY_FAULTS_PAGE") {
        std::fs::write(page, report::page(&all, began.elapsed())).unwrap();
    }
    let broken: Vec<String> =
        all.iter().filter(|played| !played.verdict.broken.is_empty()).map(report::violations).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

async fn play(stage: &mut Stage, draw: Draw) -> Played {
    stage.mend();
    let client = Client::of(stage, draw.seed);
    let before = stage.proxy.journal().len();
    let held = strike::arm(stage, &draw);
    let mut fleet = Fleet::send(&client);
    let struck = strike::strike(stage, &draw, held, &mut fleet, &client).await;
    let mut seen = fleet.ended().await;
    let ended = Instant::now();
    if let (Some(number), Some((_, answer))) = (draw.cancels, struck) {
        seen[number].cancelled = answer;
    }
    let evidence = Evidence::gather(stage, draw, &client, seen, before).await;
    let verdict = invariants::judge(&evidence, &stage.registry.address()).await;
    let at = struck.map(|(struck, _)| struck.at.duration_since(UNIX_EPOCH).unwrap().as_secs_f64());
    let after = |row: &serde_json::Value, column: &str| {
        Some(row[column].as_f64()? - at?).filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64)
    };
    let again = evidence.attempts.iter().filter(|row| row["attempt"] == 2);
    let cancelled = evidence.runs.iter().filter(|row| row["status"] == "cancelled");
    Played {
        draw,
        struck: struck.is_some(),
        runs: evidence.runs.len(),
        attempts: evidence.attempts.len(),
        recovery: struck.map(|(struck, _)| ended.saturating_duration_since(struck.over)),
        again: again.filter_map(|row| after(row, "started")).min(),
        cancel: cancelled.filter_map(|row| after(row, "finished")).max(),
        verdict,
    }
}

fn keep_log(stage: &Stage, seed: u64) {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("slipway-faults-{seed}.log"));
    let journal: String = stage.proxy.journal().iter().map(|entry| format!("{entry:?}\n")).collect();
    std::fs::write(&file, format!("{}\n{journal}", stage.world.log())).unwrap();
    eprintln!("  the service's log and the registry's journal: {}", file.display());
}

/// The whole of the database and of the data folder, once: a search that finds what it should finds no secret.
fn nothing_planted_is_found(stage: &Stage) {
    let mut dump = Identity::Root.command(std::path::Path::new("pg_dump"));
    dump.args(["-U", "slipway_admin", "-d", "slipway", "-h"]).arg(stage.world.runtime.join("postgres"));
    let dump = dump.output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    // Logs are bytes: pg_dump writes them in hex.
    let holds = |text: &str| {
        let dump = String::from_utf8_lossy(&dump.stdout);
        dump.contains(text) || dump.contains(&hex::encode(text))
    };
    assert!(holds("line 40 of "), "the logs are in the dump");
    assert!(!holds(CANARY), "the secret is in the database");
    let grep = |text: &str| {
        let mut grep = Identity::Root.command(std::path::Path::new("grep"));
        grep.args(["-rqs", text]).arg(&stage.world.data).status().unwrap().code()
    };
    assert_eq!(grep("shared"), Some(0), "the search finds what is there");
    assert_eq!(grep(CANARY), Some(1), "the secret is below the data folder");
}
