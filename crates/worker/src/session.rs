//! One leased run: what it is granted, cell, questions, log, end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cell::{Attempt, BuildJob, CellProcess, Job};
use content::Holder;
use database::{LeasedRun, Outcome, Verdict};
use failpoint::Point;
use mask::Mask;
use model::{Failure, GitRevision};
use port::{Channel, Finish, Packet, ToCell, ToWorker, VertexEvent};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::answers::{Answers, out_of_order};
use crate::cgroup::RunCgroup;
use crate::cleaner;
use crate::desk::{Desk, Granted, Preflight};
use crate::guard::Guard;
use crate::heartbeat::{Hold, Holding};
use crate::house::House;
use crate::lease::Lease;
use crate::line::{IN_FLIGHT, died, end, read, stopped, write};
use crate::metrics::METRICS;
use crate::secrets::mask_of;
use crate::told::Told;
use crate::unpack::Asker;

/// Executes one run from its lease to its end, or until it has to be handed back.
pub(crate) async fn execute(
    house: Arc<House>,
    holding: Arc<Holding>,
    leased: LeasedRun,
    hand_back: CancellationToken,
) {
    let span = tracing::info_span!("run", run = %leased.run, attempt = leased.attempt);
    async move {
        let lease = Lease {
            run: leased.run,
            attempt: leased.attempt,
            epoch: leased.epoch,
            token: leased.token.clone(),
        };
        tracing::info!(registry = leased.registry_name, "run started");
        let hold = holding.hold(lease.clone());
        // What the run uses of the store stays until its end was reported, and its publication has ended.
        let blobs = Arc::new(house.store.hold(Holder { run: leased.run, attempt: leased.attempt }));
        failpoint::pass(Point::WorkerLeased).await;
        let desk = Desk::new(house.config.broker.clone(), lease.clone());
        let began = Instant::now();
        let granted = tokio::select! {
            granted = desk.grant(&leased.spec) => granted,
            verdict = hold.ended() => return end_early(&house, &lease, &leased, verdict).await,
            () = hand_back.cancelled() => {
                let outcome = Outcome::HandedBack(stopped());
                METRICS.ended(Some(&outcome));
                return finish(&house, &lease, &leased.scope, &outcome).await;
            }
        };
        METRICS.grant.observe(began.elapsed().as_secs_f64());
        let mask = granted.as_ref().map(|granted| mask_of(&granted.secrets)).unwrap_or_default();
        let (told, writers) = Told::start(house.database.clone(), &lease, &mask, began, house.limits.log);
        let outcome = match granted {
            Ok(granted) => {
                let work = Work { leased: &leased, lease: &lease, blobs: &blobs };
                build(&house, work, granted, &hold, &told, &hand_back).await
            }
            Err(failure) => Some(failed(failure, None)),
        };
        if let Some(Outcome::Failed { failure, .. }) = &outcome {
            let failure = mask.failure(failure.clone());
            tracing::info!(kind = %failure.kind, message = %failure.message, "attempt failed");
            if failure.kind == Failure::BLOB_DAMAGED {
                cleaner::drop_damaged(&house, blobs.places()).await;
            }
            told.log.write(format!("error: {failure}\n")).await;
        }
        if let Some(Outcome::HandedBack(failure)) = &outcome {
            told.log.write(format!("{} {}\n", failure.message, failure.hint)).await;
        }
        drop(told);
        writers.finish().await;
        METRICS.ended(outcome.as_ref());
        if let Some(outcome) = outcome {
            finish(&house, &lease, &leased.scope, &masked(outcome, &mask)).await;
        }
    }
    .instrument(span)
    .await;
}

/// Ended before anything began.
async fn end_early(house: &House, lease: &Lease, leased: &LeasedRun, verdict: Verdict) {
    let outcome = verdict_outcome(verdict, leased);
    METRICS.ended(outcome.as_ref());
    if let Some(outcome) = outcome {
        finish(house, lease, &leased.scope, &outcome).await;
    }
}

fn masked(outcome: Outcome, mask: &Mask) -> Outcome {
    match outcome {
        Outcome::Failed { failure, revision } => failed(mask.failure(failure), revision),
        other => other,
    }
}

/// A run, and what it is worked on with.
#[derive(Clone, Copy)]
struct Work<'a> {
    leased: &'a LeasedRun,
    lease: &'a Lease,
    blobs: &'a Arc<content::Hold>,
}

