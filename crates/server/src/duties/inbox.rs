//! The inbox: works off stored deliveries, one after the other. Any number of servers may.

use database::{DeliveryStatus, Inbox, NewRun, Registry, TaskDecision, TaskRow, Worked};
use model::{Cause, HookEvent, Platform, SourceSpec, Trust};
use triggers::{Delivery, Event};

use crate::App;
use crate::new_run::{check_platform, fill_images, notify_of};

/// Works until the server stops.
pub(crate) async fn work(app: App) {
    loop {
        match app.database.work_delivery(|inbox| decide(&app, inbox)).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err((None, error)) => tracing::warn!(%error, "the inbox could not be read"),
            Err((Some(delivery), error)) => {
                tracing::error!(%delivery, %error, "a delivery could not be worked off");
                if let Err(error) = app.database.postpone_delivery(delivery).await {
                    tracing::warn!(%delivery, %error, "the delivery could not be put back either");
                }
            }
        }
        tokio::select! {
            () = app.inbox.notified() => {}
            () = tokio::time::sleep(app.config().work_every) => {}
            () = app.stop.cancelled() => return,
        }
        if app.stop.is_cancelled() {
            return;
        }
    }
}

/// What a delivery means: a sentence, and a run for each task it starts.
async fn decide(app: &App, inbox: Inbox) -> Result<Worked, database::Error> {
    let worked = match read(&inbox) {
        Ok(events) => consider_all(app, &inbox, &events).await?,
        Err(worked) => worked,
    };
    tracing::info!(delivery = %inbox.id, hook = inbox.hook, status = worked.status.as_str(), summary = worked.summary, "delivery worked off");
    app.metrics.delivered(inbox.host, worked.status.as_str());
    Ok(worked)
}

fn read(inbox: &Inbox) -> Result<Vec<Event>, Worked> {
    let delivery = Delivery { headers: &inbox.content.headers, body: &inbox.content.body };
    triggers::read(inbox.host, &inbox.event, &delivery).map_err(|unreadable| {
        let failure = unreadable.failure();
        let summary = format!("{} {}", failure.message, failure.hint);
        Worked { status: DeliveryStatus::Failed, summary: summary.trim().to_owned(), decisions: Vec::new() }
    })
}

/// A delivery may tell of several refs.
async fn consider_all(app: &App, inbox: &Inbox, events: &[Event]) -> Result<Worked, database::Error> {
    let (mut status, mut summaries, mut decisions) = (DeliveryStatus::Ignored, Vec::new(), Vec::new());
    for event in events {
        let worked = consider(app, inbox, event).await?;
        if worked.status == DeliveryStatus::Matched {
            status = DeliveryStatus::Matched;
        }
        summaries.push(worked.summary);
        decisions.extend(worked.decisions);
    }
    Ok(Worked { status, summary: summaries.join(". "), decisions })
}

async fn consider(app: &App, inbox: &Inbox, event: &Event) -> Result<Worked, database::Error> {
    let ignored =
        |summary: String| Worked { status: DeliveryStatus::Ignored, summary, decisions: Vec::new() };
    let Some(repository) = event.repository() else { return Ok(ignored(event.to_string())) };
    let mut keys: Vec<String> =
        repository.addresses.iter().filter_map(|address| model::repository_of(address)).collect();
    keys.sort();
    keys.dedup();
    let allowed = |own: &String| model::repository_of(own).is_some_and(|own| keys.contains(&own));
    if !inbox.repositories.is_empty() && !inbox.repositories.iter().any(allowed) {
        return Ok(ignored(format!("{event}: the hook `{}` is not for this repository", inbox.hook)));
    }
    let Some(registry) = app.database.get_registry(&inbox.registry).await? else {
        return Ok(ignored(format!("{event}: its registry is gone")));
    };
    let tasks = app.database.tasks_of(&registry.name, &keys).await?;
    if tasks.is_empty() {
        return Ok(ignored(format!("{event}: no task builds {}", keys.join(" or "))));
    }
    let platforms = app.database.platforms().await?;
    let decisions: Vec<_> =
        tasks.iter().map(|task| decision(inbox, &registry, &platforms, task, event)).collect();
    let started: Vec<_> = decisions.iter().filter(|(decision, _)| decision.starts).collect();
    let (status, summary) = match started.as_slice() {
        [] => (DeliveryStatus::Ignored, format!("{event}: ignored: {}", reasons(decisions.iter()))),
        _ => (DeliveryStatus::Matched, format!("{event}: matched {}", reasons(started.iter().copied()))),
    };
    Ok(Worked { status, summary, decisions })
}

