//! What every write of a run's holder carries.

use model::{Epoch, LeaseToken, RunId};

/// One lease of one run.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) run: RunId,
    pub(crate) attempt: i32,
    pub(crate) epoch: Epoch,
    pub(crate) token: LeaseToken,
}
