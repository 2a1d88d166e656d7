//! One run inside its cell, on one screen: source → plan → build.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use builder::{Options, Workshop};
use dockerfile::Dockerfile;
use model::{BuildGraph, BuildSpec, BuiltImage, Failure, GitRevision, Platform, SourceSpec, SourceTree};
use port::{Finish, Outside};
use sandbox::Runtime;
use snapshot::Snapshots;

use crate::job::{CELLS, asked, ledger, shared_snapshots};
use crate::{BuildJob, Job, UnpackJob, sweep};

/// Does what the cell was started for.
pub(crate) fn carry_out(job: &Job, outside: &dyn Outside) -> Finish {
    let result = match job {
        Job::Adopt => sweep::adopt(Path::new(CELLS)),
        Job::Sweep { boot_id } => sweep::sweep(Path::new(CELLS), boot_id),
        Job::Clean { boot_id, limit, compare_after } => {
            return match sweep::clean(Path::new(CELLS), boot_id, *limit, *compare_after) {
                Ok(cleaned) => Finish::Cleaned(cleaned),
                Err(failure) => Finish::Failed { failure, revision: None },
            };
        }
        Job::Clear(attempt) => sweep::clear(Path::new(CELLS), attempt),
        Job::Unpack(job) => unpack(job, outside),
        Job::Build(job) => return build(job, outside),
    };
    match result {
        Ok(()) => Finish::Done,
        Err(failure) => Finish::Failed { failure, revision: None },
    }
}

fn build(job: &BuildJob, outside: &dyn Outside) -> Finish {
    let mut revision = None;
    let finish = match try_build(job, outside, &mut revision) {
        Ok(image) => Finish::Built { image: Box::new(image), revision },
        Err(failure) => Finish::Failed { failure, revision },
    };
    if let Err(failure) = sweep::empty(&BuildJob::scratch(), &BuildJob::snapshots()) {
        outside.log(&format!("The run's folder stays until the worker starts again: {failure}\n"));
    }
    finish
}

/// Layers side by side; each is under its name only once all of it was read and is what its digests say.
fn unpack(job: &UnpackJob, outside: &dyn Outside) -> Result<(), Failure> {
    let snapshots =
        Snapshots::open(&shared_snapshots()).map_err(|error| error.failure())?.recording(&asked());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(layer) = job.layers.get(next.fetch_add(1, Ordering::Relaxed)) {
            if snapshots.get(&layer.diff_id).is_none() {
                let file = outside.image_blob(&layer.image, &layer.blob)?;
                builder::unpack(&snapshots, file, &layer.blob, &layer.diff_id)?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let beside: Vec<_> =
            (1..job.cores.clamp(2, 32).min(job.layers.len())).map(|_| scope.spawn(work)).collect();
        let own = work();
        let panicked = || Failure::service("internal", "A thread of the cell panicked.", "Report this.");
        beside
            .into_iter()
            .fold(own, |result, thread| result.and(thread.join().unwrap_or_else(|_| Err(panicked()))))
    })
}

fn try_build(
    job: &BuildJob,
    outside: &dyn Outside,
    revision: &mut Option<GitRevision>,
) -> Result<BuiltImage, Failure> {
    let scratch = BuildJob::scratch();
    let ledger = make_folder(ledger(&scratch))?;
    let runtime = Runtime::find(job.runtime.as_deref()).map_err(|error| error.failure())?;
    sandbox::prepare_host(&runtime).map_err(|error| error.failure())?;
    let snapshots = Snapshots::open_above(&BuildJob::snapshots(), &shared_snapshots())
        .map_err(|error| error.failure())?
        .recording(&ledger);

    let tree = fetch(&job.spec, outside, &make_folder(scratch.join("context"))?)?;
    revision.clone_from(&tree.revision);
    let graph = plan(&job.spec, &tree, outside)?;
    let ignore = source::Ignore::read(&tree.root, &job.spec.dockerfile)?;

    let work = make_folder(scratch.join("build"))?;
    let workshop = Workshop {
        snapshots: &snapshots,
        runtime: &runtime,
        scratch: &work,
        outside,
        network: &job.network,
        limits: &job.limits,
        cores: job.cores,
        clock: now,
    };
    let options = Options { no_cache: job.spec.no_cache, source_date_epoch: job.spec.source_date_epoch };
    builder::build(&workshop, &graph, &tree, &|path, is_dir| ignore.excludes(path, is_dir), &options)
}