type Decided = (TaskDecision, Option<Box<NewRun>>);

/// `task app: branch main; task docs: no path matched`
fn reasons<'a>(decisions: impl Iterator<Item = &'a Decided>) -> String {
    let reasons =
        decisions.take(10).map(|(decision, _)| format!("task {}: {}", decision.task, decision.reason));
    reasons.collect::<Vec<_>>().join("; ")
}

fn decision(
    inbox: &Inbox,
    registry: &Registry,
    platforms: &[Platform],
    task: &TaskRow,
    event: &Event,
) -> Decided {
    let decided = triggers::decide(&task.spec, event);
    let mut decision =
        TaskDecision { task: task.name.clone(), starts: decided.starts, reason: decided.reason, run: None };
    if !decision.starts {
        return (decision, None);
    }
    if is_strangers(event) {
        decision.reason = format!("{}, {NOT_PUSHED}", decision.reason);
    }
    let Some(mut run) = run_for(inbox, registry, task, event, &decision.reason) else {
        return (decision, None);
    };
    let checked = check_platform(platforms, &run.spec).and_then(|()| fill_images(&mut run, registry));
    if let Err(problem) = checked {
        decision.starts = false;
        decision.reason = format!("{}, but {problem}", decision.reason);
        return (decision, None);
    }
    (decision, Some(Box::new(run)))
}

/// Said of a stranger's run, in its delivery and in its cause.
const NOT_PUSHED: &str = "untrusted: built, not pushed";

fn is_strangers(event: &Event) -> bool {
    matches!(event, Event::PullRequest(request) if request.is_fork)
}

/// The run that an event asks of a task: the task's build, at the event's commit. A stranger's has no names: a
/// branch called `main` in a fork would take the place of what is deployed.
fn run_for(
    inbox: &Inbox,
    registry: &Registry,
    task: &TaskRow,
    event: &Event,
    reason: &str,
) -> Option<NewRun> {
    let happened = |commit: Option<&String>| HookEvent {
        hook: inbox.hook.clone(),
        host: inbox.host,
        delivery: inbox.id,
        commit: commit.cloned(),
        reason: reason.to_owned(),
    };
    let (cause, reference, commit, is_hint) = match event {
        Event::Push(push) => {
            let event = happened(push.commit.as_ref().filter(|_| !push.is_hint));
            let (reference, pusher) = (push.reference.clone(), push.pusher.clone());
            (
                Cause::Commit { event, reference, pusher, rerun: None },
                &push.reference,
                push.commit.as_ref()?,
                push.is_hint,
            )
        }
        Event::PullRequest(request) => {
            let event = happened(Some(&request.commit).filter(|_| !request.is_hint));
            let cause = Cause::PullRequest {
                event,
                number: request.number,
                source_branch: request.source_branch.clone(),
                target_branch: request.target_branch.clone(),
                is_fork: request.is_fork,
                author: request.author.clone(),
                rerun: None,
            };
            (cause, &request.reference, &request.commit, request.is_hint)
        }
        _ => return None,
    };
    let mut run = NewRun::quick(&registry.name, task.spec.build.clone());
    if let SourceSpec::Git { reference: built, .. } = &mut run.spec.source {
        // A hint is not believed: the ref is read again when the source is fetched.
        *built = Some(if is_hint { reference.clone() } else { commit.clone() });
    }
    run.task = Some((task.id, task.name.clone()));
    if cause.is_strangers() {
        run.spec.images.clear();
    }
    run.cause = cause;
    run.cause_key = Some(format!("{reference}@{commit}"));
    run.trust = Trust::Trusted;
    run.notify = notify_of(registry, &task.spec.notify);
    Some(run)
}
