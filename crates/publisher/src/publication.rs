//! One publication: blobs as they are announced, then the manifest, the tags last, read back.

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use database::{AfterFailure, LeasedPublication, ManifestTag, Under, Work};
use failpoint::Point;
use futures_util::{StreamExt, TryStreamExt, stream};
use identity::Identity;
use model::{Blame, Descriptor, Digest, Failure, Trust};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::fence::Fence;
use crate::log::PushLog;
use crate::metrics::{METRICS, Troubles};
use crate::sign_in::{Asker, PublicationSignIn};
use crate::{House, blob, limits};

/// The largest manifest that registries take.
const MANIFEST_LIMIT: u64 = 4 << 20;

/// Why a push ended early.
pub(crate) enum Ended {
    /// Somebody else has it, or the run was cancelled: write nothing more.
    Lost,
    /// A tag is wanted by a run that comes first and may fail: the publication is leased again after a pause.
    Waits,
    /// The store has not got a blob, or not as it was: only the worker can make it again.
    Lacks(Digest, Failure),
    Failed(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<registry::Error> for Ended {
    fn from(error: registry::Error) -> Self {
        Self::Failed(error.failure())
    }
}

impl From<database::Error> for Ended {
    fn from(error: database::Error) -> Self {
        if error.is_lease_lost() { Self::Lost } else { Self::Failed(error.failure()) }
    }
}

/// A publication being worked on.
pub(crate) struct Publication {
    pub(crate) house: Arc<House>,
    pub(crate) leased: LeasedPublication,
    pub(crate) registry: registry::Client,
    pub(crate) log: PushLog,
    fence: Fence,
    /// Repositories of the image's names, each once.
    pub(crate) repositories: Vec<String>,
}

/// Publishes from lease to end.
pub(crate) async fn publish(
    house: Arc<House>,
    leased: LeasedPublication,
    fence: Fence,
    stop: CancellationToken,
) {
    let span = tracing::info_span!("publication", run = %leased.run, publication = %leased.lease.id);
    async move {
        let began = Instant::now();
        failpoint::pass(Point::PublisherLeased).await;
        METRICS.open.inc();
        let _open = Open;
        let target = (leased.registry_address.as_str(), leased.plain_http);
        let asker = Asker {
            database: &house.database,
            registry: &leased.registry_name,
            lease: Under::Publication(&leased.lease),
        };
        let identity = house.identities.of(asker, target, &leased.sign_in).await;
        METRICS.sign_in.observe(began.elapsed().as_secs_f64());
        let publication = Publication::new(house, leased, fence, identity);
        let ended = tokio::select! {
            ended = publication.push() => ended,
            () = publication.keep_lease() => Err(Ended::Lost),
            () = stop.cancelled() => return,
        };
        METRICS.ended(word(&ended), began.elapsed().as_secs_f64());
        match ended {
            Ok(digest) => tracing::info!(%digest, "published"),
            Err(Ended::Waits) => tracing::info!("the publication waits for a run that comes first"),
            Err(Ended::Lost) => {
                tracing::info!("the publication was cancelled, or belongs to somebody else now")
            }
            Err(Ended::Lacks(digest, failure)) => publication.give_back(&failure, Some(&digest)).await,
            Err(Ended::Failed(failure)) => publication.give_back(&failure, None).await,
        }
    }
    .instrument(span)
    .await;
}

/// Asks as often as it takes while the database is away.
pub(crate) async fn while_away<T, F>(ask: impl Fn() -> F) -> Result<T, database::Error>
where
    F: Future<Output = Result<T, database::Error>>,
{
    loop {
        match ask().await {
            Err(error) if error.is_unavailable() => tokio::time::sleep(limits::RENEW / 4).await,
            answer => return answer,
        }
    }
}

/// Counts a publication as open until it is dropped.
struct Open;

impl Drop for Open {
    fn drop(&mut self) {
        METRICS.open.dec();
    }
}

/// `refused` is not the service's fault: the registry does not want this push from this identity.
fn word(ended: &Result<Digest, Ended>) -> &'static str {
    match ended {
        Ok(_) => "published",
        Err(Ended::Lost) => "lost",
        Err(Ended::Waits) => "waits",
        Err(Ended::Lacks(..)) => "failed",
        Err(Ended::Failed(failure)) if failure.blame == Blame::Service => "failed",
        Err(Ended::Failed(_)) => "refused",
    }
}

impl Publication {
    fn new(
        house: Arc<House>,
        leased: LeasedPublication,
        fence: Fence,
        identity: Result<Identity, Failure>,
    ) -> Self {
        let plain = leased.plain_http.then(|| leased.registry_address.clone());
        let mut seen = HashSet::new();
        let repositories = leased.images.iter().map(|image| image.repository.clone());
        let repositories: Vec<String> = repositories.filter(|name| seen.insert(name.clone())).collect();
        let address = leased.registry_address.as_str();
        let sign_in = PublicationSignIn::new(identity, repositories.clone());
        let (http, plain) = (house.http.clone(), plain.into_iter().collect());
        let registry = registry::Client::pushing(http, plain, address, Arc::new(sign_in))
            .uploading_by(house.uploads.clone())
            .observed(Arc::new(Troubles));
        Self { house, leased, registry, log: PushLog::default(), fence, repositories }
    }

