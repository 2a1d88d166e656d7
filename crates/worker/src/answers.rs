//! One question of a cell, one deed. Everything that a cell may have of the world passes here; the source's
//! credential is added here, and only for what the run row declares.

mod layers;

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use broker::RunSecrets;
use bytes::Bytes;
use content::{Hold, Store};
use database::{Database, LeasedRun, PublicationBlob};
use failpoint::Point;
use futures_util::{Stream, StreamExt, stream};
use model::{Failure, GitRevision, SourceSpec};
use port::{Answer, BlobReady, CacheKey, Question, StreamEnd, read_sealed_file};
use sha2::Sha256;
use tokio_util::sync::CancellationToken;

use crate::desk::{Granted, Preflight};
use crate::lease::Lease;
use crate::metrics::{From, METRICS};
use crate::pull::Pulls;
use crate::resolved::Resolved;
use crate::ssh::{Ssh, Starter};
use crate::unpack::{Asker, Unpacker};
use crate::{fetch, git, network, streams};

/// The largest body of a `git-upload-pack` request, in bytes.
const UPLOAD_PACK_REQUEST: usize = 16 << 20;
/// How many blobs a cell may have open and unfinished.
const OPEN_BLOBS: usize = 1024;

/// Until the database is asked again that was away.
const AWAY: Duration = Duration::from_millis(500);

/// What all runs of a worker share, as far as answers go.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) store: Arc<Store>,
    pub(crate) database: Database,
    pub(crate) http: egress::Client,
    pub(crate) pulls: Arc<Pulls>,
    pub(crate) ssh: Starter,
    pub(crate) unpacker: Unpacker,
    pub(crate) asker: Asker,
}

/// What is needed to answer the questions of one run.
pub(crate) struct Answers {
    means: Means,
    pub(crate) leased: LeasedRun,
    pub(crate) lease: Lease,
    /// The run's way to the store.
    hold: Arc<Hold>,
    /// The cell's first process, whose namespaces get the network.
    pub(crate) pid: u32,
    registry: registry::Client,
    /// What the cell may have of base images.
    pub(crate) resolved: Resolved,
    /// The commit that the cell said it found.
    found: Mutex<Option<GitRevision>>,
    secrets: RunSecrets,
    /// The line to a source that is fetched over ssh.
    ssh: Option<Ssh>,
    preflight: Preflight,
    /// Opened for the cell, and since when.
    blobs: Mutex<HashMap<u64, (File, Instant)>>,
    next: AtomicU64,
    /// What goes on beside it has to end.
    ended: CancellationToken,
}

/// An answer and the descriptors that travel beside it.
pub(crate) type Reply = (Answer, Vec<OwnedFd>);

impl Answers {
    pub(crate) fn new(
        means: Means,
        leased: LeasedRun,
        lease: Lease,
        hold: Arc<Hold>,
        granted: Granted,
        pid: u32,
    ) -> Self {
        let Granted { desk, preflight, secrets } = granted;
        let plain = leased.plain_http.then(|| leased.registry_address.clone());
        // It holds no credential, but may ask for a token that only pulls.
        let registry = registry::Client::anonymous(means.http.clone(), plain.into_iter().collect())
            .of_registry(&leased.registry_address, Arc::new(desk));
        let ssh = Ssh::of(&means.ssh, &leased.spec.source, secrets.git.as_ref());
        let (resolved, found, blobs) = (Resolved::default(), Mutex::default(), Mutex::default());
        let (next, ended) = (AtomicU64::new(1), CancellationToken::new());
        Self {
            means,
            leased,
            lease,
            hold,
            pid,
            registry,
            resolved,
            found,
            secrets,
            ssh,
            preflight,
            blobs,
            next,
            ended,
        }
    }

    /// Ends what still goes on for the run.
    pub(crate) fn end(&self) {
        self.ssh.iter().for_each(Ssh::end);
        self.ended.cancel();
    }

