//! One blob: the registry has it, or it is mounted from a repository that has, or it is uploaded.

use std::fs::File;

use bytes::Bytes;
use database::{BlobState, WorkBlob};
use failpoint::Point;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use model::{Descriptor, Digest, Failure, ImageReference, StoreId, Trust};
use tokio_util::io::ReaderStream;

use crate::limits;
use crate::log::size;
use crate::metrics::METRICS;
use crate::publication::{Ended, Publication, while_away};

/// Makes sure that every repository of the publication has the blob.
pub(crate) async fn ensure(publication: &Publication, blob: &WorkBlob) -> Result<(), Ended> {
    let mut there: Option<&str> = None;
    for repository in &publication.repositories {
        ensure_in(publication, blob, repository, there).await?;
        there = Some(repository);
    }
    failpoint::try_pass(Point::PublisherBlobPushed).await.map_err(|injected| not_passed(&injected))?;
    set(publication, &blob.blob.digest, BlobState::Pushed).await
}

async fn ensure_in(
    publication: &Publication,
    blob: &WorkBlob,
    repository: &str,
    there: Option<&str>,
) -> Result<(), Ended> {
    let (registry, address) = (&publication.registry, publication.leased.registry_address.as_str());
    let digest = &blob.blob.digest;
    let has = registry.has_blob(address, repository, digest).await.map_err(|error| error.failure())?;
    if has {
        // What an earlier try pushed was told then.
        if blob.state != BlobState::Pushed {
            METRICS.blob("exists");
            publication.log.line(&format!("exists {digest}"));
        }
        return Ok(());
    }
    let same_registry =
        blob.source.as_deref().and_then(|source| source.strip_prefix(address)?.strip_prefix('/'));
    // A mount reads with our identity. A stranger's build has what it could read itself, byte for byte.
    let from = there.or(same_registry).filter(|_| publication.leased.trust == Trust::Trusted);
    if let Some(from) = from {
        let mounted = registry.mount(address, repository, digest, from).await;
        if mounted.map_err(|error| error.failure())? {
            METRICS.blob("mounted");
            publication.log.line(&format!("mounted {digest} from {from}"));
            return Ok(());
        }
    }
    set(publication, digest, BlobState::Uploading).await?;
    let timer = METRICS.upload.start_timer();
    upload(publication, blob, repository).await?;
    timer.observe_duration();
    METRICS.blob("uploaded");
    METRICS.pushed_bytes.inc_by(blob.blob.size);
    publication.log.line(&format!("uploaded {digest} {}", size(blob.blob.size)));
    Ok(())
}

/// The bytes are hashed on their way: whatever a registry does, no manifest names others than were built. Where
/// the store's are others, what the blob is a copy of has them, or its step is done once more.
async fn upload(publication: &Publication, blob: &WorkBlob, repository: &str) -> Result<(), Ended> {
    let descriptor = blob.descriptor();
    let address = &publication.leased.registry_address;
    let open = async || body(publication, blob, &descriptor).await.map_err(NotUploaded::Ended);
    let pushed = publication.registry.push_blob(address, repository, &descriptor, open).await;
    match pushed {
        Err(NotUploaded::Registry(registry::Error::Damaged(digest)))
            if stored(publication, blob)?.is_some() =>
        {
            METRICS.damaged_blobs.inc();
            let Some(source) = &blob.source else {
                let failure = damaged(publication.house.store.id(), &digest);
                return Err(Ended::Lacks(digest, failure));
            };
            let open = async || copied(publication, source, &descriptor).await.map_err(NotUploaded::Ended);
            let pushed = publication.registry.push_blob(address, repository, &descriptor, open).await;
            pushed.map_err(|error| error.ended(blob))
        }
        pushed => pushed.map_err(|error| error.ended(blob)),
    }
}

enum NotUploaded {
    Registry(registry::Error),
    /// The bytes can't be had.
    Ended(Ended),
}

impl NotUploaded {
    fn ended(self, blob: &WorkBlob) -> Ended {
        match self {
            Self::Ended(ended) => ended,
            Self::Registry(registry::Error::Damaged(_)) => altered(blob).into(),
            Self::Registry(error) => error.failure().into(),
        }
    }
}

impl From<registry::Error> for NotUploaded {
    fn from(error: registry::Error) -> Self {
        Self::Registry(error)
    }
}

/// The blob's bytes: from the store, else from the registry that has it.
async fn body(
    publication: &Publication,
    blob: &WorkBlob,
    descriptor: &Descriptor,
) -> Result<BoxStream<'static, std::io::Result<Bytes>>, Ended> {
    if let Some(file) = stored(publication, blob)? {
        let file = tokio::fs::File::from_std(file);
        return Ok(ReaderStream::with_capacity(file, limits::PIECE).boxed());
    }
    let digest = &descriptor.digest;
    let lacks = || Ended::Lacks(digest.clone(), missing(digest));
    let Some(source) = &blob.source else { return Err(lacks()) };
    copied(publication, source, descriptor).await
}

async fn copied(
    publication: &Publication,
    source: &str,
    descriptor: &Descriptor,
) -> Result<BoxStream<'static, std::io::Result<Bytes>>, Ended> {
    Ok(pull(publication, source, descriptor).await?.boxed())
}

fn stored(publication: &Publication, blob: &WorkBlob) -> Result<Option<File>, Failure> {
    // A layer of the run's own registry lies in the run's scope, one of another registry in that of everybody.
    for scope in blob.scope.iter().chain([&publication.leased.scope]) {
        let file = publication.house.store.open_blob(scope, &blob.blob.digest);
        if let Some(file) = file.map_err(|error| error.failure())? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// A base image's layer that nobody needed to unpack, because every step on it was cached.
async fn pull(
    publication: &Publication,
    source: &str,
    descriptor: &Descriptor,
) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + 'static, Failure> {
    let (registry, repository) = source.split_once('/').ok_or_else(|| missing(&descriptor.digest))?;
    let image = ImageReference {
        registry: registry.to_owned(),
        repository: repository.to_owned(),
        tag: None,
        digest: Some(descriptor.digest.clone()),
    };
    let bytes = publication.registry.pull_blob(&image, descriptor).await.map_err(|error| error.failure())?;
    Ok(bytes.map(|part| part.map_err(std::io::Error::other)))
}

async fn set(publication: &Publication, digest: &Digest, state: BlobState) -> Result<(), Ended> {
    let (database, lease) = (&publication.house.database, &publication.leased.lease);
    Ok(while_away(|| database.blob_state(lease, digest, state)).await?)
}

fn not_passed(injected: &failpoint::Injected) -> Failure {
    Failure::service("internal", injected.to_string(), "")
}

pub(crate) fn missing(digest: &Digest) -> Failure {
    Failure::service(
        "blob_missing",
        format!("The store has no blob {digest}."),
        "The run is tried again while it has attempts left.",
    )
}

pub(crate) fn damaged(store: StoreId, digest: &Digest) -> Failure {
    let message = format!("The blob {digest} of the store {store} is damaged: its bytes are others.");
    Failure::service(Failure::BLOB_DAMAGED, message, "Check the disk of the worker's store.")
}

fn altered(blob: &WorkBlob) -> Failure {
    let source = blob.source.as_deref().unwrap_or_default();
    let message = format!("What {source} gives as {} are other bytes.", blob.blob.digest);
    let hint = "The registry or something before it is broken: pull by hand and compare.";
    Failure::service("digest_mismatch", message, hint)
}
