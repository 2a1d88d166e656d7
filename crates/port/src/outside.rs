//! What a build may ask of the world. One question per deed, never a general request.

use std::fs::File;

use model::{
    Descriptor, Digest, Failure, GitRevision, ImageReference, Platform, ResolvedImage, VertexResult,
};
use serde::{Deserialize, Serialize};

use crate::ByteStream;

/// Everything a cell can have from outside itself. Calls block; any number may be in flight from
/// different threads. A failure is final for that question: retries are the worker's business.
pub trait Outside: Send + Sync {
    /// The ref advertisement of the run's declared repository: the body of
    /// `GET …/info/refs?service=git-upload-pack` (git's http-protocol, "Smart Clients").
    fn git_refs(&self) -> Result<ByteStream, Failure>;

    /// The answer of the declared repository to `POST …/git-upload-pack` with this body.
    fn git_upload_pack(&self, request: &[u8]) -> Result<ByteStream, Failure>;

    /// The file at an http or https address: one GET, and those that it is redirected to, without a credential.
    /// What a stranger's file must not reach is refused (`address_denied`).
    fn fetch_url(&self, url: &str) -> Result<Fetched, Failure>;

    /// The run's uploaded archive, as uploaded.
    fn upload(&self) -> Result<ByteStream, Failure>;

    /// The source is here, and this commit is what was found. Names of the image may hold it.
    fn source_found(&self, revision: &GitRevision) -> Result<(), Failure>;

    /// Manifest and configuration of an image; no layer is fetched.
    fn resolve(&self, image: &ImageReference, platform: &Platform) -> Result<ResolvedImage, Failure>;

    /// A layer blob of an image that [`Outside::resolve`] named. Only positional or fresh reads from
    /// offset 0: the file is this caller's own. The reader must check the digest of what it reads.
    fn image_blob(&self, image: &ImageReference, blob: &Descriptor) -> Result<File, Failure>;

    /// Has layers of images that [`Outside::resolve`] named unpacked where they are shared and this caller only
    /// reads. Answers the diff ids of those that are there now; the others are kept from other scopes, and are the
    /// caller's to unpack.
    fn unpacked(&self, layers: &[BaseLayer]) -> Result<Vec<Digest>, Failure>;

    /// A blob of the run's own scope in the local store, for instance of a cached layer.
    fn stored_blob(&self, digest: &Digest) -> Result<File, Failure>;

    /// What is cached under each key, in the order of the keys.
    fn cache_lookup(&self, keys: &[CacheKey]) -> Result<Vec<Option<CacheHit>>, Failure>;

    /// An empty unnamed file to write a blob to.
    fn new_blob(&self) -> Result<NewBlob, Failure>;

    /// Gives a written blob its name, and says what it is for.
    fn blob_ready(&self, ready: BlobReady) -> Result<(), Failure>;

    /// The secret of that id, if the run has one. A RUN that mounts it is about to run.
    fn secret(&self, id: &str) -> Result<Option<Secret>, Failure>;

    /// The first RUN that needs a network is about to run: connects the cell's network namespace.
    /// Answers when names resolve at 10.0.2.3.
    fn network(&self) -> Result<(), Failure>;

    /// Whole lines of the run's log, UTF-8, each ended by a newline. May be held back a moment.
    fn log(&self, lines: &str);

    /// How far the build is.
    fn progress(&self, progress: Progress);

    /// A vertex starts or ends at this moment.
    fn vertex(&self, event: VertexEvent);
}

/// A layer of an image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BaseLayer {
    pub image: ImageReference,
    pub blob: Descriptor,
    /// Of the unpacked archive.
    pub diff_id: Digest,
}

/// A file that is being fetched.
#[derive(Debug)]
pub struct Fetched {
    /// Reading to its end fails unless length and digest are those that were sent.
    pub content: ByteStream,
    /// In seconds since 1970, where the host says it.
    pub last_modified: Option<i64>,
}

/// What must not be shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Key of a cached result: 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CacheKey(pub String);

/// A cached layer. `layer` is none for a step that changed nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CacheHit {
    pub layer: Option<CacheLayer>,
    /// When it was made, in seconds since 1970.
    pub made_at: i64,
}

/// Diff id and blob of a layer in the run's scope of the store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CacheLayer {
    pub diff_id: Digest,
    pub blob: Descriptor,
}

/// An unnamed file of the content store.
#[derive(Debug)]
pub struct NewBlob {
    /// Names the file in [`BlobReady`].
    pub id: u64,
    /// Open for reading and writing, empty.
    pub file: File,
}

/// A blob that is written completely.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlobReady {
    /// From [`NewBlob`]; none when the blob is in the store already (a cached layer) or there is none
    /// (a step that changed nothing).
    pub id: Option<u64>,
    /// The blob, where there is one.
    pub blob: Option<Descriptor>,
    /// Whether the image needs it: it may be pushed from now on.
    pub announce: bool,
    /// Results to remember.
    pub cache: Option<CacheRecord>,
}

/// A result under its keys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CacheRecord {
    /// Definition key and content key.
    pub keys: Vec<CacheKey>,
    /// None for a step that changed nothing.
    pub layer: Option<CacheLayer>,
    /// What made it, for people: `RUN make`.
    pub description: String,
    /// When it was made, in seconds since 1970.
    pub made_at: i64,
}

/// Vertices done, cached among them, and in all.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    pub done: u32,
    pub cached: u32,
    pub total: u32,
    /// The vertex that was started last.
    pub current: String,
    /// Spent on those that are done, all together.
    #[serde(default)]
    pub milliseconds: u64,
}

/// What happens to a vertex of the build graph. It carries no time: the worker has the clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VertexEvent {
    Started(VertexStart),
    /// One that was told as executed may fail later: its layer is packed while others run.
    Ended {
        number: u32,
        result: VertexResult,
    },
}

/// A vertex that starts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VertexStart {
    /// As in the log (`#3`), from 1.
    pub number: u32,
    /// `RUN make`
    pub name: String,
    pub stage: Option<String>,
    /// In the Dockerfile, from 1.
    pub line: Option<u32>,
}
