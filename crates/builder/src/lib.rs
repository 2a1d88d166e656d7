//! A build graph and a source tree become an image in the content store. In: plain values, folders, a
//! runtime, and the trait `Outside`. Out: the image's descriptors; blobs through `Outside`. Deliberately
//! absent: Dockerfile text, sockets, credentials.

mod accounts;
mod archive;
mod copy;
mod error;
mod fetch;
mod fingerprint;
mod image;
mod keys;
mod layers;
mod log;
mod made;
mod pattern;
mod place;
mod rooted;
mod run;
mod schedule;
mod secrets;
mod select;
mod trust;
mod walk;

use std::path::Path;

use model::{BuildGraph, BuildNetwork, BuiltImage, Failure, RunLimits, SourceTree};
use port::Outside;
use sandbox::Runtime;
use snapshot::Snapshots;

pub use error::Error;
pub use layers::unpack;
pub use select::Excludes;

/// What a build works with.
pub struct Workshop<'a> {
    /// Unpacked layers, on the store's disk.
    pub snapshots: &'a Snapshots,
    /// Runs every RUN.
    pub runtime: &'a Runtime,
    /// An empty folder of this build's own.
    pub scratch: &'a Path,
    /// Everything that is not here.
    pub outside: &'a dyn Outside,
    /// What every RUN is given.
    pub network: &'a BuildNetwork,
    /// What the run may take; somebody else sees to it, but for the size of a file.
    pub limits: &'a RunLimits,
    /// How many vertices run side by side, at least one.
    pub cores: usize,
    /// Seconds since 1970.
    pub clock: fn() -> i64,
}

/// What a person may ask of a build.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Look nothing up; results are still remembered.
    pub no_cache: bool,
    /// Seconds since 1970, for every time in the image.
    pub source_date_epoch: Option<i64>,
}

/// Builds the graph's output. `excludes` says which paths of the context (relative to its root) and
/// which folders `.dockerignore` keeps out.
///
/// # Errors
/// The failure of the first vertex that failed, with its line. What ran beside it is killed.
pub fn build(
    workshop: &Workshop<'_>,
    graph: &BuildGraph,
    source: &SourceTree,
    excludes: &Excludes<'_>,
    options: &Options,
) -> Result<BuiltImage, Failure> {
    let walk = walk::Walk::prepare(workshop, graph, source, excludes, *options)?;
    std::thread::scope(|scope| {
        let walk = &walk;
        for _ in 0..workshop.cores.clamp(1, graph.vertices.len().max(1)) {
            scope.spawn(move || walk.work(scope));
        }
    });
    if let Some(failure) = walk.schedule.failure() {
        return Err(failure);
    }
    let internal = || Failure::service("internal", "A thread of the build ended early.", "Report this.");
    let root = walk.schedule.result(graph.output.root).ok_or_else(internal)?;
    let layers = walk::finished(&root.stack)?;
    let told = |id| {
        let tree = walk.schedule.result(id)?;
        Some(image::Step { changed: tree.changed, made_at: tree.made_at? })
    };
    image::assemble(graph, layers, &told, options.source_date_epoch, workshop.outside)
}