    /// Does the deed. `ended` carries the last word of a byte stream to the cell.
    pub(crate) async fn answer(
        &self,
        question: Question,
        beside: Vec<OwnedFd>,
        ended: impl FnOnce(StreamEnd) + Send + 'static,
    ) -> Result<Reply, Failure> {
        if !matches!(question, Question::GitRefs | Question::GitUploadPack | Question::Upload) {
            // A source may be fetched meanwhile; nothing is built that can't be pushed.
            self.preflight.clone().await?;
        }
        match question {
            Question::GitRefs => {
                let (http, credential) = (&self.means.http, self.secrets.git.as_ref());
                let bytes = match &self.ssh {
                    Some(ssh) => ssh.refs().await?,
                    None => git::refs(http, self.repository()?, credential).await?,
                };
                self.stream(bytes, ended)
            }
            Question::GitUploadPack => {
                let body = beside.into_iter().next().ok_or_else(out_of_order)?;
                let body = read_sealed_file(body, UPLOAD_PACK_REQUEST).map_err(|_| out_of_order())?;
                let (http, credential) = (&self.means.http, self.secrets.git.as_ref());
                let bytes = match &self.ssh {
                    Some(ssh) => ssh.upload_pack(&body).await?,
                    None => git::upload_pack(http, self.repository()?, credential, body).await?,
                };
                self.stream(bytes, counted(From::Git, ended))
            }
            Question::FetchUrl { url } => self.fetch(&url, counted(From::Url, ended)).await,
            Question::Upload => self.stream(self.upload()?, counted(From::Upload, ended)),
            Question::SourceFound { revision } => {
                let Lease { run, epoch, token, .. } = &self.lease;
                let database = &self.means.database;
                while_away(|| database.source_found(*run, *epoch, token, &revision)).await?;
                failpoint::try_pass(Point::WorkerFetched).await.map_err(|error| internal(&error))?;
                *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(revision);
                Ok((Answer::Done, Vec::new()))
            }
            Question::Resolve { image, platform } => {
                let image =
                    self.registry.resolve(&image, &platform).await.map_err(|error| error.failure())?;
                if !self.resolved.remember(&image) {
                    return Err(out_of_order());
                }
                Ok((Answer::Resolved { image: Box::new(image) }, Vec::new()))
            }
            Question::ImageBlob { image, blob } => {
                Ok((Answer::File, vec![self.image_blob(&image, &blob).await?.into()]))
            }
            Question::Unpacked { layers } => self.unpacked(layers).await,
            Question::StoredBlob { digest } => {
                let file = self.hold.open(&self.leased.scope, &digest);
                let file = file.map_err(|error| error.failure())?.ok_or_else(|| blob_missing(&digest))?;
                Ok((Answer::File, vec![file.into()]))
            }
            Question::CacheLookup { keys } => self.cache_lookup(&keys).await,
            Question::NewBlob => self.new_blob(),
            Question::BlobReady(ready) => self.blob_ready(ready).await,
            Question::Secret { id } => {
                let value =
                    self.secrets.build.get(&id).map(|secret| port::Secret(secret.expose().to_owned()));
                Ok((Answer::Secret { value }, Vec::new()))
            }
            Question::Network => {
                let pid = self.pid;
                let connected = tokio::task::spawn_blocking(move || network::connect(pid)).await;
                let exit = connected.map_err(|error| internal(&error))??;
                Ok((Answer::Done, vec![exit]))
            }
        }
    }

    /// The commit that names of the image may hold by now.
    pub(crate) fn found(&self) -> Option<GitRevision> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn repository(&self) -> Result<&str, Failure> {
        match &self.leased.spec.source {
            SourceSpec::Git { url, .. } => Ok(url),
            SourceSpec::Upload { .. } => Err(out_of_order()),
        }
    }

    fn stream(
        &self,
        bytes: impl Stream<Item = Result<Bytes, Failure>> + Send + 'static,
        ended: impl FnOnce(StreamEnd) + Send + 'static,
    ) -> Result<Reply, Failure> {
        let stream = self.next.fetch_add(1, Ordering::Relaxed);
        let reader = streams::pump(stream, bytes, None, ended).map_err(|error| internal(&error))?;
        Ok((Answer::Stream { stream }, vec![reader]))
    }

    async fn fetch(
        &self,
        url: &str,
        ended: impl FnOnce(StreamEnd) + Send + 'static,
    ) -> Result<Reply, Failure> {
        let file = fetch::get(&self.means.http, url).await?;
        let stream = self.next.fetch_add(1, Ordering::Relaxed);
        let reader = streams::pump(stream, file.content, Some(Sha256::default()), ended);
        let reader = reader.map_err(|error| internal(&error))?;
        Ok((Answer::Fetched { stream, last_modified: file.last_modified }, vec![reader]))
    }

    /// The uploaded archive, chunk after chunk, as the server stored it.
    fn upload(&self) -> Result<impl Stream<Item = Result<Bytes, Failure>> + Send + use<>, Failure> {
        let SourceSpec::Upload { .. } = self.leased.spec.source else { return Err(out_of_order()) };
        let (database, lease) = (self.means.database.clone(), self.lease.clone());
        Ok(stream::try_unfold((database, lease, 0), |(database, lease, chunk)| async move {
            let bytes = source_chunk(&database, &lease, chunk).await?;
            Ok(bytes.map(|bytes| (Bytes::from(bytes), (database, lease, chunk + 1))))
        })
        .boxed())
    }

