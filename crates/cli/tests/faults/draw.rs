//! What a seed means: one fault, the moment at which it strikes, and whether a run is cancelled then. In: a number.
//! Out: always the same draw for it. The kinds take turns from seed to seed, everything else is drawn.

use std::time::Duration;

use failpoint::Point;
use test_support::{Asked, Phase, RegistryFault, Trouble};

/// Who is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Server,
    Worker,
    Cell,
    Publisher,
    Postgres,
    Registry,
}

/// What strikes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Kill(Target),
    /// SIGSTOP, and SIGCONT after that long.
    Stop(Target, Duration),
    RestartPostgres,
    KillBackends,
    ExhaustPool(Duration),
    /// The lines to PostgreSQL, of one of its clients or of all, go dead without a word, for that long. New ones work.
    DeadLines(Option<Target>, Duration),
    FillDisk(Duration),
    /// The point itself fails.
    Fail,
    Registry(Trouble),
}

/// When: at a point's or a request's pass. A registry's trouble brings its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    At(Point, u32),
    Asked(Asked, u32, Phase),
    OfItself,
}

/// All of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    pub(crate) seed: u64,
    pub(crate) kind: &'static str,
    pub(crate) fault: Fault,
    pub(crate) moment: Moment,
    /// A run of the fleet that is cancelled when the fault strikes.
    pub(crate) cancels: Option<usize>,
}

/// Names of the kinds, in their order.
pub(crate) const KINDS: [&str; 27] = [
    "kill -9 server",
    "kill -9 worker",
    "kill -9 cell",
    "kill -9 publisher",
    "kill -9 Postgres",
    "kill -9 registry",
    "SIGSTOP server",
    "SIGSTOP worker",
    "SIGSTOP cell",
    "SIGSTOP publisher",
    "SIGSTOP Postgres",
    "SIGSTOP registry",
    "Postgres restarted",
    "backends ended",
    "pool exhausted",
    "disk full",
    "a point fails",
    "registry: 429, Retry-After",
    "registry: 429",
    "registry: 5xx",
    "registry: reset",
    "registry: reset after the deed",
    "registry: stall",
    "registry: truncated",
    "registry: half-open",
    "registry: 201, blob missing",
    "Postgres: half-open",
];

const TARGETS: [Target; 6] =
    [Target::Server, Target::Worker, Target::Cell, Target::Publisher, Target::Postgres, Target::Registry];
/// Longer than a lease.
const LONG: Duration = Duration::from_secs(20);
/// Longer than any statement is waited for.
const LONGER: Duration = Duration::from_secs(45);
/// Whose lines go dead.
const CLIENTS: [Option<Target>; 4] =
    [Some(Target::Server), Some(Target::Worker), Some(Target::Publisher), None];
const PUSHES: [Asked; 6] =
    [Asked::BlobHead, Asked::BlobPost, Asked::BlobPatch, Asked::BlobPut, Asked::TagPut, Asked::ManifestGet];

/// splitmix64 (Steele, Lea, Flood, 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(self.next() % u64::from(limit)).expect("it is below a u32")
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(u32::try_from(choices.len()).expect("few")) as usize]
    }
}

impl Draw {
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let kind = usize::try_from(seed % KINDS.len() as u64).expect("below the number of kinds");
        let fault = fault(kind, &mut dice);
        let moment = moment(fault, &mut dice);
        let cancels = (dice.below(4) == 0).then(|| dice.below(crate::fleet::RUNS) as usize);
        Self { seed, kind: KINDS[kind], fault, moment, cancels }
    }
}

fn fault(kind: usize, dice: &mut Dice) -> Fault {
    // One time in three longer than a lease.
    let stopped = if dice.below(3) == 0 { LONG } else { seconds(dice, 1, 4) };
    match kind {
        0..=5 => Fault::Kill(TARGETS[kind]),
        6..=11 => Fault::Stop(TARGETS[kind - 6], stopped),
        12 => Fault::RestartPostgres,
        13 => Fault::KillBackends,
        14 => Fault::ExhaustPool(seconds(dice, 2, 8)),
        15 => Fault::FillDisk(seconds(dice, 1, 4)),
        16 => Fault::Fail,
        26 => {
            let lengths = [seconds(dice, 1, 4), LONG, LONGER];
            Fault::DeadLines(dice.of(&CLIENTS), dice.of(&lengths))
        }
        _ => Fault::Registry(trouble(kind, dice)),
    }
}

fn trouble(kind: usize, dice: &mut Dice) -> Trouble {
    let fault = match kind {
        17 => RegistryFault::Busy(Some(1 + dice.below(2))),
        18 => RegistryFault::Busy(None),
        19 => RegistryFault::Broken(dice.of(&[500, 502, 503, 504])),
        20 => RegistryFault::Reset,
        21 => RegistryFault::ResetAfter,
        22 => RegistryFault::Stall(seconds(dice, 1, 6)),
        23 => RegistryFault::Truncated,
        24 => RegistryFault::HalfOpen,
        _ => RegistryFault::LostBlob,
    };
    let asked = if fault == RegistryFault::LostBlob { Asked::BlobPut } else { dice.of(&PUSHES) };
    // The fleet shares one blob, its base: what is lost for good is found once.
    let most = match fault {
        RegistryFault::HalfOpen | RegistryFault::Stall(_) => 1,
        RegistryFault::LostBlob => 2,
        _ => 8,
    };
    Trouble { asked, after: dice.below(4), times: 1 + dice.below(most), fault }
}

fn seconds(dice: &mut Dice, from: u32, to: u32) -> Duration {
    Duration::from_secs(u64::from(from + dice.below(to - from)))
}

fn moment(fault: Fault, dice: &mut Dice) -> Moment {
    let nth = 1 + dice.below(3);
    let own = |role: &str| -> Vec<Point> {
        Point::ALL.iter().copied().filter(|point| point.name().starts_with(role)).collect()
    };
    let place = match fault {
        Fault::Registry(_) => return Moment::OfItself,
        Fault::Fail => {
            let points = [Point::WorkerFetched, Point::WorkerLayerLinked, Point::PublisherBlobPushed];
            return Moment::At(dice.of(&points), nth);
        }
        Fault::Kill(Target::Server) | Fault::Stop(Target::Server, _) => {
            [own("server"), own("reporter")].concat()
        }
        Fault::Kill(Target::Worker | Target::Cell) | Fault::Stop(Target::Worker | Target::Cell, _) => {
            own("worker")
        }
        Fault::Kill(Target::Publisher) | Fault::Stop(Target::Publisher, _) => own("publisher"),
        Fault::FillDisk(_) => own("worker"),
        _ => Point::ALL.to_vec(),
    };
    let is_of_push = matches!(
        fault,
        Fault::Kill(Target::Publisher | Target::Registry)
            | Fault::Stop(Target::Publisher | Target::Registry, _)
    );
    if is_of_push && dice.below(2) == 0 {
        return Moment::Asked(dice.of(&PUSHES), nth - 1, dice.of(&[Phase::Asked, Phase::Answered]));
    }
    Moment::At(dice.of(&place), nth)
}

#[test]
fn a_seed_is_always_the_same_draw() {
    for seed in 0..200 {
        assert_eq!(format!("{:?}", Draw::of(seed)), format!("{:?}", Draw::of(seed)));
    }
    let moments: std::collections::BTreeSet<String> =
        (0..2000).map(|seed| format!("{:?}", Draw::of(seed).moment)).collect();
    for point in Point::ALL {
        assert!(moments.iter().any(|moment| moment.contains(point.name())), "{point:?} is never drawn");
    }
}