fn fetch(spec: &BuildSpec, outside: &dyn Outside, dest: &Path) -> Result<SourceTree, Failure> {
    match &spec.source {
        SourceSpec::Git { reference, subdirectory, .. } => {
            let tree = source::fetch_git(outside, reference.as_deref(), subdirectory.as_deref(), dest)?;
            if let Some(revision) = &tree.revision {
                outside.log(&format!("source: commit {}\n", revision.commit));
                outside.source_found(revision)?;
            }
            Ok(tree)
        }
        SourceSpec::Upload { .. } => source::unpack_upload(outside, dest),
    }
}

fn plan(spec: &BuildSpec, tree: &SourceTree, outside: &dyn Outside) -> Result<BuildGraph, Failure> {
    let text = source::read_file(tree, &spec.dockerfile)?;
    let dockerfile = dockerfile::parse(&spec.dockerfile, &text).map_err(dockerfile::Error::into_failure)?;
    for warning in dockerfile.warnings() {
        let line = warning.location.line;
        outside
            .log(&format!("warning: {}:{line}: {} ({})\n", spec.dockerfile, warning.message, warning.rule));
    }
    let options = plan_options(spec);
    let unused = dockerfile.unused_args(&options);
    if !unused.is_empty() {
        // BuildKit's words, for whoever looks for them.
        let names = unused.join(" ");
        outside.log(&format!("[Warning] One or more build-args [{names}] were not consumed\n"));
    }
    let images = resolve(&dockerfile, &options, outside)?;
    dockerfile.plan(&options, &images).map_err(dockerfile::Error::into_failure)
}

fn plan_options(spec: &BuildSpec) -> dockerfile::Options {
    let mut build_args = spec.build_args.clone();
    if let Some(epoch) = spec.source_date_epoch {
        build_args.insert("SOURCE_DATE_EPOCH".to_owned(), epoch.to_string());
    }
    dockerfile::Options {
        build_args,
        target: spec.target.clone(),
        platform: spec.platform.clone(),
        build_platform: Platform::host(),
    }
}

/// Every image is asked for at the same time.
fn resolve(
    dockerfile: &Dockerfile,
    options: &dockerfile::Options,
    outside: &dyn Outside,
) -> Result<dockerfile::Images, Failure> {
    let needed = dockerfile.needed_images(options).map_err(dockerfile::Error::into_failure)?;
    let mut images = BTreeMap::new();
    std::thread::scope(|scope| {
        let asked: Vec<_> = needed
            .iter()
            .map(|image| (image, scope.spawn(|| outside.resolve(&image.reference, &image.platform))))
            .collect();
        for (image, thread) in asked {
            let panicked = || Failure::service("internal", "A thread of the cell panicked.", "Report this.");
            let resolved = thread.join().unwrap_or_else(|_| Err(panicked()));
            let resolved = resolved.map_err(|failure| failure.at(image.location.clone()))?;
            images.insert((image.reference.clone(), image.platform.clone()), resolved);
        }
        Ok(images)
    })
}

fn make_folder(path: PathBuf) -> Result<PathBuf, Failure> {
    match std::fs::create_dir_all(&path) {
        Ok(()) => Ok(path),
        Err(error) => Err(Failure::service(
            "store_unusable",
            format!("The run's folder {} can't be made: {error}.", path.display()),
            "See `slipway doctor`.",
        )),
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
