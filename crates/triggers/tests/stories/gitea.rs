//! Gitea and Forgejo tell of a push, a pull request, or something else.

use crate::world::{AFTER, BEFORE, ODD_BRANCH, sent};

#[test]
fn a_push_tells_all_that_is_asked() {
    for name in ["gitea/push-to-branch", "forgejo/push-to-branch"] {
        let push = sent(name).push();
        assert_eq!((push.before.as_deref(), push.commit.as_deref()), (Some(BEFORE), Some(AFTER)));
        assert_eq!(push.reference, "refs/heads/main");
        // A list that is null is an empty one.
        assert_eq!(push.changed.unwrap(), ["README.md", "docs/old.md", "src/new.rs"]);
        assert_eq!((push.pusher.as_deref(), push.pushed_at, push.is_hint), (Some("mona"), None, false));
        assert_eq!(push.repository.addresses[1], "ssh://git@git.example:2222/tools/demo.git");
        assert_eq!(push.repository.default_branch.as_deref(), Some("main"));
    }
}

#[test]
fn changes_that_are_not_told_in_full_are_not_told() {
    for name in ["push-of-21-commits", "push-without-commits", "push-tag"] {
        assert_eq!(sent(&format!("gitea/{name}")).push().changed, None, "{name}");
    }
}

#[test]
fn names_tags_and_deletions_are_kept() {
    assert_eq!(sent("gitea/push-deleted-branch").push().commit, None);
    assert_eq!(sent("gitea/push-odd-branch-name").push().reference, ODD_BRANCH);
    assert_eq!(sent("gitea/push-form-encoded").push().reference, ODD_BRANCH);
    let tag = sent("gitea/push-tag").push();
    assert_eq!((tag.reference.as_str(), tag.commit.as_deref()), ("refs/tags/v1.2.0", Some(AFTER)));
}

#[test]
fn a_pull_request_starts_by_the_words_of_gitea() {
    let pushed_to = sent("gitea/pull-request-synchronized").pull_request();
    assert!(pushed_to.starts_runs && !pushed_to.is_fork);
    assert_eq!((pushed_to.reference.as_str(), pushed_to.commit.as_str()), ("refs/pull/7/head", AFTER));
    assert!(!sent("gitea/pull-request-label").pull_request().starts_runs);
    // A draft is one by its title.
    let ready = sent("gitea/pull-request-made-ready");
    assert!(ready.pull_request().starts_runs);
    assert!(!ready.with_body("WIP: Add a file", "Add a fil").pull_request().starts_runs);
}

#[test]
fn a_fork_is_told_as_one_also_when_it_is_gone() {
    let fork = sent("forgejo/pull-request-from-fork").pull_request();
    assert!(fork.is_fork && fork.starts_runs);
    assert_eq!(
        (fork.author.as_deref(), fork.repository.full_name.as_str()),
        (Some("stranger"), "tools/demo")
    );
    let gone = sent("forgejo/pull-request-head-gone").pull_request();
    assert!(gone.is_fork && gone.starts_runs);
}

#[test]
fn what_was_pushed_for_review_without_a_right_to_push_is_a_strangers() {
    let of_review = |from: &str, to: &str| {
        let told = sent("gitea/pull-request-synchronized").with_body(from, to).pull_request();
        (told.is_fork, told.starts_runs)
    };
    assert_eq!(of_review("\"label\": \"patch-1\"", "\"label\": \"\""), (true, true));
    assert_eq!(of_review("\"ref\": \"patch-1\"", "\"ref\": \"refs/pull/7/head\""), (true, true));
}

#[test]
fn the_rest_starts_nothing_and_says_so() {
    assert_eq!(sent("gitea/create-branch").other(), "a `create` event starts nothing");
}

#[test]
fn forgejos_word_counts_before_giteas() {
    let delivery = sent("forgejo/push-to-branch").with_header("x-gitea-event", "issues");
    assert_eq!(delivery.verify(&[crate::world::SECRET]).unwrap().event, "push");
}
