//! What a run takes of the store's disk through others: blobs that the worker downloads for it, and layers that
//! cells of their own unpack for it. In: whoever works for the run says so. Out: it is counted, and ended, with the run.

use std::sync::Arc;

use model::RunId;

use super::{Disk, Entry};

/// A run's share of the disk, to be told of what is done for it.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    pub(super) disk: Arc<Disk>,
    pub(super) run: RunId,
}

/// A cell that works for the run, until this is dropped.
#[derive(Debug)]
pub(crate) struct AtWork {
    share: Share,
    cell: u32,
}

impl Share {
    /// So many bytes are on their way into the store.
    pub(crate) fn takes(&self, bytes: u64) {
        self.with(|entry| entry.fetched = entry.fetched.saturating_add(bytes));
    }

    /// They did not come.
    pub(crate) fn gives_back(&self, bytes: u64) {
        self.with(|entry| entry.fetched = entry.fetched.saturating_sub(bytes));
    }

    /// A cell of that process id works for the run from now on.
    pub(crate) fn at_work(&self, cell: u32) -> AtWork {
        self.with(|entry| entry.helpers.push(cell));
        AtWork { share: self.clone(), cell }
    }

    fn with(&self, change: impl FnOnce(&mut Entry)) {
        self.disk.lock().get_mut(&self.run).map(change);
    }
}

impl Drop for AtWork {
    /// Before its process id is another's.
    fn drop(&mut self) {
        self.share.with(|entry| entry.helpers.retain(|helper| *helper != self.cell));
    }
}
