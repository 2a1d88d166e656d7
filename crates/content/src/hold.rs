//! What is in use and stays: the blobs that a run has opened or made, until its publication has ended. In: runs
//! that begin and end. Out: whether a blob may go. It lives in the worker's process and is built anew at its start.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;

use model::{Digest, RunId};

use crate::{Error, Store};

/// An area of a store, and a blob in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub scope: String,
    pub digest: Digest,
}

/// Whose blobs they are: one attempt of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder {
    pub run: RunId,
    pub attempt: i32,
}

/// The way of one attempt to the store: what it opens or names stays. Dropped, the attempt is over on this
/// worker, and its blobs stay until [`Store::release`].
#[derive(Debug)]
pub struct Hold {
    store: Arc<Store>,
    holder: Holder,
}

impl Hold {
    pub(crate) fn new(store: Arc<Store>, holder: Holder) -> Self {
        store.pins().at_work(holder);
        Self { store, holder }
    }

    /// A blob, read from its start, which stays from now on; none where there is none (any more).
    ///
    /// # Errors
    /// The disk refuses.
    pub fn open(&self, scope: &str, digest: &Digest) -> Result<Option<File>, Error> {
        self.store.open_for(self.holder, scope, digest)
    }

    /// Names a written file, which stays from now on, and opens it for reading. What had the name is replaced.
    ///
    /// # Errors
    /// The disk is full or refuses.
    pub fn link(&self, file: &File, scope: &str, digest: &Digest) -> Result<File, Error> {
        self.store.link_for(self.holder, file, scope, digest)
    }

    /// Everything that was opened or named so far.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        self.store.pins().of(self.holder)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.store.pins().hand_on(self.holder);
    }
}

/// Who holds what.
#[derive(Debug, Default)]
pub(crate) struct Pins(HashMap<Holder, Held>);

#[derive(Debug, Default)]
struct Held {
    blobs: HashSet<Place>,
    /// False: only the publisher may still need them.
    at_work: bool,
}

impl Pins {
    fn at_work(&mut self, holder: Holder) {
        self.0.entry(holder).or_default().at_work = true;
    }

    pub(crate) fn pin(&mut self, holder: Holder, place: Place) {
        self.0.entry(holder).or_default().blobs.insert(place);
    }

    fn hand_on(&mut self, holder: Holder) {
        if let Some(held) = self.0.get_mut(&holder) {
            held.at_work = false;
        }
    }

    fn of(&self, holder: Holder) -> Vec<Place> {
        self.0.get(&holder).map(|held| held.blobs.iter().cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn handed_on(&self) -> Vec<Holder> {
        self.0.iter().filter(|(_, held)| !held.at_work).map(|(holder, _)| *holder).collect()
    }

    pub(crate) fn release(&mut self, holders: &[Holder]) {
        self.0.retain(|holder, held| held.at_work || !holders.contains(holder));
    }

    pub(crate) fn is_pinned(&self, place: &Place) -> bool {
        self.0.values().any(|held| held.blobs.contains(place))
    }
}
