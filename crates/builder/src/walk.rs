//! The parallel walk over the graph: keys, lookups, the vertices themselves, their layers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::thread::Scope;
use std::time::Instant;

use model::{BuildGraph, Copy, CopyFrom, Digest, Failure, Op, SourceTree, Vertex, VertexId};
use port::{BlobReady, CacheHit, CacheKey, Progress};

use crate::copy::{self, Taken};
use crate::fetch::Fetcher;
use crate::keys::Keys;
use crate::layers::{LayerRef, Layers, Stack, locked};
use crate::log::{Log, VertexLog};
use crate::made::{Made, Purpose};
use crate::run::Runner;
use crate::schedule::Schedule;
use crate::select::Excludes;
use crate::{Error, Options, Workshop};

/// What a vertex came to.
#[derive(Clone)]
pub(crate) struct Tree {
    pub(crate) stack: Stack,
    /// Whether the vertex itself added a layer.
    pub(crate) changed: bool,
    /// When the vertex was made, in seconds since 1970; none for a base image.
    pub(crate) made_at: Option<i64>,
    /// Nothing below it was made anew: its users' definition keys may be believed.
    as_defined: bool,
}

/// One build under way.
pub(crate) struct Walk<'a> {
    workshop: &'a Workshop<'a>,
    graph: &'a BuildGraph,
    options: Options,
    mtime: Option<i64>,
    keys: Keys,
    definitions: Vec<CacheKey>,
    hits: Vec<Option<CacheHit>>,
    /// What context copies take; dropped when the vertex is done.
    taken: Mutex<BTreeMap<VertexId, Taken>>,
    /// The vertices whose layers are the image's.
    in_image: BTreeSet<VertexId>,
    layers: Layers<'a>,
    runner: Runner<'a>,
    fetcher: Fetcher<'a>,
    log: Log<'a>,
    progress: Mutex<Progress>,
    pub(crate) schedule: Schedule<Tree>,
}

impl<'a> Walk<'a> {
    /// Reads what the context copies take, and asks the cache for everything at once.
    ///
    /// # Errors
    /// A source is missing, or the cache can't be asked.
    pub(crate) fn prepare(
        workshop: &'a Workshop<'a>,
        graph: &'a BuildGraph,
        source: &SourceTree,
        excludes: &Excludes<'_>,
        options: Options,
    ) -> Result<Self, Failure> {
        let fetcher = Fetcher::new(workshop.outside, workshop.scratch);
        let taken = take_contexts(graph, source, excludes, workshop.cores, &fetcher)?;
        let epoch = options.source_date_epoch;
        let keys = Keys { platform: graph.output.platform.clone(), epoch };
        let sources = taken.iter().map(|(id, taken)| (*id, taken.digest.clone())).collect();
        let definitions = keys.definitions(graph, &sources);
        let hits = if options.no_cache {
            vec![None; definitions.len()]
        } else {
            workshop.outside.cache_lookup(&definitions)?
        };
        let total = u32::try_from(graph.vertices.len()).unwrap_or(u32::MAX);
        Ok(Self {
            workshop,
            graph,
            options,
            mtime: source.revision.as_ref().map(|revision| revision.committed_at),
            keys,
            definitions,
            hits,
            taken: Mutex::new(taken),
            in_image: in_image(graph),
            layers: Layers::new(workshop.snapshots, workshop.outside, workshop.cores),
            runner: Runner::new(workshop, epoch).map_err(Error::into_failure)?,
            fetcher,
            log: Log::new(workshop.outside),
            progress: Mutex::new(Progress { total, ..Progress::default() }),
            schedule: Schedule::new(graph),
        })
    }

