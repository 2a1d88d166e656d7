//! What the templates say of the API's structs, in words. Absent: anything that is not in them.

use std::ops::Deref;

use model::{Cause, GitHost, HookEvent, SourceSpec, Trigger};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;

use super::html::{Took, took};
use crate::api::{Run, Task};

/// A part of a path: names stay readable.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A run at a moment.
#[derive(Debug)]
pub(crate) struct RunView {
    pub(crate) run: Run,
    pub(crate) now: OffsetDateTime,
}

/// A task with its words.
#[derive(Debug)]
pub(crate) struct TaskView(pub(crate) Task);

impl Deref for RunView {
    type Target = Run;

    fn deref(&self) -> &Run {
        &self.run
    }
}

impl Deref for TaskView {
    type Target = Task;

    fn deref(&self) -> &Task {
        &self.0
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

    /// The run's build as it was asked for, to read.
    pub(crate) fn spec_text(&self) -> String {
        serde_json::to_string_pretty(&self.spec).unwrap_or_default()
    }
}

impl TaskView {
    pub(crate) fn address(&self) -> String {
        task_address(&self.registry, &self.name)
    }

    pub(crate) fn source(&self) -> String {
        match &self.build.source.0 {
            SourceSpec::Git { url, reference, subdirectory } => {
                let mut text = short_repository(url).to_owned();
                text.extend(reference.iter().map(|name| format!("#{name}")));
                text.extend(subdirectory.iter().map(|folder| format!(":{folder}")));
                text
            }
            SourceSpec::Upload { .. } => "an upload".to_owned(),
        }
    }

    pub(crate) fn started_by(&self) -> Vec<String> {
        self.triggers.iter().map(trigger).collect()
    }

    pub(crate) fn build_text(&self) -> String {
        serde_json::to_string_pretty(&self.build).unwrap_or_default()
    }
}

/// `push to main, release/*; of tags v*; only src/**; not docs/**`
fn trigger(trigger: &Trigger) -> String {
    let (mut text, paths) = match trigger {
        Trigger::Commit { branches, tags, paths } => {
            let text = match (branches.is_empty(), tags.is_empty()) {
                (true, true) => "push to its branch".to_owned(),
                (false, true) => format!("push to {}", branches.join(", ")),
                (true, false) => format!("tag {}", tags.join(", ")),
                (false, false) => format!("push to {}; tag {}", branches.join(", "), tags.join(", ")),
            };
            (text, paths)
        }
        Trigger::PullRequest { branches, paths } if branches.is_empty() => ("pull request".to_owned(), paths),
        Trigger::PullRequest { branches, paths } => {
            (format!("pull request to {}", branches.join(", ")), paths)
        }
    };
    for (word, patterns) in [("only", &paths.paths), ("not", &paths.ignore_paths)] {
        if !patterns.is_empty() {
            text = format!("{text}; {word} {}", patterns.join(", "));
        }
    }
    text
}

/// `timed_out` as people write it.
pub(crate) fn word(name: &str) -> String {
    name.replace('_', " ")
}

pub(crate) fn run_address(registry: &str, run: &str) -> String {
    format!("/registries/{registry}/runs/{run}")
}

pub(crate) fn task_address(registry: &str, task: &str) -> String {
    format!("/registries/{registry}/tasks/{}", utf8_percent_encode(task, PART))
}

pub(crate) fn delivery_address(registry: &str, delivery: &str) -> String {
    format!("/registries/{registry}/deliveries/{delivery}")
}

fn without_registry(reference: &str) -> &str {
    reference.split_once('/').map_or(reference, |(_, name)| name)
}

fn is_commit(name: &str) -> bool {
    matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An address that may be a link: nothing but http and https.
fn openable(url: &str) -> Option<&str> {
    Some(url).filter(|url| url.starts_with("https://") || url.starts_with("http://"))
}

/// `example.com/team/app`
fn short_repository(url: &str) -> &str {
    let bare = url.split_once("://").map_or(url, |(_, rest)| rest);
    bare.strip_suffix(".git").unwrap_or(bare)
}

fn commit_address(url: &str, host: Option<GitHost>, commit: &str) -> Option<String> {
    let bare = openable(url)?.trim_end_matches('/');
    let bare = bare.strip_suffix(".git").unwrap_or(bare);
    let host = host.or_else(|| match bare {
        _ if bare.starts_with("https://github.com/") => Some(GitHost::Github),
        _ if bare.starts_with("https://gitlab.com/") => Some(GitHost::Gitlab),
        _ if bare.starts_with("https://codeberg.org/") => Some(GitHost::Gitea),
        _ => None,
    })?;
    match host {
        GitHost::Github | GitHost::Gitea | GitHost::AzureDevops => Some(format!("{bare}/commit/{commit}")),
        GitHost::Gitlab => Some(format!("{bare}/-/commit/{commit}")),
        GitHost::Standard => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_web_become_links() {
        let commit = "3f786850e387550fdab836ed7e6dc881de23001b";
        let github = commit_address("https://github.com/team/app.git", None, commit);
        assert_eq!(github, Some(format!("https://github.com/team/app/commit/{commit}")));
        let gitlab = commit_address("http://git.example:8080/team/app", Some(GitHost::Gitlab), commit);
        assert_eq!(gitlab, Some(format!("http://git.example:8080/team/app/-/commit/{commit}")));
        assert_eq!(commit_address("ssh://git@github.com/team/app", Some(GitHost::Github), commit), None);
        assert_eq!(openable("javascript:alert(1)//https://"), None);
    }

    #[test]
    fn a_trigger_is_said_with_its_filters() {
        let text = r#"{"type":"commit","branches":["main"],"tags":["v*"],"paths":["src/**"],"ignore_paths":["docs/**"]}"#;
        let spec: Trigger = serde_json::from_str(text).expect("it is right");
        assert_eq!(trigger(&spec), "push to main; tag v*; only src/**; not docs/**");
    }
}
