//! A run at a moment, in words: what it builds and why, how long it took.

use std::ops::Deref;

use model::{Cause, HookEvent, SourceSpec, Trust};
use time::OffsetDateTime;

use super::source::{commit_address, is_commit, openable, short_repository};
use super::{delivery_address, run_address, task_address, word};
use crate::api::Run;
use crate::page::html::{Took, took};

/// A run at a moment.
#[derive(Debug)]
pub(crate) struct RunView {
    pub(crate) run: Run,
    pub(crate) now: OffsetDateTime,
}

impl Deref for RunView {
    type Target = Run;

    fn deref(&self) -> &Run {
        &self.run
    }
}

/// The runs of a page.
pub(crate) fn runs(runs: Vec<Run>, now: OffsetDateTime) -> Vec<RunView> {
    runs.into_iter().map(|run| RunView { run, now }).collect()
}

impl RunView {
    pub(crate) fn address(&self) -> String {
        run_address(&self.registry, &self.id.to_string())
    }

    /// The first name of its image, or where its source lies.
    pub(crate) fn title(&self) -> String {
        match self.images.first() {
            Some(image) => without_registry(&image.reference).to_owned(),
            None => match &self.spec.source.0 {
                SourceSpec::Git { url, .. } => short_repository(url).to_owned(),
                SourceSpec::Upload { .. } => "An uploaded folder".to_owned(),
            },
        }
    }

    /// How many other names the image has.
    pub(crate) fn more_images(&self) -> usize {
        self.images.len().saturating_sub(1)
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.status.is_end()
    }

    pub(crate) fn can_cancel(&self) -> bool {
        !self.is_ended() && !self.cancel_requested
    }

    /// `timed out`
    pub(crate) fn word(&self) -> String {
        word(self.status.as_str())
    }

    pub(crate) fn short_id(&self) -> String {
        // The end: the beginning is the time, and the same for runs of one minute.
        let id = self.id.to_string();
        id[id.len() - 8..].to_owned()
    }

    /// Branch or tag that is built.
    pub(crate) fn branch(&self) -> Option<String> {
        let bare = |name: &str| {
            let name =
                name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/")).unwrap_or(name);
            name.to_owned()
        };
        match (&self.cause, &self.spec.source.0) {
            (Cause::Commit { reference, .. }, _) => Some(bare(reference)),
            (Cause::PullRequest { source_branch, .. }, _) => Some(source_branch.clone()),
            (Cause::Manual { .. }, SourceSpec::Git { reference, .. }) => {
                reference.as_deref().filter(|name| !is_commit(name)).map(bare)
            }
            _ => None,
        }
    }

    /// The commit that was built, or that the cause names.
    pub(crate) fn commit(&self) -> Option<&str> {
        let built = self.revision.as_ref().map(|revision| revision.commit.as_str());
        let named = self.cause.event().and_then(|event| event.commit.as_deref());
        let asked = match &self.spec.source.0 {
            SourceSpec::Git { reference, .. } => reference.as_deref().filter(|name| is_commit(name)),
            SourceSpec::Upload { .. } => None,
        };
        built.or(named).or(asked)
    }

    pub(crate) fn short_commit(&self) -> Option<&str> {
        self.commit().map(|commit| commit.get(..10).unwrap_or(commit))
    }

    /// The commit at its git host, where that has a page for it.
    pub(crate) fn commit_address(&self) -> Option<String> {
        let SourceSpec::Git { url, .. } = &self.spec.source.0 else { return None };
        commit_address(url, self.cause.event().map(|event| event.host), self.commit()?)
    }

    /// The source's address, if it can be opened.
    pub(crate) fn repository_address(&self) -> Option<&str> {
        match &self.spec.source.0 {
            SourceSpec::Git { url, .. } => openable(url),
            SourceSpec::Upload { .. } => None,
        }
    }

    pub(crate) fn repository(&self) -> &str {
        match &self.spec.source.0 {
            SourceSpec::Git { url, .. } => short_repository(url),
            SourceSpec::Upload { .. } => "an upload",
        }
    }

    pub(crate) fn folder(&self) -> Option<&str> {
        match &self.spec.source.0 {
            SourceSpec::Git { subdirectory, .. } => subdirectory.as_deref(),
            SourceSpec::Upload { .. } => None,
        }
    }

    /// What started it, shortly: `push by ann`, `pull request 7 by bob`, `asked by ci`.
    pub(crate) fn why(&self) -> String {
        let by = |who: &Option<String>| who.as_ref().map(|who| format!(" by {who}")).unwrap_or_default();
        let first = match &self.cause {
            Cause::Manual { by: who, .. } => format!("asked for{}", by(who)),
            Cause::Commit { pusher, reference, .. } => {
                let what = if reference.starts_with("refs/tags/") { "tag" } else { "push" };
                format!("{what}{}", by(pusher))
            }
            Cause::PullRequest { number, author, .. } => format!("pull request {number}{}", by(author)),
        };
        match self.cause.rerun() {
            Some(rerun) => format!("{first}, once more by {}", rerun.by),
            None => first,
        }
    }

    pub(crate) fn event(&self) -> Option<&HookEvent> {
        self.cause.event()
    }

    pub(crate) fn delivery_address(&self) -> Option<String> {
        self.event().map(|event| delivery_address(&self.registry, &event.delivery.to_string()))
    }

    pub(crate) fn task_address(&self) -> Option<String> {
        self.task.as_ref().map(|task| task_address(&self.registry, task))
    }

    /// The run that it repeats.
    pub(crate) fn repeats(&self) -> Option<(String, String)> {
        let of = self.cause.rerun()?.of.to_string();
        let short = of[of.len() - 8..].to_owned();
        Some((run_address(&self.registry, &of), short))
    }

    /// From its start to its end; how long it has waited while nobody took it.
    pub(crate) fn took(&self) -> Took {
        took(self.started_at.unwrap_or(self.created_at), self.finished_at, self.now)
    }

    /// From being asked for to the start of the present attempt.
    pub(crate) fn waited(&self) -> Took {
        took(self.created_at, self.started_at.or(self.finished_at), self.now)
    }

    /// Whether secrets that its build names were kept from it.
    pub(crate) fn lacked_secrets(&self) -> bool {
        self.trust == Trust::Untrusted && !self.spec.secrets.is_empty()
    }

    /// The run's build as it was asked for, to read.
    pub(crate) fn spec_text(&self) -> String {
        serde_json::to_string_pretty(&self.spec).unwrap_or_default()
    }
}

fn without_registry(reference: &str) -> &str {
    reference.split_once('/').map_or(reference, |(_, name)| name)
}
