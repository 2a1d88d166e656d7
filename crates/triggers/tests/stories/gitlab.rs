//! GitLab tells of a push, a tag, a merge request, or something else.

use crate::world::{AFTER, BEFORE, ODD_BRANCH, sent};

#[test]
fn a_push_tells_all_that_is_asked() {
    for name in ["gitlab/push-to-branch", "gitlab/push-signed"] {
        let push = sent(name).push();
        assert_eq!((push.before.as_deref(), push.commit.as_deref()), (Some(BEFORE), Some(AFTER)));
        assert_eq!(push.reference, "refs/heads/main");
        assert_eq!(push.changed.unwrap(), ["README.md", "docs/old.md", "src/new.rs"]);
        assert_eq!((push.pusher.as_deref(), push.is_hint), (Some("jsmith"), false));
        assert_eq!(push.repository.full_name, "mike/diaspora");
        let addresses = [
            "https://gitlab.example.com/mike/diaspora.git",
            "git@gitlab.example.com:mike/diaspora.git",
            "https://gitlab.example.com/mike/diaspora",
        ];
        assert_eq!(push.repository.addresses, addresses);
    }
}

#[test]
fn changes_that_are_not_told_in_full_are_not_told() {
    for name in ["push-of-21-commits", "push-without-commits", "push-annotated-tag"] {
        assert_eq!(sent(&format!("gitlab/{name}")).push().changed, None, "{name}");
    }
}

#[test]
fn names_tags_and_deletions_are_kept() {
    assert_eq!(sent("gitlab/push-deleted-branch").push().commit, None);
    assert_eq!(sent("gitlab/push-odd-branch-name").push().reference, ODD_BRANCH);
    let tag = sent("gitlab/push-annotated-tag").push();
    assert_eq!((tag.reference.as_str(), tag.commit.as_deref()), ("refs/tags/v1.2.0", Some(AFTER)));
}

#[test]
fn a_merge_request_of_a_fork_is_told_as_one() {
    let request = sent("gitlab/merge-request-from-fork").pull_request();
    assert_eq!((request.number, request.action.as_str()), (7, "open"));
    assert_eq!((request.source_branch.as_str(), request.target_branch.as_str()), ("patch-1", "main"));
    assert_eq!((request.commit.as_str(), request.reference.as_str()), (AFTER, "refs/merge-requests/7/head"));
    assert_eq!(request.repository.full_name, "mike/diaspora");
    assert_eq!(request.author.as_deref(), Some("stranger"));
    assert!(request.is_fork && request.starts_runs);
}

#[test]
fn a_source_that_is_gone_counts_as_a_fork() {
    let request = sent("gitlab/merge-request-source-gone").pull_request();
    assert!(request.is_fork && request.starts_runs);
    let neither = sent("gitlab/merge-request-source-gone").with_body("\"target_project_id\"", "\"x\"");
    assert!(neither.pull_request().is_fork);
    // Who reopened it is not who wrote it.
    assert_eq!(request.author, None);
}

#[test]
fn an_update_starts_only_with_new_commits_or_when_it_is_ready() {
    let pushed_to = sent("gitlab/merge-request-pushed-to").pull_request();
    assert!(pushed_to.starts_runs && !pushed_to.is_fork);
    assert!(!sent("gitlab/merge-request-retitled").pull_request().starts_runs);
    assert!(sent("gitlab/merge-request-made-ready").pull_request().starts_runs);
    let merged = sent("gitlab/merge-request-from-fork").with_body("\"open\"", "\"merge\"");
    assert!(!merged.pull_request().starts_runs);
    let draft = sent("gitlab/merge-request-from-fork").with_body("\"draft\": false", "\"draft\": true");
    assert!(draft.pull_request().is_draft);
}

#[test]
fn the_rest_starts_nothing_and_says_so() {
    let system = sent("gitlab/system-hook").other();
    assert_eq!(system, "a `System Hook` event starts nothing: add a webhook to the project or its group");
    let job = sent("gitlab/push-to-branch").with_header("x-gitlab-event", "Job Hook");
    assert_eq!(job.other(), "a `Job Hook` event starts nothing");
}

#[test]
fn what_is_missing_is_named_by_its_path() {
    let delivery = sent("gitlab/merge-request-from-fork").with_body("\"last_commit\"", "\"x\"");
    assert_eq!(delivery.read().unwrap_err().path, "object_attributes.last_commit");
    let delivery = sent("gitlab/push-to-branch").with_body("\"path_with_namespace\"", "\"x\"");
    assert_eq!(delivery.read().unwrap_err().path, "project.path_with_namespace");
}
