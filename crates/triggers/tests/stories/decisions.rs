//! Which pushes start a task, and the exact words of the reason.

use model::{BuildSpec, SourceSpec, TaskSpec};
use serde_json::{Value, json};
use triggers::{Decision, Event, Push, decide};

use crate::world::sent;

/// A task of the repository of `github/`, with `triggers` as a person writes them.
pub(crate) fn task(triggers: Value) -> TaskSpec {
    let url = "https://github.com/octo-org/demo.git".to_owned();
    let build = BuildSpec::new(SourceSpec::Git { url, reference: None, subdirectory: None });
    let triggers = serde_json::from_value(triggers).unwrap();
    TaskSpec { build, enabled: true, triggers, notify: Vec::new() }
}

/// A push of `reference` that changed `files`.
fn push(reference: &str, files: Option<&[&str]>) -> Event {
    let push = sent("github/push-to-branch").push();
    let changed = files.map(|files| files.iter().map(|&file| file.to_owned()).collect());
    Event::Push(Push { reference: reference.to_owned(), changed, ..push })
}

pub(crate) fn yes(reason: &str) -> Decision {
    Decision { starts: true, reason: reason.to_owned() }
}

pub(crate) fn no(reason: &str) -> Decision {
    Decision { starts: false, reason: reason.to_owned() }
}

#[test]
fn branches_and_tags() {
    let both = json!([{"type": "commit", "branches": ["main", "release/*"], "tags": ["v*"]}]);
    let only_tags = json!([{"type": "commit", "tags": ["v*"]}]);
    let only_branches = json!([{"type": "commit", "branches": ["**"]}]);
    let requests = json!([{"type": "pull_request"}]);
    for (triggers, reference, decision) in [
        (&both, "refs/heads/main", yes("branch main")),
        (&both, "refs/heads/release/1.2", yes("branch release/1.2 (release/*)")),
        (&both, "refs/heads/dev", no("branch dev is not among main, release/*")),
        (&both, "refs/heads/v1", no("branch v1 is not among main, release/*")),
        (&both, "refs/tags/v1", yes("tag v1 (v*)")),
        (&both, "refs/tags/main", no("tag main is not among v*")),
        (&only_tags, "refs/heads/main", no("no trigger is for branches")),
        (&only_branches, "refs/tags/v1", no("no trigger is for tags")),
        (&only_branches, "refs/heads/feature/größe-日本", yes("branch feature/größe-日本 (**)")),
        (&requests, "refs/heads/main", no("no trigger is for pushes")),
        (&json!([]), "refs/heads/main", no("the task has no triggers")),
    ] {
        assert_eq!(
            decide(&task(triggers.clone()), &push(reference, None)),
            decision,
            "{triggers} {reference}"
        );
    }
}

#[test]
fn without_names_it_is_the_branch_of_the_source_or_the_default_one() {
    let commit = "0123456789012345678901234567890123456789";
    for (source, reference, decision) in [
        (None, "refs/heads/main", yes("branch main")),
        (None, "refs/heads/dev", no("branch dev is not the default branch, main")),
        (None, "refs/tags/main", no("no trigger is for tags")),
        (Some("dev"), "refs/heads/dev", yes("branch dev")),
        (Some("refs/heads/dev"), "refs/heads/dev", yes("branch dev")),
        (Some("dev"), "refs/heads/main", no("branch main is not the task's, dev")),
        // A name is no pattern here.
        (Some("d?v"), "refs/heads/dev", no("branch dev is not the task's, d?v")),
        (Some("refs/tags/v1"), "refs/heads/v1", no("the task's source names no branch but refs/tags/v1")),
        (
            Some(commit),
            "refs/heads/main",
            no("the task's source names no branch but 0123456789012345678901234567890123456789"),
        ),
    ] {
        let mut task = task(json!([{"type": "commit"}]));
        if let SourceSpec::Git { reference, .. } = &mut task.build.source {
            *reference = source.map(str::to_owned);
        }
        assert_eq!(decide(&task, &push(reference, None)), decision, "{source:?} {reference}");
    }
    let Event::Push(mut untold) = push("refs/heads/main", None) else { panic!() };
    untold.repository.default_branch = None;
    let reason = "the delivery does not tell the default branch, and the trigger names none";
    assert_eq!(decide(&task(json!([{"type": "commit"}])), &Event::Push(untold)), no(reason));
}

#[test]
fn changed_files() {
    let paths = json!({"type": "commit", "paths": ["src/**", "Dockerfile"]});
    let ignore = json!({"type": "commit", "ignore_paths": ["docs/**", "**/*.md"]});
    let both = json!({"type": "commit", "paths": ["src/**"], "ignore_paths": ["**/*.md"]});
    let many = ["a", "b", "c", "d", "e"];
    for (trigger, files, decision) in [
        (&paths, Some(&["docs/a.md", "src/x/y.rs"][..]), yes("branch main, path src/x/y.rs")),
        (&paths, Some(&["docs/a.md"]), no("no path matched: docs/a.md")),
        (&paths, Some(&many), no("no path matched: a, b, c and 2 more")),
        (&paths, Some(&[]), no("no file changed")),
        (&paths, None, yes("branch main, files not told: path filter not applied")),
        (&ignore, Some(&["docs/a.rs", "x/README.md"]), no("no path matched: docs/a.rs, x/README.md")),
        (&ignore, Some(&["docs/a.rs", "x/a.rs"]), yes("branch main, path x/a.rs")),
        (&ignore, None, yes("branch main, files not told: path filter not applied")),
        (&json!({"type": "commit"}), None, yes("branch main")),
        (&both, Some(&["src/a.md", "lib/a.rs"]), no("no path matched: src/a.md, lib/a.rs")),
        (&both, Some(&["src/a.md", "src/a.rs"]), yes("branch main, path src/a.rs")),
        (&json!({"type": "commit"}), Some(&[]), yes("branch main")),
    ] {
        let decided = decide(&task(json!([trigger])), &push("refs/heads/main", files));
        assert_eq!(decided, decision, "{trigger} {files:?}");
    }
}

#[test]
fn the_first_that_matches_wins_and_the_nearest_miss_is_told() {
    let triggers = json!([
        {"type": "pull_request"},
        {"type": "commit", "branches": ["dev"]},
        {"type": "commit", "branches": ["main"], "paths": ["src/**"]},
        {"type": "commit", "branches": ["other"]},
        {"type": "commit", "branches": ["ma*"], "paths": ["lib/**"]},
    ]);
    let decided = |files: &[&str]| decide(&task(triggers.clone()), &push("refs/heads/main", Some(files)));
    assert_eq!(decided(&["lib/a", "src/b"]), yes("branch main, path src/b"));
    assert_eq!(decided(&["lib/a"]), yes("branch main (ma*), path lib/a"));
    assert_eq!(decided(&["a"]), no("no path matched: a"));
    let elsewhere = decide(&task(triggers.clone()), &push("refs/heads/x", None));
    assert_eq!(elsewhere, no("branch x is not among dev"));
}