    /// Returns when the lease is lost.
    async fn keep_lease(&self) {
        loop {
            tokio::time::sleep(limits::RENEW).await;
            let asked = Instant::now();
            match self.house.database.renew_publication(&self.leased.lease).await {
                Ok(true) => self.fence.renewed(asked),
                Ok(false) => return,
                // The push goes on: what it writes is refused if somebody else took over.
                Err(error) => tracing::warn!(%error, "a publication's lease could not be renewed"),
            }
        }
    }

    async fn push(&self) -> Result<Digest, Ended> {
        let mut done = HashSet::new();
        let manifest = loop {
            let moved = self.house.moved.notified();
            let work = self.look().await?;
            let fresh = work.blobs.iter().filter(|blob| !done.contains(&blob.blob.digest));
            let pushed: Vec<Digest> = stream::iter(fresh.cloned().collect::<Vec<_>>())
                .map(|blob| async move { blob::ensure(self, &blob).await.map(|()| blob.blob.digest) })
                .buffer_unordered(limits::BLOBS)
                .try_collect()
                .await?;
            done.extend(pushed);
            match work.manifest {
                Some(manifest) => break manifest,
                // Blobs are announced without a hint; the end of the build comes with one.
                None => drop(tokio::time::timeout(limits::LOOK, moved).await),
            }
        };
        self.log.flush(&self.house.database, &self.leased.lease).await;
        self.push_manifest(&manifest).await
    }

    /// Which tags are ours, for good.
    async fn claim_tags(&self) -> Result<Vec<ManifestTag>, Ended> {
        let (database, lease) = (&self.house.database, &self.leased.lease);
        let tags = while_away(|| database.begin_manifest(lease)).await?;
        if tags.iter().all(|tag| tag.is_settled) { Ok(tags) } else { Err(Ended::Waits) }
    }

    /// What there is to do.
    async fn look(&self) -> Result<Work, Ended> {
        let (database, lease) = (&self.house.database, &self.leased.lease);
        Ok(while_away(|| database.publication_work(lease)).await?)
    }

