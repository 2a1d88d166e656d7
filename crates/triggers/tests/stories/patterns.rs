//! Patterns: what fits, what is none, and that none takes long.

use std::time::{Duration, Instant};

use model::{PathFilter, Trigger};
use triggers::{Pattern, validate};

fn fits(pattern: &str, name: &str) -> bool {
    Pattern::parse(pattern).unwrap().fits(name)
}

#[test]
fn a_pattern_fits_the_whole_name() {
    for (pattern, yes, no) in [
        ("main", &["main"][..], &["", "Main", "main2", "xmain", "main/x"][..]),
        ("release/*", &["release/1", "release/"], &["release", "release/1/2", "xrelease/1"]),
        ("*", &["main", ""], &["a/b"]),
        ("**", &["main", "a/b", ""], &[]),
        ("***", &["a/b"], &[]),
        ("v?.*", &["v1.0", "v1."], &["v10.0", "v/.0"]),
        ("src/**", &["src/a", "src/a/b.rs", "src/"], &["src", "asrc/a"]),
        ("**/*.md", &["a.md", "x/a.md", "x/y/a.md"], &["a.mdx", "a.rs"]),
        ("src/**/test", &["src/test", "src/a/test", "src/a/b/test"], &["src/atest", "srctest", "src/test/a"]),
        ("**/a/**/b", &["a/b", "x/a/b", "x/a/y/z/b"], &["xa/b", "a/xb", "b"]),
        ("**/**/a", &["a", "x/a", "x/y/a"], &["xa"]),
        ("a**/b", &["a/b", "ax/y/b"], &["ab", "axb"]),
        ("a**b", &["ab", "a/x/b"], &["a/x/c"]),
        ("*a*b*", &["ab", "xaybz"], &["ba", "a/b"]),
        ("[a-c]x", &["ax", "cx"], &["dx", "x", "/x"]),
        ("[!a-c]x", &["dx", "ßx"], &["ax", "/x"]),
        ("[^a]", &["b"], &["a", "/"]),
        ("[]]", &["]"], &["["]),
        ("[!]]", &["a"], &["]"]),
        ("[*]", &["*"], &["a"]),
        ("[a-]", &["a", "-"], &["b"]),
        ("größe/日?", &["größe/日本"], &["größe/日"]),
        ("it's \"q\".+(|)$^\\d", &["it's \"q\".+(|)$^\\d"], &["it's \"q\"x+(|)$^1"]),
    ] {
        for name in yes {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for name in no {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}

#[test]
fn what_is_no_pattern_is_refused() {
    for (text, begin) in [
        ("", "A pattern has 1 to 500 characters."),
        ("!main", "The pattern `!main` begins with `!`"),
        ("a[", "The pattern `a[` has a `[` without"),
        ("[]", "The pattern `[]` has a `[` without"),
        ("[!]", "The pattern `[!]` has a `[` without"),
        ("[z-a]", "The pattern `[z-a]` has a `[` without"),
        (&"x".repeat(501), "A pattern has 1 to 500 characters."),
    ] {
        let wrong = Pattern::parse(text).unwrap_err();
        assert!(wrong.message.starts_with(begin), "{wrong}");
    }
}

#[test]
fn the_place_of_a_wrong_pattern_is_named() {
    let paths = PathFilter { paths: vec!["**".into()], ignore_paths: vec!["docs/**".into(), "!x".into()] };
    let right =
        Trigger::Commit { branches: vec!["main".into()], tags: vec!["v*".into()], paths: Default::default() };
    assert_eq!(validate(std::slice::from_ref(&right)), Ok(()));
    let wrong = Trigger::Commit { branches: vec![], tags: vec![], paths };
    assert_eq!(validate(&[right, wrong]).unwrap_err().field, "triggers[1].ignore_paths[1]");
}

/// Whoever writes it would wait for ever, and never know why.
#[test]
fn a_pattern_that_can_fit_nothing_is_refused_with_what_to_write() {
    for (field, text, hint) in [
        ("branches", "refs/heads/main", "Write `main`."),
        ("branches", "refs/tags/v1", "Write `v1`."),
        ("tags", "refs/tags/v*", "Write `v*`."),
        ("paths", "/src/**", "Write `src/**`."),
        ("paths", "./src/**", "Write `src/**`."),
        ("paths", "../src/**", "Write `src/**`."),
        ("paths", "src//a", "Write `src/a`."),
        ("ignore_paths", "docs/", "Write `docs/**` for all in a folder."),
        ("paths", "/", "Write `**` for anything."),
    ] {
        let trigger = serde_json::json!({ "type": "commit", field: ["ok", text] });
        let refused = validate(&[serde_json::from_value(trigger).unwrap()]).unwrap_err();
        assert_eq!(
            (&*refused.field, &*refused.hint),
            (&*format!("triggers[0].{field}[1]"), hint),
            "{refused}"
        );
        assert!(refused.message.starts_with(&format!("The pattern `{text}` fits nothing: ")), "{refused}");
    }
    let fine = r#"{"type":"commit","branches":["**/refs/heads/x","a.b"],"paths":["**/.git*","a..b/*",".github/**"]}"#;
    assert_eq!(validate(&[serde_json::from_str(fine).unwrap()]), Ok(()));
}

#[test]
fn more_than_a_person_writes_is_refused() {
    let trigger = |count: usize| serde_json::json!({ "type": "commit", "tags": vec!["v*"; count] });
    let read = |trigger| serde_json::from_value::<Trigger>(trigger).unwrap();
    assert_eq!(validate(&vec![read(trigger(100)); 50]), Ok(()));
    assert_eq!(validate(&vec![read(trigger(1)); 51]).unwrap_err().field, "triggers");
    assert_eq!(validate(&[read(trigger(101))]).unwrap_err().field, "triggers[0].tags");
}

/// Such a filter would be one that is never asked.
#[test]
fn a_pull_request_is_not_narrowed_by_paths() {
    let branches = vec!["main".to_owned()];
    let some = || vec!["src/**".to_owned()];
    for (paths, field) in [
        (PathFilter { paths: some(), ignore_paths: vec![] }, "triggers[0].paths"),
        (PathFilter { paths: vec![], ignore_paths: some() }, "triggers[0].ignore_paths"),
    ] {
        let refused = validate(&[Trigger::PullRequest { branches: branches.clone(), paths }]).unwrap_err();
        assert_eq!(refused.field, field, "{refused}");
        assert!(refused.hint.contains("commit"), "{}", refused.hint);
    }
    let paths = PathFilter::default();
    assert_eq!(validate(&[Trigger::PullRequest { branches, paths }]), Ok(()));
}

#[test]
fn a_malicious_pattern_ends_fast() {
    let began = Instant::now();
    let name = "a".repeat(20_000);
    for part in ["*a", "**a", "**/*", "?*", "[a-z]**"] {
        let pattern = part.repeat(500 / part.len());
        assert!(!fits(&pattern, &format!("{name}b")) || pattern.ends_with('*'), "{part}");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