/// None when the lease was lost: then nothing may be written any more.
async fn build(
    house: &Arc<House>,
    work: Work<'_>,
    granted: Granted,
    hold: &Hold,
    told: &Told,
    hand_back: &CancellationToken,
) -> Option<Outcome> {
    let Work { leased, lease, blobs } = work;
    let job = match job_of(house, leased) {
        Ok(job) => job,
        Err(failure) => return Some(failed(failure, None)),
    };
    let cgroup = match house.cgroups.make(&house.cgroup_name(leased), &house.limits.run) {
        Ok(cgroup) => Arc::new(cgroup),
        Err(error) => return Some(failed(no_limits(&error), None)),
    };
    let attempt = attempt_of(house, leased);
    let watched = house.disk.watch(attempt.clone(), Arc::clone(&cgroup));
    let asker = Asker { attempt: attempt.clone(), cgroup: Arc::clone(&cgroup), share: watched.share() };
    let guard = Guard::over(watched, Arc::clone(&cgroup), house.limits, &leased.spec.dockerfile);
    let spawned = spawn(Arc::clone(house), Job::Build(Box::new(job)), Arc::clone(&cgroup)).await;
    let outcome = match spawned {
        Err(failure) => Some(failed(failure, None)),
        Ok(cell) => {
            guard.started(cell.pid());
            let preflight = granted.preflight.clone();
            let (means, blobs) = (house.means(asker), Arc::clone(blobs));
            let answers = Answers::new(means, leased.clone(), lease.clone(), blobs, granted, cell.pid());
            let outcome = converse(cell.channel(), answers, preflight, hold, told, &guard, hand_back).await;
            guard.stopping();
            end(cell).await;
            outcome
        }
    };
    let outcome = match outcome {
        Some(Outcome::Failed { failure, revision }) => Some(failed(guard.explain(failure), revision)),
        outcome => outcome,
    };
    drop(guard);
    cgroup.remove().await;
    // A cell that ended by itself has removed its folder. One that was killed has not, though its last word may have
    // been that it is done.
    if house.has_folder(&attempt) {
        clear(Arc::clone(house), attempt).await;
    }
    outcome
}

fn attempt_of(house: &House, leased: &LeasedRun) -> Attempt {
    let (scope, boot_id) = (leased.scope.clone(), house.boot_id.clone());
    Attempt { run: leased.run, attempt: leased.attempt, scope, boot_id }
}

fn job_of(house: &House, leased: &LeasedRun) -> Result<BuildJob, Failure> {
    Ok(BuildJob {
        run: leased.run,
        attempt: leased.attempt,
        spec: leased.spec.clone(),
        scope: leased.scope.clone(),
        boot_id: house.boot_id.clone(),
        cores: house.config.cores,
        runtime: house.config.runtime.clone(),
        network: house.config.network.clone(),
        unreachable: house.config.policy.unreachable().map_err(|error| error.failure())?,
        limits: house.limits.run,
    })
}

async fn spawn(house: Arc<House>, job: Job, cgroup: Arc<RunCgroup>) -> Result<CellProcess, Failure> {
    let spawned = tokio::task::spawn_blocking(move || house.spawn(&job, |pid| cgroup.place(pid)));
    spawned.await.unwrap_or_else(|error| Err(Failure::service("internal", error.to_string(), "")))
}

async fn clear(house: Arc<House>, attempt: Attempt) {
    let job = Job::Clear(attempt);
    let cleared = tokio::task::spawn_blocking(move || house.spawn(&job, |_| Ok(()))?.complete());
    if let Ok(Err(failure)) = cleared.await {
        tracing::warn!(%failure, "the run's folder stays until the worker's next start");
    }
}

/// Answers the cell until it ends or has to end.
async fn converse(
    channel: Arc<Channel>,
    answers: Answers,
    preflight: Preflight,
    hold: &Hold,
    told: &Told,
    guard: &Guard,
    hand_back: &CancellationToken,
) -> Option<Outcome> {
    let answers = Arc::new(answers);
    let outcome = tokio::select! {
        outcome = serve(channel, &answers, hold, told, guard) => outcome,
        verdict = hold.ended() => verdict_outcome(verdict, &answers.leased),
        failure = refused(preflight) => Some(failed(failure, None)),
        failure = guard.exceeded() => Some(failed(failure, answers.found())),
        () = hand_back.cancelled() => Some(Outcome::HandedBack(stopped())),
    };
    answers.end();
    outcome
}