    async fn push_manifest(&self, manifest: &Descriptor) -> Result<Digest, Ended> {
        let _timer = METRICS.manifest.start_timer();
        let bytes = self.read_manifest(manifest)?;
        let tags = self.claim_tags().await?;
        failpoint::pass(Point::PublisherTagsClaimed).await;
        let address = &self.leased.registry_address;
        for tag in &tags {
            // An image whose tag a newer run has can still be had by its digest.
            let name = tag.superseded_by.map_or(tag.tag.as_str(), |_| manifest.digest.as_str());
            let media_type = &manifest.media_type;
            let pushed =
                self.registry.push_manifest(address, &tag.repository, name, media_type, bytes.clone().into());
            // A registry knows no epoch.
            let pushed = self.fence.within(pushed).await.ok_or(Ended::Lost)?;
            pushed.map_err(|error| error.failure())?;
            failpoint::pass(Point::PublisherTagPut).await;
        }
        for ManifestTag { repository, tag, superseded_by, .. } in &tags {
            let digest = &manifest.digest;
            match superseded_by {
                None => {
                    self.read_back(repository, tag, digest).await?;
                    self.log.line(&format!("pushed {address}/{repository}:{tag}@{digest}"));
                }
                Some(run) => {
                    self.read_back(repository, digest.as_str(), digest).await?;
                    self.log.line(&format!("pushed {address}/{repository}@{digest}"));
                    let why = match self.leased.trust {
                        Trust::Trusted => "whose source is newer",
                        Trust::Untrusted => "which is newer, or trusted",
                    };
                    self.log.line(&format!("note: {repository}:{tag} stays with run {run}, {why}"));
                }
            }
        }
        self.log.flush(&self.house.database, &self.leased.lease).await;
        self.end(&manifest.digest).await
    }

    /// The last word, as often as it takes while the database is away.
    async fn end(&self, digest: &Digest) -> Result<Digest, Ended> {
        failpoint::pass(Point::PublisherBeforeCommit).await;
        let (database, lease) = (&self.house.database, &self.leased.lease);
        while_away(|| database.published(lease, digest)).await?;
        failpoint::pass(Point::PublisherAfterCommit).await;
        Ok(digest.clone())
    }

    /// The tag names our manifest. Another push may have moved it meanwhile: then ours is there at least.
    async fn read_back(&self, repository: &str, tag: &str, digest: &Digest) -> Result<(), Failure> {
        let address = &self.leased.registry_address;
        let ask = async |name: &str| {
            self.registry.manifest_digest(address, repository, name).await.map_err(|error| error.failure())
        };
        if ask(tag).await?.as_ref() == Some(digest) {
            return Ok(());
        }
        if ask(digest.as_str()).await?.as_ref() == Some(digest) {
            self.log.line(&format!("note: another push has moved {repository}:{tag} meanwhile"));
            return Ok(());
        }
        Err(Failure::service(
            "manifest_not_found_after_push",
            format!("The registry {address} took the manifest of {repository}:{tag}, but does not have it."),
            "See the registry's own log; the push is tried again a few times.",
        ))
    }

    fn read_manifest(&self, manifest: &Descriptor) -> Result<Vec<u8>, Ended> {
        let file = self.house.store.open_blob(&self.leased.scope, &manifest.digest);
        let lacks = |failure| Ended::Lacks(manifest.digest.clone(), failure);
        let file =
            file.map_err(|error| error.failure())?.ok_or_else(|| lacks(blob::missing(&manifest.digest)))?;
        let mut bytes = Vec::new();
        let read = file.take(MANIFEST_LIMIT).read_to_end(&mut bytes);
        read.map_err(|error| content::Error::from(error).failure())?;
        match content::digest_of(&bytes) == manifest.digest {
            true => Ok(bytes),
            false => Err(lacks(blob::damaged(self.house.store.id(), &manifest.digest))),
        }
    }

    async fn give_back(&self, failure: &Failure, lacking: Option<&Digest>) {
        tracing::warn!(kind = failure.kind, %failure, "the push failed");
        self.log.line(&format!("error: {failure}"));
        self.log.flush(&self.house.database, &self.leased.lease).await;
        let (database, lease) = (&self.house.database, &self.leased.lease);
        let written = match lacking {
            Some(digest) => database.publication_lacks_blob(lease, digest, failure).await,
            None => database.publication_failed(lease, failure).await,
        };
        match written {
            Ok(AfterFailure::Waits) => tracing::info!("the push is tried again after a pause"),
            Ok(AfterFailure::Failed) => {}
            // The lease runs out, and the push is tried again.
            Err(error) => tracing::warn!(%error, "the failed push could not be written down"),
        }
    }
}
