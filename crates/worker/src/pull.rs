//! Base image blobs: downloaded once from a registry into an area of the store, however many runs ask at once.
//! The digest is checked while it is written here, and again by whoever reads it.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use content::{Hold, Store};
use futures_util::StreamExt;
use model::{Descriptor, Digest, Failure, ImageReference};
use sha2::{Digest as _, Sha256};

use crate::disk::Share;
use crate::metrics::{From, METRICS};
use crate::turns::Turns;

/// The area of what everybody may read: only the worker writes it.
pub(crate) const SHARED: &str = "shared";

/// An area of the store, a blob in it, and who sends it: one that sends it slowly keeps nobody else waiting.
type Place = (String, Digest, String);
/// Who asks, and where the blob is kept.
pub(crate) struct Pull<'a> {
    pub(crate) store: &'a Store,
    pub(crate) hold: &'a Arc<Hold>,
    pub(crate) scope: &'a str,
    pub(crate) registry: &'a registry::Client,
    pub(crate) share: &'a Share,
}

/// Downloads under way.
#[derive(Debug, Default)]
pub(crate) struct Pulls {
    turns: Turns<Place>,
}

impl Pulls {
    /// The blob, opened for reading; downloaded first where the store's area lacks it.
    pub(crate) async fn blob(
        &self,
        pull: Pull<'_>,
        image: &ImageReference,
        blob: &Descriptor,
    ) -> Result<File, Failure> {
        let Pull { store, hold, scope, registry, share } = pull;
        let one_at_a_time = self.turns.of((scope.to_owned(), blob.digest.clone(), image.registry.clone()));
        let _guard = one_at_a_time.lock().await;
        if let Some(file) = hold.open(scope, &blob.digest).map_err(|error| error.failure())? {
            return Ok(file);
        }
        let file = store.new_blob().map_err(|error| error.failure())?;
        let began = Instant::now();
        share.takes(blob.size);
        let file =
            download(registry, image, blob, file).await.inspect_err(|_| share.gives_back(blob.size))?;
        METRICS.fetched(From::BaseImage, blob.size, began);
        let (hold, scope, digest) = (Arc::clone(hold), scope.to_owned(), blob.digest.clone());
        let linked = tokio::task::spawn_blocking(move || hold.link(&file, &scope, &digest)).await;
        linked.map_err(|error| internal(&error))?.map_err(|error| error.failure())
    }
}

async fn download(
    registry: &registry::Client,
    image: &ImageReference,
    blob: &Descriptor,
    mut file: File,
) -> Result<File, Failure> {
    let mut bytes = registry.pull_blob(image, blob).await.map_err(|error| error.failure())?;
    let (mut hash, mut size) = (Sha256::new(), 0_u64);
    while let Some(part) = bytes.next().await {
        let part = part.map_err(|error| error.failure())?;
        size += part.len() as u64;
        if size > blob.size {
            return Err(lies(image, blob));
        }
        hash.update(&part);
        file = tokio::task::spawn_blocking(move || file.write_all(&part).map(|()| file))
            .await
            .map_err(|error| internal(&error))?
            .map_err(|error| content::Error::from(error).failure())?;
    }
    if size == blob.size && Digest::from_sha256(hash.finalize().into()) == blob.digest {
        return Ok(file);
    }
    Err(lies(image, blob))
}

fn lies(image: &ImageReference, blob: &Descriptor) -> Failure {
    Failure::service(
        "digest_mismatch",
        format!("The registry sent other bytes for {} of {image} than its manifest names.", blob.digest),
        "The registry or something before it is broken: pull the image by hand and compare.",
    )
}

fn internal(error: &dyn std::fmt::Display) -> Failure {
    Failure::service("internal", format!("{error}"), "Report this: it is a defect.")
}

#[cfg(test)]
mod tests;