    async fn cache_lookup(&self, keys: &[CacheKey]) -> Result<Reply, Failure> {
        let keys: Vec<String> = keys.iter().map(|key| key.0.clone()).collect();
        let lease = &self.lease;
        let database = &self.means.database;
        let ask = || database.cache_lookup(lease.run, lease.epoch, &lease.token, &keys);
        let found = while_away(ask).await?;
        let hits: Vec<_> = found.into_iter().map(|hit| hit.and_then(|hit| self.usable(hit))).collect();
        METRICS.looked_up(&hits);
        Ok((Answer::Cache { hits }, Vec::new()))
    }

    /// A row whose blob is gone from the store is a miss; one that is there stays from now on.
    fn usable(&self, entry: database::CacheEntry) -> Option<port::CacheHit> {
        let made_at = entry.made_at;
        let Some(layer) = entry.layer else { return Some(port::CacheHit { layer: None, made_at }) };
        let stored = self.hold.open(&self.leased.scope, &layer.blob.digest);
        let layer = port::CacheLayer { diff_id: layer.diff_id, blob: layer.blob };
        stored.ok().flatten().map(|_| port::CacheHit { layer: Some(layer), made_at })
    }

    fn new_blob(&self) -> Result<Reply, Failure> {
        let file = self.means.store.new_blob().map_err(|error| error.failure())?;
        let theirs = file.try_clone().map_err(|error| internal(&error))?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        if blobs.len() >= OPEN_BLOBS {
            return Err(out_of_order());
        }
        blobs.insert(id, (file, Instant::now()));
        Ok((Answer::NewBlob { id }, vec![theirs.into()]))
    }

    async fn blob_ready(&self, ready: BlobReady) -> Result<Reply, Failure> {
        if let (Some(id), Some(blob)) = (ready.id, &ready.blob) {
            let file = self.blobs.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            let (file, began) = file.ok_or_else(out_of_order)?;
            let (hold, scope, digest) =
                (Arc::clone(&self.hold), self.leased.scope.clone(), blob.digest.clone());
            let linked = tokio::task::spawn_blocking(move || hold.link(&file, &scope, &digest)).await;
            linked.map_err(|error| internal(&error))?.map_err(|error| error.failure())?;
            failpoint::try_pass(Point::WorkerLayerLinked).await.map_err(|error| internal(&error))?;
            METRICS.layer.observe(began.elapsed().as_secs_f64());
            METRICS.layer_bytes.inc_by(blob.size);
        }
        let (database, lease) = (&self.means.database, &self.lease);
        if let Some(cache) = ready.cache {
            let layer =
                cache.layer.map(|layer| database::CacheLayer { diff_id: layer.diff_id, blob: layer.blob });
            let keys: Vec<String> = cache.keys.into_iter().map(|key| key.0).collect();
            let entry =
                database::CacheEntry { layer, description: cache.description, made_at: cache.made_at };
            let record = || database.cache_record(lease.run, lease.epoch, &lease.token, &keys, &entry);
            while_away(record).await?;
        }
        if let (true, Some(blob)) = (ready.announce && !self.leased.spec.images.is_empty(), ready.blob) {
            let blob = PublicationBlob::in_store(blob, &self.leased.scope);
            let announce = || database.announce_blob(lease.run, lease.epoch, &lease.token, &blob);
            while_away(announce).await?;
            failpoint::pass(Point::WorkerAnnounced).await;
        }
        Ok((Answer::Done, Vec::new()))
    }
}

/// Counts what came in, when the stream's last word is said.
fn counted(from: From, ended: impl FnOnce(StreamEnd) + Send + 'static) -> impl FnOnce(StreamEnd) + Send {
    let began = Instant::now();
    move |end| {
        if let Ok(sent) = &end.outcome {
            METRICS.fetched(from, sent.length, began);
        }
        ended(end);
    }
}

async fn source_chunk(database: &Database, lease: &Lease, chunk: i32) -> Result<Option<Vec<u8>>, Failure> {
    while_away(|| database.source_chunk(lease.run, lease.epoch, &lease.token, chunk)).await
}

/// A build goes on while the database is away, for as long as its lease lasts: a question of its waits.
async fn while_away<T, F>(ask: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, database::Error>>,
{
    loop {
        match ask().await {
            Err(error) if error.is_unavailable() => tokio::time::sleep(AWAY).await,
            answer => return answer.map_err(|error| error.failure()),
        }
    }
}

pub(crate) fn out_of_order() -> Failure {
    Failure::service(
        "port_protocol",
        "The cell asked for what this run does not declare.",
        "It is a defect of this service, or something broke out of its sandbox: keep the worker's log.",
    )
}

fn blob_missing(digest: &model::Digest) -> Failure {
    Failure::service(
        "blob_missing",
        format!("The store has no blob {digest}."),
        "The run is tried again while it has attempts left.",
    )
}

fn internal(error: &dyn std::fmt::Display) -> Failure {
    Failure::service("internal", format!("{error}"), "Report this: it is a defect.")
}
