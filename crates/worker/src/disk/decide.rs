//! Which runs have to end for what they take of the disk. Pure: numbers in, runs and limits out.

use cell::Taken;
use model::{Limit, RunId};

use crate::limits::{Limits, Space};

/// A run that took less than this part of the reserve has not filled a disk.
const LITTLE: u64 = 8;
/// Which part of a limit or of the reserve has to be gone before it is worth a look.
const STEP: u64 = 16;

/// Whether enough is gone since the last look; anything, where the reserve is touched.
pub(super) fn moved(then: &Space, now: &Space, limits: &Limits) -> bool {
    let moved = |then: u64, now: u64, limit: Option<u64>, reserve: u64| {
        let step = limit.into_iter().chain((reserve > 0).then_some(reserve)).min().unwrap_or(u64::MAX) / STEP;
        then.saturating_sub(now) > step
    };
    let fell = now.bytes < then.bytes || now.inodes < then.inodes;
    (fell && touched(now, limits))
        || moved(then.bytes, now.bytes, limits.run.disk, limits.reserve.bytes)
        || moved(then.inodes, now.inodes, limits.run.inodes, limits.reserve.inodes)
}

/// Whether less is free than has to be.
pub(super) fn touched(free: &Space, limits: &Limits) -> bool {
    free.bytes < limits.reserve.bytes || free.inodes < limits.reserve.inodes
}

/// Those beyond their limit; where there is none and the reserve is touched, the largest, if it is not little.
pub(super) fn decide(limits: &Limits, free: &Space, taken: &[(RunId, Taken)]) -> Vec<(RunId, Limit)> {
    let beyond: Vec<_> =
        taken.iter().filter_map(|(run, taken)| Some((*run, limit_of(limits, taken)?))).collect();
    if !beyond.is_empty() {
        return beyond;
    }
    let largest = |of: fn(&Taken) -> u64, limit: Limit, free: u64, reserve: u64| {
        let (run, taken) = taken.iter().max_by_key(|(_, taken)| of(taken))?;
        (free < reserve && is_not_little(of(taken), reserve)).then_some((*run, limit))
    };
    let bytes = largest(|taken| taken.bytes, Limit::DiskReserve, free.bytes, limits.reserve.bytes);
    let inodes = || largest(|taken| taken.inodes, Limit::InodeReserve, free.inodes, limits.reserve.inodes);
    bytes.or_else(inodes).into_iter().collect()
}

/// Otherwise a full disk is nobody's of those that are running.
pub(super) fn is_not_little(taken: u64, reserve: u64) -> bool {
    taken > 0 && taken >= reserve / LITTLE
}

fn limit_of(limits: &Limits, taken: &Taken) -> Option<Limit> {
    let beyond = |limit: Option<u64>, taken: u64| limit.is_some_and(|limit| taken > limit);
    match taken {
        taken if beyond(limits.run.disk, taken.bytes) => Some(Limit::Disk),
        // What can't be counted is not bounded either.
        taken if beyond(limits.run.inodes, taken.inodes) || taken.partial => Some(Limit::Inodes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use model::RunLimits;
    use uuid::Uuid;

    use super::*;

    fn limits() -> Limits {
        let run = RunLimits { disk: Some(1000), inodes: Some(100), ..RunLimits::default() };
        Limits { run, reserve: Space { bytes: 160, inodes: 16 }, log: None }
    }

    fn run(number: u128, bytes: u64, inodes: u64) -> (RunId, Taken) {
        (RunId(Uuid::from_u128(number)), Taken { bytes, inodes, partial: false })
    }

    const ROOM: Space = Space { bytes: 5000, inodes: 500 };

    #[test]
    fn who_takes_more_than_its_limit_ends_whatever_is_free() {
        let taken = [run(1, 1001, 1), run(2, 1000, 100), run(3, 1, 101)];
        let ended = decide(&limits(), &ROOM, &taken);
        assert_eq!(ended, [(taken[0].0, Limit::Disk), (taken[2].0, Limit::Inodes)]);
    }

    #[test]
    fn where_the_reserve_is_touched_the_largest_ends_and_no_other() {
        let taken = [run(1, 300, 5), run(2, 900, 1), run(3, 10, 90)];
        assert_eq!(
            decide(&limits(), &Space { bytes: 159, ..ROOM }, &taken),
            [(taken[1].0, Limit::DiskReserve)]
        );
        assert_eq!(
            decide(&limits(), &Space { inodes: 15, ..ROOM }, &taken),
            [(taken[2].0, Limit::InodeReserve)]
        );
        assert!(decide(&limits(), &Space { bytes: 160, inodes: 16 }, &taken).is_empty());
    }

    #[test]
    fn a_disk_that_others_filled_is_not_blamed_on_a_small_run() {
        assert!(decide(&limits(), &Space { bytes: 0, ..ROOM }, &[run(1, 19, 1)]).is_empty());
    }

    #[test]
    fn it_is_looked_at_when_a_step_is_gone_or_the_reserve_is_touched() {
        assert!(moved(&Space { bytes: 160, ..ROOM }, &Space { bytes: 159, ..ROOM }, &limits()));
        let at = |bytes, inodes| moved(&ROOM, &Space { bytes, inodes }, &limits());
        assert!(!at(4990, 499) && !at(9000, 900));
        assert!(at(4989, 500) && at(5000, 498));
        let low = Space { bytes: 159, ..ROOM };
        assert!(!moved(&low, &low, &limits()) && moved(&low, &Space { bytes: 158, ..low }, &limits()));
    }
}