    /// Works on vertices until none is left. Several threads call it side by side; layers are compressed
    /// on further ones.
    pub(crate) fn work<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        let _watch = PanicFails(&self.schedule);
        while let Some(id) = self.schedule.next() {
            let vertex = self.graph.vertex(id);
            let log = self.log.start(vertex);
            let began = Instant::now();
            self.advance(|progress| progress.current = vertex.name());
            match self.vertex(id, vertex, &log, scope) {
                Ok(tree) => {
                    self.advance(|progress| {
                        progress.done += 1;
                        progress.milliseconds += u64::try_from(began.elapsed().as_millis()).unwrap_or(0);
                    });
                    self.schedule.done(id, tree);
                }
                Err(failure) => {
                    let message = failure.message.clone();
                    match self.fail(located(failure, vertex)) {
                        true => log.error(&message),
                        false => log.interrupted(),
                    }
                }
            }
        }
    }

    /// The first failure ends the build: what still runs is killed. True if this was it.
    fn fail(&self, failure: Failure) -> bool {
        let first = self.schedule.fail(failure);
        if first {
            self.runner.stop.stop();
        }
        first
    }

    fn vertex<'s>(
        &'s self,
        id: VertexId,
        vertex: &'s Vertex,
        log: &VertexLog<'_>,
        scope: &'s Scope<'s, '_>,
    ) -> Result<Tree, Failure> {
        let inputs: Vec<Tree> =
            vertex.op.inputs().into_iter().filter_map(|input| self.schedule.result(input)).collect();
        let base = match &vertex.op {
            Op::Scratch => Some(Stack::default()),
            Op::Image(image) => Some(Stack::of_image(image)?),
            Op::Exec(_) | Op::Copy(_) | Op::MakeDirectory(_) => None,
        };
        if let Some(stack) = base {
            log.done();
            return Ok(Tree { stack, changed: false, made_at: None, as_defined: true });
        }
        let as_defined = inputs.iter().all(|input| input.as_defined);
        if let Some(hit) = self.hits.get(id.0).cloned().flatten().filter(|_| as_defined) {
            return self.cached(id, vertex, &inputs, &hit, None, log);
        }
        let mut taken = self.take(id, &vertex.op, &inputs)?;
        let parent = inputs.first().map(|input| input.stack.clone()).unwrap_or_default();
        let digest = taken.as_ref().map(|taken| taken.digest.clone());
        let content = self.keys.content(&vertex.op, &parent.diff_ids(), digest);
        tracing::debug!(vertex = vertex.name(), parts = ?content, "not found by its definition");
        let content = content.key();
        if let Some(hit) = self.look_up(&content)? {
            return self.cached(id, vertex, &inputs, &hit, Some(content), log);
        }
        if let (Op::Copy(copy), Some(taken)) = (&vertex.op, &mut taken) {
            taken.complete(copy, &self.fetcher).map_err(Error::into_failure)?;
        }
        let (layer, made_at) = self.make(id, vertex, &parent, taken.as_ref(), content, log, scope)?;
        let changed = layer.is_some();
        Ok(Tree { stack: parent.with(layer), changed, made_at: Some(made_at), as_defined: false })
    }

    fn look_up(&self, key: &CacheKey) -> Result<Option<CacheHit>, Failure> {
        if self.options.no_cache {
            return Ok(None);
        }
        let hits = self.workshop.outside.cache_lookup(std::slice::from_ref(key))?;
        Ok(hits.into_iter().next().flatten())
    }

    /// Uses a remembered result. `content` is the key that found it, where its definition did not: then
    /// the definition is remembered too.
    fn cached(
        &self,
        id: VertexId,
        vertex: &Vertex,
        inputs: &[Tree],
        hit: &CacheHit,
        content: Option<CacheKey>,
        log: &VertexLog<'_>,
    ) -> Result<Tree, Failure> {
        locked(&self.taken).remove(&id);
        let as_defined = content.is_none();
        let announce = self.in_image.contains(&id) && hit.layer.is_some();
        let purpose = self.purpose(id, vertex, content, hit.made_at);
        let cache = (!as_defined).then(|| purpose.record(hit.layer.clone()));
        if announce || cache.is_some() {
            let blob = hit.layer.as_ref().map(|layer| layer.blob.clone());
            self.workshop.outside.blob_ready(BlobReady { id: None, blob, announce, cache })?;
        }
        log.cached();
        self.advance(|progress| progress.cached += 1);
        let parent = inputs.first().map(|input| input.stack.clone()).unwrap_or_default();
        let layer = hit.layer.as_ref().map(|layer| Arc::new(LayerRef::cached(layer)));
        let changed = layer.is_some();
        Ok(Tree { stack: parent.with(layer), changed, made_at: Some(hit.made_at), as_defined })
    }

    /// What a COPY takes: known already from the context, looked up now in a stage.
    fn take(&self, id: VertexId, op: &Op, inputs: &[Tree]) -> Result<Option<Taken>, Failure> {
        match op {
            Op::Copy(Copy { from: CopyFrom::Context, .. }) => Ok(locked(&self.taken).remove(&id)),
            Op::Copy(copy) => {
                let from =
                    inputs.get(1).or(inputs.first()).map(|input| input.stack.clone()).unwrap_or_default();
                copy::take_from_stack(copy, &from, &self.layers).map(Some).map_err(Error::into_failure)
            }
            _ => Ok(None),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part of one vertex' state")]
    fn make<'s>(
        &'s self,
        id: VertexId,
        vertex: &'s Vertex,
        parent: &Stack,
        taken: Option<&Taken>,
        content: CacheKey,
        log: &VertexLog<'_>,
        scope: &'s Scope<'s, '_>,
    ) -> Result<(Option<Arc<LayerRef>>, i64), Failure> {
        let upper = match (&vertex.op, taken) {
            (Op::Exec(exec), _) => self.runner.run(exec, id.0, parent, &self.layers, log),
            (Op::Copy(copy), Some(taken)) => copy::copy(copy, taken, parent, &self.layers, self.mtime),
            (Op::MakeDirectory(make), _) => copy::make_directory(make, parent, &self.layers),
            (Op::Copy(_) | Op::Scratch | Op::Image(_), _) => {
                return Err(Failure::service("internal", "A vertex has nothing to make.", "Report this."));
            }
        };
        let made = Made {
            upper: upper.map_err(Error::into_failure)?,
            lowers: self.layers.folders(parent)?,
            epoch: self.options.source_date_epoch,
            set_times: !matches!(vertex.op, Op::Exec(_)),
        };
        let made_at = self.options.source_date_epoch.unwrap_or_else(self.workshop.clock);
        let purpose = self.purpose(id, vertex, Some(content), made_at);
        let Some(layer) = made.layer(self.workshop.snapshots)? else {
            let record = purpose.record(None);
            self.workshop.outside.blob_ready(BlobReady {
                id: None,
                blob: None,
                announce: false,
                cache: Some(record),
            })?;
            log.done();
            return Ok((None, made_at));
        };
        // Before its layer is packed, which may fail.
        log.done();
        let (completed, number) = (Arc::clone(&layer), log.number());
        scope.spawn(move || {
            if let Err(failure) = made.compress(&completed, self.workshop.outside, purpose)
                && self.fail(located(failure, vertex))
            {
                self.log.failed_late(number);
            }
        });
        Ok((Some(layer), made_at))
    }

    fn purpose(&self, id: VertexId, vertex: &Vertex, content: Option<CacheKey>, made_at: i64) -> Purpose {
        let keys = self.definitions.get(id.0).cloned().into_iter().chain(content).collect();
        Purpose { announce: self.in_image.contains(&id), keys, description: vertex.name(), made_at }
    }

    fn advance(&self, change: impl FnOnce(&mut Progress)) {
        let progress = {
            let mut progress = locked(&self.progress);
            change(&mut progress);
            progress.clone()
        };
        self.workshop.outside.progress(progress);
    }
}