/// Answers the cell until it ends. One that does not read what it asked for is answered nothing more: each question
/// has a place until its answer is sent and its stream ended.
async fn serve(
    channel: Arc<Channel>,
    answers: &Arc<Answers>,
    hold: &Hold,
    told: &Told,
    guard: &Guard,
) -> Option<Outcome> {
    let mut packets = read(Arc::clone(&channel));
    let replies = write(channel);
    let in_flight = Arc::new(Semaphore::new(IN_FLIGHT));
    loop {
        match packets.recv().await {
            Some(Packet { message: ToWorker::Ask { id, question }, descriptors }) => {
                let Ok(place) = Arc::clone(&in_flight).acquire_owned().await else { continue };
                let place = Arc::new(place);
                let (answers, replies) = (Arc::clone(answers), replies.clone());
                let task = async move {
                    let (last_word, kept) = (replies.clone(), Arc::clone(&place));
                    let ended = move |end| {
                        last_word.send((ToCell::StreamEnd(end), Vec::new(), kept)).unwrap_or_default()
                    };
                    let (answer, beside) = match answers.answer(question, descriptors, ended).await {
                        Ok((answer, beside)) => (Ok(answer), beside),
                        Err(failure) => (Err(failure), Vec::new()),
                    };
                    let _ = replies.send((ToCell::Answer { id, answer }, beside, place));
                };
                tokio::spawn(task.in_current_span());
            }
            Some(Packet { message: ToWorker::Log { lines }, .. }) => told.log.write(lines).await,
            Some(Packet { message: ToWorker::Vertex(event), .. }) => {
                guard.hear(&event);
                if let VertexEvent::Started(_) = event {
                    failpoint::pass(Point::WorkerVertexStarted).await;
                }
                told.vertices.tell(event).await;
            }
            Some(Packet { message: ToWorker::Progress(progress), .. }) => hold.progress(progress),
            Some(Packet { message: ToWorker::Finish(finish), .. }) => {
                return Some(outcome_of(finish, answers));
            }
            Some(Packet { message: ToWorker::Unshared, .. }) => {}
            None => return Some(failed(died(), None)),
        }
    }
}

/// Waits for a preflight that fails.
async fn refused(preflight: Preflight) -> Failure {
    match preflight.await {
        Err(failure) => failure,
        Ok(()) => std::future::pending().await,
    }
}

/// What a cell says of its end, as far as it goes with what it was answered: the publisher would look for a base
/// layer with its own right, and a commit is what the image was named by.
fn outcome_of(finish: Finish, answers: &Answers) -> Outcome {
    let found = answers.found();
    let (image, failure, revision) = match finish {
        Finish::Built { image, revision } => (Some(image), None, revision),
        Finish::Failed { failure, revision } => (None, Some(failure), revision),
        Finish::Done | Finish::Cleaned(_) => return failed(died(), found),
    };
    let is_known = image.as_ref().is_none_or(|image| answers.resolved.names_all_of(image));
    if !is_known || (revision.is_some() && revision != found) {
        return failed(out_of_order(), found);
    }
    match (image, failure) {
        (Some(image), _) if answers.leased.spec.images.is_empty() => {
            Outcome::Succeeded { image: *image, revision: found }
        }
        (Some(image), _) => Outcome::Publishing { image: *image, revision: found },
        (None, failure) => failed(failure.unwrap_or_else(died), found),
    }
}

fn verdict_outcome(verdict: Verdict, leased: &LeasedRun) -> Option<Outcome> {
    match verdict {
        Verdict::Continue | Verdict::Lost => {
            tracing::warn!("the lease was lost: the run belongs to somebody else now");
            None
        }
        Verdict::Cancel => Some(Outcome::Cancelled),
        Verdict::TimedOut => {
            let limit = leased.spec.timeout_seconds;
            let message = format!("The run was ended after its limit of {limit} seconds.");
            Some(Outcome::TimedOut(Failure::limits("timed_out", message, "Raise `timeout_seconds`.")))
        }
    }
}

fn failed(failure: Failure, revision: Option<GitRevision>) -> Outcome {
    Outcome::Failed { failure, revision }
}

fn no_limits(error: &std::io::Error) -> Failure {
    Failure::service(
        "cgroup_failed",
        format!("The run's cgroup can't be made: {error}."),
        "A run does not start without its limits: see `slipway doctor` on the worker.",
    )
}

/// Reports the end, again and again while the database is away.
async fn finish(house: &House, lease: &Lease, scope: &str, outcome: &Outcome) {
    failpoint::pass(Point::WorkerBeforeFinish).await;
    loop {
        match house.database.finish(lease.run, lease.epoch, &lease.token, scope, outcome).await {
            Ok(status) => {
                failpoint::pass(Point::WorkerAfterFinish).await;
                tracing::info!(%status, "run handed on");
                return;
            }
            // Nobody waits for a worker that stops: the lease runs out.
            Err(error) if error.is_unavailable() && matches!(outcome, Outcome::HandedBack(_)) => {
                tracing::warn!(%error, "the run could not be handed back");
                return;
            }
            Err(error) if error.is_unavailable() => {
                tracing::warn!(%error, "the run's end waits for the database");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => {
                tracing::warn!(%error, "the run's end was refused");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
