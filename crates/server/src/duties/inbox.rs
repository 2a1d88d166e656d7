//! The inbox: works off stored deliveries, one after the other. Any number of servers may.

use database::{DeliveryStatus, Inbox, NewRun, Pushed, Registry, TaskDecision, TaskRow, Worked, WorkedOff};
use model::{Cause, HookEvent, Platform, SourceSpec, Trust};
use sha2::{Digest as _, Sha256};
use triggers::{Delivery, Event, Push};

use crate::App;
use crate::new_run::{check_platform, fill_images, notify_of};

/// Works until the server stops.
pub(crate) async fn work(app: App) {
    loop {
        match app.database.work_delivery(|inbox| decide(&app, inbox)).await {
            Ok(Some(WorkedOff { id, hook, host, status, summary })) => {
                let status = status.as_str();
                tracing::info!(delivery = %id, hook, status, summary, "delivery worked off");
                app.metrics.delivered(host, status);
                continue;
            }
            Ok(None) => {}
            Err((None, error)) => tracing::warn!(%error, "the inbox could not be read"),
            Err((Some(delivery), error)) => {
                tracing::error!(%delivery, %error, "a delivery could not be worked off");
                match app.database.postpone_delivery(delivery).await {
                    Ok(Some(host)) => app.metrics.delivered(host, DeliveryStatus::Failed.as_str()),
                    Ok(None) => {}
                    Err(error) => {
                        tracing::warn!(%delivery, %error, "the delivery could not be put back either")
                    }
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
    let mut worked = match read(&inbox) {
        Ok(events) => consider_all(app, &inbox, &events).await?,
        Err(worked) => *worked,
    };
    // Whatever a sender writes, a list of deliveries stays one that can be read.
    worked.summary = cut(&worked.summary, LONGEST);
    Ok(worked)
}

/// Characters of a summary, and of one task's reason.
const LONGEST: usize = 2000;
const LONGEST_REASON: usize = 1000;

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn read(inbox: &Inbox) -> Result<Vec<Event>, Box<Worked>> {
    let delivery = Delivery { headers: &inbox.content.headers, body: &inbox.content.body };
    triggers::read(inbox.host, &inbox.event, &delivery).map_err(|unreadable| {
        let failure = unreadable.failure();
        let summary = format!("{} {}", failure.message, failure.hint);
        let (status, summary) = (DeliveryStatus::Failed, summary.trim().to_owned());
        Box::new(Worked { status, summary, decisions: Vec::new(), push: None })
    })
}

/// A delivery may tell of several refs.
async fn consider_all(app: &App, inbox: &Inbox, events: &[Event]) -> Result<Worked, database::Error> {
    let (mut status, mut summaries, mut decisions) = (DeliveryStatus::Ignored, Vec::new(), Vec::new());
    let mut push = None;
    for event in events {
        let worked = consider(app, inbox, event).await?;
        if worked.status == DeliveryStatus::Matched {
            status = DeliveryStatus::Matched;
        }
        summaries.push(worked.summary);
        decisions.extend(worked.decisions);
        // Only hints come several at once, and they have no turn.
        push = worked.push;
    }
    Ok(Worked { status, summary: summaries.join(". "), decisions, push })
}

async fn consider(app: &App, inbox: &Inbox, event: &Event) -> Result<Worked, database::Error> {
    let ignored = |summary: String| {
        let (status, decisions) = (DeliveryStatus::Ignored, Vec::new());
        Worked { status, summary, decisions, push: None }
    };
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
    Ok(Worked { status, summary, decisions, push: pushed(event, &keys) })
}

/// Whose turn it was is asked of what is signed alone: of a hint, the ref is read again.
fn pushed(event: &Event, repository: &[String]) -> Option<Pushed> {
    let Event::Push(push @ Push { is_hint: false, .. }) = event else { return None };
    let reference = &push.reference;
    let lane = Sha256::digest(format!("{}\0{reference}", repository.join("\0"))).into();
    let reason = format!("a later push of {reference} was delivered before");
    let late = (cut(&format!("{event}: ignored: {reason}"), LONGEST), reason);
    Some(Pushed { lane, before: push.before.clone(), after: push.commit.clone(), late })
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
    let (starts, reason) = (decided.starts, cut(&decided.reason, LONGEST_REASON));
    let mut decision = TaskDecision { task: task.name.clone(), starts, reason, run: None, was_there: false };
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
    let (cause, cause_key, reference, commit, is_hint) = match event {
        Event::Push(push) => {
            let event = happened(push.commit.as_ref().filter(|_| !push.is_hint));
            let (reference, pusher) = (push.reference.clone(), push.pusher.clone());
            (
                Cause::Commit { event, reference, pusher, rerun: None },
                push_key(push)?,
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
            let key = format!("{}@{}", request.reference, request.commit);
            (cause, key, &request.reference, &request.commit, request.is_hint)
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
    run.cause_key = Some(cause_key);
    run.trust = Trust::Trusted;
    run.notify = notify_of(registry, &task.spec.notify);
    Some(run)
}

/// What a task has one run for: where the ref came from and where it went, as far as the sender tells. The same push
/// under another id is the same; a push back to a commit is another.
fn push_key(push: &Push) -> Option<String> {
    let (reference, commit) = (&push.reference, push.commit.as_ref()?);
    Some(match &push.before {
        Some(before) => format!("{reference}@{before}..{commit}"),
        None => format!("{reference}@{commit}"),
    })
}
