//! Nouns: ids, statuses and their moves, references, digests, failures, and the plain values that
//! stations hand to one another. In: nothing. Out: types. Deliberately absent: any I/O, any clock.

mod access;
mod address;
mod cause;
mod digest;
mod failure;
mod graph;
mod ids;
mod image;
mod limits;
mod network;
mod platform;
mod reference;
mod run_limits;
mod source;
mod spec;
mod ssh;
mod status;
mod task;
pub mod template;

pub use access::{CredentialKind, Role, SignIn};
pub use address::check_repository;
pub use cause::{Cause, HookEvent, Rerun};
pub use digest::{Digest, InvalidDigest};
pub use failure::{Blame, Failure, Location};
pub use graph::{
    BuildGraph, Copy, CopyFrom, Exec, Fetch, HistoryEntry, MakeDirectory, Op, Output, SecretMount, Vertex,
    VertexId,
};
pub use ids::{
    DeliveryId, Epoch, HookId, LeaseToken, PublicationId, RunId, SourceId, StoreId, TaskId, TokenId, WorkerId,
};
pub use image::{
    BuiltImage, Descriptor, HealthConfig, History, ImageConfig, Layer, LayerSource, Manifest, MediaType,
    ResolvedImage, RootFs, RuntimeConfig,
};
pub use limits::{
    MAX_ADDRESS, MAX_BUILD_ARG_VALUE, MAX_BUILD_ARGS, MAX_IMAGES, MAX_NAME, MAX_PATH, MAX_SECRETS,
};
pub use network::BuildNetwork;
pub use platform::{InvalidPlatform, Platform};
pub use reference::{ImageReference, InvalidReference};
pub use run_limits::{Limit, RunLimits, in_words};
pub use source::{GitRevision, InvalidSource, SourceSpec, SourceTree, repository_of};
pub use spec::{BuildSpec, InvalidSpec, MAX_TIMEOUT_SECONDS};
pub use ssh::SshAddress;
pub use status::{
    AttemptOutcome, PublicationStatus, RunStatus, StepKind, StepStatus, VertexResult, WorkerLimits,
};
pub use task::{GitHost, Notify, PathFilter, RunEvent, TaskSpec, Trigger, Trust};
