//! Whether an event starts a task: both in, a yes or no with its reason out.
//!
//! Absent: what is then built, whether it was built before, and whether a stranger's run may see
//! secrets.

mod commit;
mod files;
mod pull_request;

use model::{SourceSpec, TaskSpec, Trigger};

use crate::{Event, Repository, same_repository};

/// Whether an event starts a task, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Whether it does.
    pub starts: bool,
    /// What matched, or what came nearest, in a few words: "branch main", "a draft".
    pub reason: String,
}

/// Whether `event` starts `task`. The first trigger that matches wins; when none does, the reason is
/// that of the one that came nearest.
#[must_use]
pub fn decide(task: &TaskSpec, event: &Event) -> Decision {
    if let Some(reason) = hindrance(task, event) {
        return Decision { starts: false, reason };
    }
    let mut nearest: Option<Miss> = None;
    for trigger in &task.triggers {
        match matches(task, trigger, event) {
            Ok(reason) => return Decision { starts: true, reason },
            Err(miss) if nearest.as_ref().is_none_or(|known| known.distance > miss.distance) => {
                nearest = Some(miss);
            }
            Err(_) => {}
        }
    }
    Decision {
        starts: false,
        reason: nearest.map_or("the task has no triggers".to_owned(), |miss| miss.reason),
    }
}

/// What no trigger can help with.
fn hindrance(task: &TaskSpec, event: &Event) -> Option<String> {
    let repository = match event {
        Event::Ping => return Some("a ping starts nothing".to_owned()),
        Event::Other { what } => return Some(what.clone()),
        Event::Push(push) => &push.repository,
        Event::PullRequest(request) => &request.repository,
    };
    if !task.enabled {
        return Some("the task is disabled".to_owned());
    }
    not_its_source(&task.build.source, repository).or_else(|| match event {
        Event::Push(push) => commit::hindrance(push),
        Event::PullRequest(request) => pull_request::hindrance(request),
        Event::Ping | Event::Other { .. } => None,
    })
}

fn not_its_source(source: &SourceSpec, repository: &Repository) -> Option<String> {
    let SourceSpec::Git { url, .. } = source else {
        return Some("the task's source is an upload".to_owned());
    };
    let reason = || format!("{} is not the task's repository", repository.full_name);
    (!same_repository(url, repository)).then(reason)
}

fn matches(task: &TaskSpec, trigger: &Trigger, event: &Event) -> Result<String, Miss> {
    match (trigger, event) {
        (Trigger::Commit { branches, tags, paths }, Event::Push(push)) => {
            let name = commit::matches(&task.build.source, branches, tags, push)?;
            let found = files::matches(paths, push.changed.as_deref())?;
            Ok(found.map_or(name.clone(), |found| format!("{name}, {found}")))
        }
        (Trigger::PullRequest { branches, paths }, Event::PullRequest(request)) => {
            let name = pull_request::matches(branches, request)?;
            let found = files::matches(paths, None)?;
            Ok(found.map_or(name.clone(), |found| format!("{name}, {found}")))
        }
        (_, Event::Push(_)) => Err(Miss::kind("no trigger is for pushes")),
        (_, _) => Err(Miss::kind("no trigger is for pull requests")),
    }
}

/// Why a trigger does not match.
#[derive(Debug)]
struct Miss {
    distance: Distance,
    reason: String,
}

/// How far a trigger was from matching, the nearest first.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Distance {
    Path,
    Name,
    Kind,
}

impl Miss {
    fn kind(reason: impl Into<String>) -> Self {
        Self { distance: Distance::Kind, reason: reason.into() }
    }

    fn name(reason: impl Into<String>) -> Self {
        Self { distance: Distance::Name, reason: reason.into() }
    }

    fn path(reason: impl Into<String>) -> Self {
        Self { distance: Distance::Path, reason: reason.into() }
    }
}
