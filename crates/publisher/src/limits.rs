//! How much is done at the same time, and how often.

use std::time::Duration;

/// Publications; those of runs that are still being built count too.
pub(crate) const PUBLICATIONS: usize = 32;
/// Blobs of one publication.
pub(crate) const BLOBS: usize = 4;
/// As `lease_length` in migrations/ has it.
pub(crate) const LEASE: Duration = Duration::from_secs(15);
/// Its heartbeat.
pub(crate) const RENEW: Duration = Duration::from_secs(4);
/// How often an open publication is looked at for new blobs.
pub(crate) const LOOK: Duration = Duration::from_millis(200);
/// Bytes read from the store at once.
pub(crate) const PIECE: usize = 1 << 20;
/// For an answer to a part of a push: a registry that checks a large blob's digest takes a while.
pub(crate) const ANSWER: Duration = Duration::from_secs(300);
