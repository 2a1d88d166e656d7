//! Pushes what workers built. In: publications of one store, from the database; blobs, from the store.
//! Out: images in a registry, and the journal of how far each one is. The only room that signs
//! in to a registry. Deliberately absent: anything that a stranger wrote is run or unpacked.

mod blob;
mod fence;
mod limits;
mod log;
mod metrics;
mod publication;
mod questions;
mod sign_in;

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use content::StoreReader;
use database::{Database, Hint};
pub use identity::Options as IdentityOptions;
use model::Failure;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use vault::Vault;

use crate::fence::Fence;

/// Polling alone is sufficient; a notification only makes it sooner.
const POLL: Duration = Duration::from_secs(1);

/// How to publish.
#[derive(Debug)]
pub struct Config {
    /// The worker's content store.
    pub store: PathBuf,
    /// Opens the credentials of registries.
    pub vault: Vault,
    pub identity: IdentityOptions,
    /// Where the worker asks.
    pub desk: DeskSocket,
    /// Limits of connections to registries.
    pub egress: egress::Options,
    /// Where base images' registries may be, and where the one that is pushed to may lead.
    pub policy: egress::Policy,
}

/// The bound socket, and who may ask there.
#[derive(Debug)]
pub struct DeskSocket {
    pub listener: UnixListener,
    /// The worker's user.
    pub uid: u32,
}

/// Why the publisher can't work.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(#[from] Failure);

/// What all publications share.
pub(crate) struct House {
    id: Uuid,
    store: StoreReader,
    database: Database,
    identities: sign_in::Identities,
    http: egress::Client,
    /// The same with more patience.
    uploads: egress::Client,
    /// Rung when there may be something to push.
    work: Notify,
    /// Rung for every publication when some publication moved.
    moved: Notify,
}

/// Publishes until `stop`; what is under way then is given up and begun again by the next publisher.
///
/// # Errors
/// No client can be made. A store that is not there yet is waited for.
pub async fn run(config: Config, database: Database, stop: CancellationToken) -> Result<(), Error> {
    std::sync::LazyLock::force(&metrics::METRICS);
    let client = |options: &egress::Options| {
        egress::Client::new(options, config.policy.clone()).map_err(|error| error.failure())
    };
    let http = client(&config.egress)?;
    let uploads = client(&egress::Options { read_timeout: limits::ANSWER, ..config.egress.clone() })?;
    let Some(store) = open_store(&config, &stop).await else { return Ok(()) };
    let DeskSocket { listener, uid } = config.desk;
    let identity = IdentityOptions { policy: config.policy, ..config.identity };
    let identities = sign_in::Identities::new(config.vault, identity);
    let (work, moved) = (Notify::new(), Notify::new());
    let house =
        Arc::new(House { id: Uuid::now_v7(), store, database, identities, http, uploads, work, moved });
    tracing::info!(publisher = %house.id, store = %house.store.id(), "publisher ready");
    let listening = tokio::spawn(listen(Arc::clone(&house)));
    let desk = Arc::new(questions::Desk(Arc::clone(&house)));
    let answering = tokio::spawn(broker::serve(listener, uid, desk, stop.clone()));
    let publications = TaskTracker::new();
    lease_until(&house, &publications, &stop).await;
    publications.close();
    publications.wait().await;
    listening.abort();
    answering.abort();
    Ok(())
}

/// The worker makes the store, and may start later.
async fn open_store(config: &Config, stop: &CancellationToken) -> Option<StoreReader> {
    loop {
        match StoreReader::open(&config.store) {
            Ok(store) => return Some(store),
            Err(error) => tracing::debug!(%error, "the publisher waits for the store"),
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(POLL / 10) => {}
        }
    }
}

async fn lease_until(house: &Arc<House>, publications: &TaskTracker, stop: &CancellationToken) {
    let slots = Arc::new(Semaphore::new(limits::PUBLICATIONS));
    loop {
        let permit = tokio::select! {
            () = stop.cancelled() => return,
            permit = Arc::clone(&slots).acquire_owned() => permit,
        };
        let Ok(permit) = permit else { return };
        let asked = Instant::now();
        match house.database.lease_publication(house.id, house.store.id()).await {
            Ok(Some(leased)) => {
                let fence = Fence::of(asked);
                let publication = publication::publish(Arc::clone(house), leased, fence, stop.clone());
                publications.spawn(async move {
                    publication.await;
                    drop(permit);
                });
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "no publication could be leased"),
        }
        drop(permit);
        tokio::select! {
            () = stop.cancelled() => return,
            () = house.work.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

async fn listen(house: Arc<House>) {
    let mut hints = house.database.hints();
    loop {
        if let Hint::Publication | Hint::Unknown = hints.next().await {
            house.work.notify_one();
            house.moved.notify_waiters();
        }
    }
}
