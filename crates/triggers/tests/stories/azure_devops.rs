//! Azure DevOps hints at a push, a pull request, or something else.

use time::macros::datetime;
use triggers::Event;

use crate::world::{AFTER, BEFORE, ODD_BRANCH, sent};

#[test]
fn a_push_is_a_hint() {
    let push = sent("azure_devops/push-to-branch").push();
    assert!(push.is_hint);
    assert_eq!((push.before.as_deref(), push.commit.as_deref()), (Some(BEFORE), Some(AFTER)));
    assert_eq!((push.reference.as_str(), push.changed), ("refs/heads/main", None));
    assert_eq!(push.pushed_at, Some(datetime!(2025-12-31 23:59:50.288_400_8 UTC)));
    assert_eq!(push.pusher.as_deref(), Some("Jamal Hartnett"));
    assert_eq!(push.repository.full_name, "Fabrikam Fiber/Fabrikam-Fiber-Git");
    assert_eq!(push.repository.default_branch.as_deref(), Some("main"));
    assert_eq!(push.repository.addresses.len(), 3);
}

#[test]
fn every_ref_of_a_push_is_told() {
    let events = sent("azure_devops/push-of-branch-and-tag").read().unwrap();
    let reference = |event: &Event| match event {
        Event::Push(push) => push.reference.clone(),
        other => panic!("{other:?}"),
    };
    let references: Vec<_> = events.iter().map(reference).collect();
    assert_eq!(references, ["refs/heads/main", "refs/tags/v1.2.0"]);
}

#[test]
fn names_and_deletions_are_kept() {
    assert_eq!(sent("azure_devops/push-deleted-branch").push().commit, None);
    assert_eq!(sent("azure_devops/push-odd-branch-name").push().reference, ODD_BRANCH);
}

#[test]
fn a_pull_request_is_fetched_as_it_would_be_merged() {
    let request = sent("azure_devops/pull-request-created").pull_request();
    assert_eq!((request.reference.as_str(), request.commit.as_str()), ("refs/pull/7/merge", AFTER));
    assert_eq!((request.source_branch.as_str(), request.target_branch.as_str()), ("patch-1", "main"));
    assert_eq!(request.author.as_deref(), Some("A Stranger"));
    assert!(request.is_hint && request.starts_runs && !request.is_draft);
}

#[test]
fn every_pull_request_may_be_a_strangers_for_nobody_signed_the_word() {
    for name in ["created", "pushed-to"] {
        assert!(sent(&format!("azure_devops/pull-request-{name}")).pull_request().is_fork, "{name}");
    }
    let silent = sent("azure_devops/pull-request-pushed-to").with_body("forkSource", "x");
    assert!(silent.pull_request().is_fork, "leaving it out is no way to be trusted");
}

#[test]
fn an_update_starts_only_when_its_sentence_tells_of_commits() {
    let pushed_to = sent("azure_devops/pull-request-pushed-to").pull_request();
    assert!(pushed_to.starts_runs && pushed_to.is_fork);
    assert!(!sent("azure_devops/pull-request-voted").pull_request().starts_runs);
    assert!(!sent("azure_devops/pull-request-completed").pull_request().starts_runs);
    let silent = sent("azure_devops/pull-request-voted").with_body("\"message\"", "\"x\"");
    assert!(silent.pull_request().starts_runs);
}

#[test]
fn the_rest_starts_nothing_and_what_is_missing_is_named() {
    assert_eq!(sent("azure_devops/work-item-created").other(), "a `workitem.created` event starts nothing");
    let unreadable = sent("azure_devops/push-without-repository").read().unwrap_err();
    assert_eq!(unreadable.path, "resource.repository");
    let unreadable = sent("azure_devops/push-to-branch").with_body(AFTER, "x").read();
    assert!(unreadable.is_ok(), "the commits are not read");
    let unreadable = sent("azure_devops/push-of-branch-and-tag").with_body("refs/tags/", "-").read();
    assert_eq!(unreadable.unwrap_err().path, "resource.refUpdates[1].name");
}
