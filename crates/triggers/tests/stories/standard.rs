//! A sender of one's own tells of a push, in a payload that is checked field by field.

use crate::world::{AFTER, BEFORE, ODD_BRANCH, sent};

#[test]
fn a_push_tells_all_that_is_asked() {
    let push = sent("standard/push-to-branch").push();
    assert_eq!(push.reference, "refs/heads/main");
    assert_eq!((push.before.as_deref(), push.commit.as_deref()), (Some(BEFORE), Some(AFTER)));
    assert_eq!(push.changed.unwrap(), ["src/new.rs", "README.md"]);
    assert_eq!(push.repository.addresses, ["https://git.example/tools/demo.git"]);
    assert_eq!((push.repository.full_name.as_str(), push.is_hint), ("tools/demo", false));
}

#[test]
fn the_least_is_enough() {
    let push = sent("standard/push-least").push();
    assert_eq!((push.before, push.changed), (None, None));
    assert_eq!(sent("standard/push-deleted-branch").push().commit, None);
    assert_eq!(sent("standard/push-odd-branch-name").push().reference, ODD_BRANCH);
    assert_eq!(sent("standard/push-tag").push().reference, "refs/tags/v1.2.0");
}

#[test]
fn a_wrong_field_is_named_in_a_sentence() {
    let unknown = sent("standard/unknown-field").read().unwrap_err();
    assert_eq!(unknown.path, "branch");
    assert_eq!(unknown.message, "The delivery's `branch` is no field of this payload.");
    assert_eq!(unknown.hint, "The fields are repository, ref, commit, before, changed.");
    for (text, by, path, wrong) in [
        ("refs/heads/main", "main", "ref", "begins with neither `refs/heads/` nor `refs/tags/`"),
        ("\"refs/heads/main\"", "null", "ref", "is missing"),
        (AFTER, "bffeb74", "commit", "is not a commit id of 40 or 64 hexadecimal digits"),
        (BEFORE, "", "before", "is empty"),
        ("\"src/new.rs\"", "7", "changed[0]", "is not text"),
        ("\"src/new.rs\"", "\"a\\u0000b\"", "changed[0]", "holds the character NUL"),
        ("https://git", "ftp://git", "repository", "is not an http or https address without user"),
        ("https://git", "https://u:p@git", "repository", "is not an http or https address without user"),
    ] {
        let unreadable = sent("standard/push-to-branch").with_body(text, by).read().unwrap_err();
        assert_eq!(unreadable.path, path);
        assert_eq!(unreadable.message, format!("The delivery's `{path}` {wrong}."));
    }
}

#[test]
fn what_is_no_object_is_refused() {
    for body in ["[]", "7", "null", "\"x\""] {
        let mut delivery = sent("standard/push-least");
        delivery.body = body.as_bytes().to_vec();
        assert_eq!(delivery.read().unwrap_err().path, "repository", "{body}");
    }
}