/// A thread that panics must not leave the others waiting for its vertex.
struct PanicFails<'a>(&'a Schedule<Tree>);

impl Drop for PanicFails<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(Failure::service("internal", "A thread of the build panicked.", "Report this."));
        }
    }
}

fn located(failure: Failure, vertex: &Vertex) -> Failure {
    match (&failure.location, &vertex.location) {
        (None, Some(location)) => failure.at(location.clone()),
        _ => failure,
    }
}

/// The output's own vertex and everything it lies on.
fn in_image(graph: &BuildGraph) -> BTreeSet<VertexId> {
    std::iter::successors(Some(graph.output.root), |id| graph.vertex(*id).op.parent()).collect()
}

/// Every context copy, side by side: the files are hashed, and a missing one is told before anything
/// runs.
fn take_contexts(
    graph: &BuildGraph,
    source: &SourceTree,
    excludes: &Excludes<'_>,
    cores: usize,
    fetcher: &Fetcher<'_>,
) -> Result<BTreeMap<VertexId, Taken>, Failure> {
    let copies: Vec<(VertexId, &Copy)> = graph
        .vertices
        .iter()
        .enumerate()
        .filter_map(|(index, vertex)| match &vertex.op {
            Op::Copy(copy) if copy.from == CopyFrom::Context => Some((VertexId(index), copy)),
            _ => None,
        })
        .collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let found = Mutex::new(BTreeMap::new());
    let work = || {
        while let Some((id, copy)) = copies.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            let taken = copy::take_from_context(copy, &source.root, excludes, fetcher);
            let taken = taken.map_err(|error| located(error.into_failure(), graph.vertex(*id)));
            locked(&found).insert(*id, taken);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..cores.min(copies.len()) {
            scope.spawn(work);
        }
        work();
    });
    let found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    found.into_iter().map(|(id, taken)| Ok((id, taken?))).collect()
}

/// The digests of the finished image's layers, in order.
pub(crate) fn finished(stack: &Stack) -> Result<Vec<model::Layer>, Failure> {
    let unfinished = |diff_id: &Digest| crate::layers::unfinished(diff_id);
    stack.0.iter().map(|layer| layer.finished().ok_or_else(|| unfinished(&layer.diff_id))).collect()
}
