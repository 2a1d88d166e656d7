//! The cleaner keeps the store within its quota: what was used last stays. Blobs may have half of it, what is unpacked
//! the rest. Only the worker's own process removes anything, and nothing that a run or its publication needs.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use content::{Holder, Place, Store};
use model::Failure;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::house::House;
use crate::metrics::{METRICS, Stored};

/// How long the database is waited for before it is asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// Cache rows that are dropped in one statement.
const ROWS: usize = 500;

/// Cleans until the worker ends.
pub(crate) async fn clean(house: Arc<House>, stop: CancellationToken) {
    let cleaning = async {
        while let Err(failure) = keep_what_publications_need(&house).await {
            tracing::debug!(%failure, "the cleaner waits for the database");
            tokio::time::sleep(PAUSE).await;
        }
        let every = house.config.cleaning.every;
        let mut rhythm = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        rhythm.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rhythm.tick().await;
            if let Err(failure) = clean_once(&house).await {
                tracing::warn!(%failure, "the store could not be cleaned");
            }
        }
    };
    tokio::select! {
        () = cleaning => {}
        () = stop.cancelled() => {}
    }
}

/// Removes blobs that a reader found to be something else, so that they are made again.
pub(crate) async fn drop_damaged(house: &Arc<House>, places: Vec<Place>) {
    let looked = blocking(house, move |store| {
        let damaged = places.into_iter().filter(|place| store.discard_if_damaged(place).unwrap_or(false));
        Ok(damaged.count() as u64)
    });
    let dropped = async {
        let damaged = looked.await?;
        METRICS.damaged(Stored::Blob, damaged);
        empty_trash(house).await
    };
    if let Err(failure) = dropped.await {
        tracing::warn!(%failure, "damaged blobs could not be removed");
    }
}

/// The pins of an earlier process, as the journal has them. Nothing is removed before.
async fn keep_what_publications_need(house: &House) -> Result<(), Failure> {
    let unfinished = house.database.unfinished_publications(house.store.id()).await;
    for kept in unfinished.map_err(|error| error.failure())? {
        let holder = Holder { run: kept.run, attempt: kept.attempt };
        for (scope, digest) in kept.blobs {
            house.store.expect(holder, Place { scope, digest });
        }
    }
    Ok(())
}

async fn clean_once(house: &Arc<House>) -> Result<(), Failure> {
    release_what_is_published(house).await?;
    let disk = nix::sys::statvfs::statvfs(&house.config.store).map_err(|error| internal(&error))?;
    let quota = house.config.quota.bytes(disk.blocks().saturating_mul(disk.fragment_size()));
    METRICS.store_quota.set(i64::try_from(quota).unwrap_or(i64::MAX));
    let (bytes, removed) = blocking(house, move |store| discard_down_to(store, quota / 2)).await?;
    METRICS.used(Stored::Blob, bytes);
    METRICS.removed(Stored::Blob, removed);
    empty_trash(house).await?;
    // Reading everything again would slow down runs that are at work.
    let compare_after = (METRICS.held.get() == 0).then_some(house.config.cleaning.compare_after);
    let cleaner = Arc::clone(house);
    let left = quota.saturating_sub(bytes);
    let cleaned = tokio::task::spawn_blocking(move || cleaner.clean(left, compare_after)).await;
    let cleaned = cleaned.map_err(|error| internal(&error))??;
    METRICS.used(Stored::Snapshot, cleaned.bytes);
    METRICS.removed(Stored::Snapshot, cleaned.removed);
    METRICS.damaged(Stored::Snapshot, cleaned.damaged);
    METRICS.store_compared.inc_by(cleaned.compared);
    if cleaned.damaged > 0 {
        tracing::error!(
            layers = cleaned.damaged,
            "unpacked layers are not what they were: check the store's disk"
        );
    }
    Ok(())
}

/// First who is over here, then who still publishes: an attempt whose end is reported is in the journal.
async fn release_what_is_published(house: &House) -> Result<(), Failure> {
    let mut over = house.store.handed_on();
    let unfinished = house.database.unfinished_publications(house.store.id()).await;
    let unfinished: HashSet<Holder> = unfinished
        .map_err(|error| error.failure())?
        .iter()
        .map(|kept| Holder { run: kept.run, attempt: kept.attempt })
        .collect();
    over.retain(|holder| !unfinished.contains(holder));
    house.store.release(&over);
    Ok(())
}

/// Answers the bytes that are left, and how many blobs went.
fn discard_down_to(store: &Store, limit: u64) -> Result<(u64, u64), content::Error> {
    let blobs = store.blobs()?;
    let mut bytes: u64 = blobs.iter().map(|blob| blob.size).sum();
    let mut removed = 0;
    for blob in blobs {
        if bytes <= limit {
            break;
        }
        if store.discard(&blob.place)? {
            bytes -= blob.size;
            removed += 1;
        }
    }
    Ok((bytes, removed))
}

/// Cache rows go before the blobs that they name.
async fn empty_trash(house: &Arc<House>) -> Result<(), Failure> {
    let discarded = blocking(house, Store::discarded).await?;
    for part in discarded.chunks(ROWS) {
        let places: Vec<_> =
            part.iter().map(|blob| (blob.place.scope.clone(), blob.place.digest.clone())).collect();
        let forgotten = house.database.forget_blobs(house.store.id(), &places).await;
        forgotten.map_err(|error| error.failure())?;
        let part = part.to_vec();
        blocking(house, move |store| store.unlink(&part)).await?;
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    house: &House,
    deed: impl FnOnce(&Store) -> Result<T, content::Error> + Send + 'static,
) -> Result<T, Failure> {
    let store = Arc::clone(&house.store);
    let done = tokio::task::spawn_blocking(move || deed(&store)).await;
    done.map_err(|error| internal(&error))?.map_err(|error| error.failure())
}

fn internal(error: &dyn std::fmt::Display) -> Failure {
    Failure::service("internal", format!("{error}"), "Report this: it is a defect.")
}
