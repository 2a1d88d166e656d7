//! GitHub tells of a push, a pull request, or something else.

use time::OffsetDateTime;

use crate::world::{AFTER, BEFORE, ODD_BRANCH, Sent, sent};
use triggers::Event;

#[test]
fn a_push_tells_all_that_is_asked() {
    let push = sent("github/push-to-branch").push();
    let (reference, before, commit) = ("refs/heads/main", Some(BEFORE), Some(AFTER));
    assert_eq!(
        (push.reference.as_str(), push.before.as_deref(), push.commit.as_deref()),
        (reference, before, commit)
    );
    assert_eq!(push.changed.unwrap(), ["README.md", "docs/old.md", "src/new.rs"]);
    assert_eq!(push.pushed_at, OffsetDateTime::from_unix_timestamp(1_767_225_590).ok());
    assert_eq!(push.pusher.as_deref(), Some("mona"));
    assert!(!push.is_hint);
    assert_eq!(push.repository.full_name, "octo-org/demo");
    assert_eq!(push.repository.default_branch.as_deref(), Some("main"));
    assert_eq!(push.repository.web_url.as_deref(), Some("https://github.com/octo-org/demo"));
    let addresses = [
        "https://github.com/octo-org/demo.git",
        "git@github.com:octo-org/demo.git",
        "git://github.com/octo-org/demo.git",
        "https://github.com/octo-org/demo",
    ];
    assert_eq!(push.repository.addresses, addresses);
}

#[test]
fn changes_that_are_not_told_in_full_are_not_told() {
    let base = || sent("github/push-to-branch");
    let sizes = |size: u32, distinct: u32| {
        base().with_body(
            "\"deleted\"",
            &format!("\"size\": {size}, \"distinct_size\": {distinct}, \"deleted\""),
        )
    };
    assert!(sizes(2, 2).push().changed.is_some());
    let short: [Sent; 7] = [
        sent("github/push-forced"),
        sent("github/push-of-21-commits"),
        sent("github/push-without-commits"),
        sent("github/push-new-branch"),
        sizes(2, 1),
        sizes(3, 3),
        base()
            .with_body("\"added\"", "\"a\"")
            .with_body("\"removed\"", "\"r\"")
            .with_body("\"modified\"", "\"m\""),
    ];
    for (i, delivery) in short.iter().enumerate() {
        assert_eq!(delivery.push().changed, None, "case {i}");
    }
}

#[test]
fn a_deleted_branch_has_no_commit_and_a_new_one_none_before() {
    assert_eq!(sent("github/push-deleted-branch").push().commit, None);
    let new = sent("github/push-new-branch").push();
    assert_eq!((new.before, new.commit.as_deref()), (None, Some(AFTER)));
    let zeros = "0".repeat(64);
    let sha256 = sent("github/push-to-branch").with_body(AFTER, &zeros).push();
    assert_eq!(sha256.commit, None);
}

#[test]
fn a_name_is_kept_byte_for_byte_also_in_a_form() {
    assert_eq!(sent("github/push-odd-branch-name").push().reference, ODD_BRANCH);
    let form = sent("github/push-form-encoded");
    assert_eq!(form.push().reference, ODD_BRANCH);
    let upper = form.with_header("content-type", "Application/X-WWW-Form-Urlencoded; charset=utf-8");
    assert_eq!(upper.push().reference, ODD_BRANCH);
}

#[test]
fn an_annotated_tag_is_its_commit() {
    let push = sent("github/push-annotated-tag").push();
    assert_eq!((push.reference.as_str(), push.commit.as_deref()), ("refs/tags/v1.2.0", Some(AFTER)));
    let tag = "c8f0ad2f0c2b0d7e1b1e6a5d1a7f0e9d3b4c5a69";
    let deleted = sent("github/push-annotated-tag").with_body(tag, &"0".repeat(40)).push();
    assert_eq!(deleted.commit, None);
}

#[test]
fn a_ref_that_could_be_an_option_is_refused() {
    let unreadable = sent("github/push-branch-like-an-option").read().unwrap_err();
    assert_eq!(unreadable.path, "ref");
    assert_eq!(unreadable.message, "The delivery's `ref` is not a ref that git knows.");
    for bad in ["-x", "refs/heads/a..b", "refs/heads/", "refs/heads/a b", "refs/heads/a\\nb", ""] {
        let delivery = sent("github/push-to-branch").with_body("refs/heads/main", bad);
        assert_eq!(delivery.read().unwrap_err().path, "ref", "{bad}");
    }
}

#[test]
fn a_pull_request_of_a_fork_is_told_as_one() {
    let request = sent("github/pull-request-from-fork").pull_request();
    assert_eq!((request.number, request.action.as_str()), (7, "opened"));
    assert_eq!((request.source_branch.as_str(), request.target_branch.as_str()), ("patch-1", "main"));
    assert_eq!((request.commit.as_str(), request.reference.as_str()), (AFTER, "refs/pull/7/head"));
    assert_eq!(request.repository.full_name, "octo-org/demo");
    assert_eq!(request.author.as_deref(), Some("stranger"));
    assert!(request.is_fork && request.starts_runs && !request.is_draft && !request.is_hint);
}

#[test]
fn a_head_that_is_gone_counts_as_a_fork_and_the_own_repository_does_not() {
    let gone = sent("github/pull-request-head-gone").pull_request();
    assert!(gone.is_fork && gone.starts_runs);
    let neither = sent("github/pull-request-head-gone").with_body("\"id\": 186853002", "\"x\": 1");
    assert!(neither.pull_request().is_fork);
    let own = sent("github/pull-request-draft").pull_request();
    assert!(!own.is_fork && own.is_draft && own.starts_runs);
    assert!(!sent("github/pull-request-labeled").pull_request().starts_runs);
}

#[test]
fn the_rest_starts_nothing_and_says_so() {
    assert_eq!(sent("github/ping").event(), Event::Ping);
    assert_eq!(sent("github/star").other(), "a `star` event starts nothing");
    let notes = "a push to `refs/notes/commits`, which is no branch and no tag, starts nothing";
    assert_eq!(sent("github/push-notes").other(), notes);
}

#[test]
fn what_is_missing_is_named_by_its_path() {
    for (name, text, by, path, wrong) in [
        ("push-to-branch", "\"after\"", "\"then\"", "after", "is missing"),
        ("push-to-branch", "\"full_name\"", "\"x\"", "repository.full_name", "is missing"),
        ("push-to-branch", AFTER, "main", "after", "is not a commit id of 40 or 64 hexadecimal digits"),
        (
            "pull-request-from-fork",
            AFTER,
            &"0".repeat(40),
            "pull_request.head.sha",
            "names no commit: it is all zeros",
        ),
        ("pull-request-from-fork", "\"base\"", "\"x\"", "pull_request.base", "is missing"),
        ("pull-request-from-fork", "\"opened\"", "4", "action", "is not text"),
    ] {
        let unreadable = sent(&format!("github/{name}")).with_body(text, by).read().unwrap_err();
        assert_eq!(unreadable.path, path);
        assert_eq!(unreadable.message, format!("The delivery's `{path}` {wrong}."));
    }
    let no_json = sent("github/push-to-branch").with_body("{", "").read().unwrap_err();
    assert!(no_json.message.starts_with("The delivery's body is not JSON: "), "{no_json}");
    assert_eq!(no_json.failure().kind, "hook_unreadable");
    let deep = "[".repeat(100_000);
    assert!(sent("github/push-to-branch").with_body("{", &deep).read().is_err());
}
