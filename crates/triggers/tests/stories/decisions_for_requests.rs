//! Which pull requests start a task, and what starts none whatever its triggers are.

use model::{SourceId, SourceSpec};
use serde_json::json;
use triggers::{Event, decide};

use crate::decisions::{no, task, yes};
use crate::world::sent;

#[test]
fn pull_requests_go_by_the_branch_they_go_to() {
    let any = json!([{"type": "pull_request"}]);
    let main = json!([{"type": "pull_request", "branches": ["ma*"]}]);
    let other = json!([{"type": "pull_request", "branches": ["release/*", "next"]}]);
    let with_paths = json!([{"type": "pull_request", "paths": ["src/**"]}]);
    let commits = json!([{"type": "commit", "branches": ["**"]}]);
    for (triggers, fixture, decision) in [
        (&any, "pull-request-from-fork", yes("pull request 7 to main")),
        (&main, "pull-request-from-fork", yes("pull request 7 to main")),
        (&other, "pull-request-from-fork", no("target branch main is not among release/*, next")),
        // Its files are not told, and what is not told counts.
        (
            &with_paths,
            "pull-request-from-fork",
            yes("pull request 7 to main, files not told: path filter not applied"),
        ),
        (&commits, "pull-request-from-fork", no("no trigger is for pull requests")),
        (&any, "pull-request-head-gone", yes("pull request 7 to main")),
        (&any, "pull-request-draft", no("a draft")),
        (&any, "pull-request-labeled", no("`labeled` brings a pull request no new commits")),
    ] {
        let decided = decide(&task(triggers.clone()), &sent(&format!("github/{fixture}")).event());
        assert_eq!(decided, decision, "{triggers} {fixture}");
    }
}

#[test]
fn what_starts_nothing_says_why() {
    let all = json!([{"type": "commit", "branches": ["**"], "tags": ["**"]}, {"type": "pull_request"}]);
    for (fixture, reason) in [
        ("github/push-deleted-branch", "a deleted branch"),
        ("github/ping", "a ping starts nothing"),
        ("github/star", "a `star` event starts nothing"),
        ("gitea/push-to-branch", "tools/demo is not the task's repository"),
        ("forgejo/pull-request-from-fork", "tools/demo is not the task's repository"),
    ] {
        assert_eq!(decide(&task(all.clone()), &sent(fixture).event()), no(reason), "{fixture}");
    }
    let Event::Push(mut tag) = sent("github/push-annotated-tag").event() else { panic!() };
    assert_eq!(decide(&task(all.clone()), &Event::Push(tag.clone())), yes("tag v1.2.0 (**)"));
    tag.commit = None;
    assert_eq!(decide(&task(all.clone()), &Event::Push(tag)), no("a deleted tag"));
}

#[test]
fn a_task_that_is_disabled_or_uploads_is_not_started() {
    let push = sent("github/push-to-branch").event();
    let mut task = task(json!([{"type": "commit"}]));
    assert_eq!(decide(&task, &push), yes("branch main"));
    task.enabled = false;
    assert_eq!(decide(&task, &push), no("the task is disabled"));
    task.enabled = true;
    let id: SourceId = "0198c5a0-0000-7000-8000-000000000000".parse().unwrap();
    task.build.source = SourceSpec::Upload { id };
    assert_eq!(decide(&task, &push), no("the task's source is an upload"));
}
