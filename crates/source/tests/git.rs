//! Stories of fetching: real repositories, git's own http-backend with its default settings.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use model::{Failure, SourceTree};
use source::fetch_git;
use tempfile::TempDir;
use test_support::{GitServer, TestRepository};

use support::TestOutside;

#[expect(dead_code, reason = "each test file uses a part of it")]
mod support;

/// Mode, object, name.
type TreeEntry<'a> = (&'a str, &'a str, &'a str);

struct Fetched {
    tree: SourceTree,
    outside: TestOutside,
    folder: TempDir,
}

impl Fetched {
    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.tree.root.join(path)).unwrap()
    }

    fn commit(&self) -> String {
        self.tree.revision.clone().unwrap().commit
    }
}

fn fetch_with(outside: TestOutside, reference: Option<&str>, sub: Option<&str>) -> Result<Fetched, Failure> {
    let folder = tempfile::tempdir().unwrap();
    let tree = fetch_git(&outside, reference, sub, &folder.path().join("context"))?;
    Ok(Fetched { tree, outside, folder })
}

fn fetch(server: &GitServer, reference: Option<&str>) -> Result<Fetched, Failure> {
    fetch_with(TestOutside::git(&server.url()), reference, None)
}

fn failure(result: Result<Fetched, Failure>) -> Failure {
    result.err().expect("a failure")
}

#[test]
fn every_form_of_a_ref_leads_to_its_commit() {
    let repository = TestRepository::new();
    let first = repository.commit(&[("word", "first")]);
    repository.tag("light", &first);
    let second = repository.commit(&[("word", "second")]);
    repository.annotated_tag("v1.0", &second);
    let third = repository.commit(&[("word", "third")]);
    let side = repository.commit_to("feature/x", &[("word", "side")]);
    repository.set_ref("refs/pull/7/head", &repository.commit_to("temporary", &[("word", "pull")]));
    repository.git(&["update-ref", "-d", "refs/heads/temporary"], b"");
    let server = GitServer::start(&repository);
    for (reference, word) in [
        (None, "third"),
        (Some("HEAD"), "third"),
        (Some("main"), "third"),
        (Some("refs/heads/main"), "third"),
        (Some("feature/x"), "side"),
        (Some("light"), "first"),
        (Some("v1.0"), "second"),
        (Some("refs/tags/v1.0"), "second"),
        (Some("refs/pull/7/head"), "pull"),
        (Some("pull/7/head"), "pull"),
        (Some(&third), "third"),
        (Some(&second), "second"),
        (Some(&side.to_uppercase()), "side"),
    ] {
        let fetched = fetch(&server, reference).unwrap_or_else(|error| panic!("{reference:?}: {error}"));
        assert_eq!(fetched.text("word"), word, "{reference:?}");
        assert!(!fetched.folder.path().join("context/git").exists());
    }
    assert_eq!(fetch(&server, Some("v1.0")).unwrap().commit(), second);
    assert!(server.requests().iter().all(|request| !request.target.contains("receive-pack")));
}

#[test]
fn a_commit_two_pushes_behind_its_branch_comes_alone() {
    let repository = TestRepository::new();
    repository.commit_history(30);
    let wanted = repository.commit(&[("word", "wanted")]);
    repository.commit(&[("word", "newer")]);
    repository.commit(&[("word", "newest")]);
    let server = GitServer::start(&repository);
    let fetched = fetch(&server, Some(&wanted)).unwrap();
    assert_eq!((fetched.text("word").as_str(), fetched.commit()), ("wanted", wanted));
    // Commit, tree, and the files `word` and `counter`.
    assert_eq!(*fetched.outside.packs.lock().unwrap(), [4]);
}

#[test]
fn a_server_that_refuses_commit_ids_is_asked_for_deeper_branches() {
    let repository = TestRepository::new();
    let oldest = repository.commit(&[("word", "oldest")]);
    repository.commit_history(600);
    let deep = repository.commit(&[("word", "deep")]);
    repository.commit_history(100);
    let wanted = repository.commit(&[("word", "wanted")]);
    repository.commit(&[("word", "newer")]);
    repository.commit(&[("word", "newest")]);
    let server = GitServer::start(&repository);
    for (commit, word, packs) in [(wanted, "wanted", 1), (deep, "deep", 2), (oldest, "oldest", 3)] {
        let outside = TestOutside { strict: true, ..TestOutside::git(&server.url()) };
        let fetched = fetch_with(outside, Some(&commit), None).unwrap();
        assert_eq!((fetched.text("word").as_str(), fetched.commit()), (word, commit));
        assert_eq!(fetched.outside.packs.lock().unwrap().len(), packs, "{word}");
    }
}

#[test]
fn a_commit_that_is_not_there_is_answered_with_what_the_branch_points_to() {
    let repository = TestRepository::new();
    let tip = repository.commit(&[("word", "here")]);
    let server = GitServer::start(&repository);
    for strict in [false, true] {
        let outside = TestOutside { strict, ..TestOutside::git(&server.url()) };
        let failure = failure(fetch_with(outside, Some(&"0123456789".repeat(4)), None));
        assert_eq!((failure.kind.as_str(), failure.blame), ("commit_not_found", model::Blame::User));
        assert!(failure.message.contains(&format!("`main` points to {tip}")), "{failure}");
    }
}

#[test]
fn a_host_that_serves_every_commit_has_the_last_word() {
    let repository = TestRepository::new();
    repository.git(&["config", "uploadpack.allowReachableSHA1InWant", "true"], b"");
    let first = repository.commit(&[("word", "first")]);
    repository.commit(&[("word", "second")]);
    let server = GitServer::start(&repository);
    assert_eq!(fetch(&server, Some(&first)).unwrap().text("word"), "first");
    let before = server.requests().len();
    assert_eq!(failure(fetch(&server, Some(&"9".repeat(40)))).kind, "commit_not_found");
    assert_eq!(server.requests().len(), before + 2, "refs once, one refused pack");
}

#[test]
fn an_unknown_ref_is_answered_with_names_that_are_near() {
    let repository = TestRepository::new();
    let server = GitServer::start(&repository);
    assert_eq!(failure(fetch(&server, Some("main"))).kind, "repository_empty");
    assert_eq!(failure(fetch(&server, None)).kind, "repository_empty");
    repository.commit_to("develop", &[("word", "x")]);
    let unborn = failure(fetch(&server, None));
    assert_eq!(unborn.kind, "ref_not_found");
    assert!(unborn.hint.contains("`develop`"), "{unborn}");
    let misspelt = failure(fetch(&server, Some("devlop")));
    assert_eq!(
        (misspelt.kind.as_str(), misspelt.hint.as_str()),
        ("ref_not_found", "Did you mean `develop`?")
    );
    let tree = repository.resolve("develop^{tree}");
    repository.tag("tree", &tree);
    assert_eq!(failure(fetch(&server, Some("tree"))).kind, "ref_not_found");
}

#[test]
fn a_long_history_is_not_fetched_for_its_last_commit() {
    let repository = TestRepository::new();
    repository.commit_history(2_000);
    let server = GitServer::start(&repository);
    let fetched = fetch(&server, Some("main")).unwrap();
    assert_eq!(fetched.text("counter"), "1999");
    assert_eq!(*fetched.outside.packs.lock().unwrap(), [3]);
}

#[test]
fn modes_links_times_and_bytes_are_the_commits() {
    let repository = TestRepository::new();
    let crlf: &[u8] = b"a\r\nb\r\n$Id$\n";
    repository.commit_entries(
        "main",
        &[
            (0o100_755, "bin/run.sh", b"#!/bin/sh\n"),
            (0o100_644, "folder/plain", crlf),
            (0o100_644, ".gitattributes", b"* text=auto eol=lf ident filter=evil\n"),
            (0o120_000, "inside", b"folder/plain"),
            (0o120_000, "outside", b"/etc/hostname"),
        ],
    );
    let server = GitServer::start(&repository);
    let fetched = fetch(&server, None).unwrap();
    let root = &fetched.tree.root;
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("bin/run.sh"), mode("folder/plain"), mode("folder")), (0o755, 0o644, 0o755));
    assert_eq!(fs::read(root.join("inside")).unwrap(), crlf);
    assert_eq!(fs::read_link(root.join("outside")).unwrap(), Path::new("/etc/hostname"));
    let time = fetched.tree.revision.as_ref().unwrap().committed_at;
    for path in ["", "bin", "bin/run.sh", "folder/plain", "inside", "outside"] {
        assert_eq!(fs::symlink_metadata(root.join(path)).unwrap().mtime(), time, "{path}");
    }
}

#[test]
fn a_submodule_is_an_empty_folder_and_a_line_in_the_log() {
    let repository = TestRepository::new();
    let commit = repository.commit(&[("word", "x")]);
    let blob = repository.make_blob(b"word");
    let tree = repository.make_tree(&[("160000", &commit, "library"), ("100644", &blob, "word")]);
    repository.commit_tree("with-submodule", &tree);
    let fetched = fetch(&GitServer::start(&repository), Some("with-submodule")).unwrap();
    assert_eq!(fs::read_dir(fetched.tree.root.join("library")).unwrap().count(), 0);
    assert_eq!(*fetched.outside.log.lock().unwrap(), "The submodule `library` is left out.\n");
}

#[test]
fn trees_that_would_climb_or_bring_a_repository_are_refused() {
    let repository = TestRepository::new();
    repository.commit(&[("word", "x")]);
    let blob = repository.make_blob(b"#!/bin/sh\n");
    let link = repository.make_blob(b"/tmp");
    let inner = repository.make_tree(&[("100644", &blob, "file")]);
    let cases: Vec<(&str, Vec<TreeEntry<'_>>)> = vec![
        ("dots", vec![("40000", &inner, "..")]),
        ("dot", vec![("40000", &inner, ".")]),
        ("git", vec![("40000", &inner, ".git")]),
        ("upper", vec![("40000", &inner, ".GiT")]),
        ("slash", vec![("100644", &blob, "../file")]),
        ("twice", vec![("120000", &link, "folder"), ("40000", &inner, "folder")]),
        ("mode", vec![("20644", &blob, "device")]),
        ("kind", vec![("100644", &inner, "file")]),
    ];
    let server = GitServer::start(&repository);
    for (name, entries) in cases {
        repository.commit_tree(name, &repository.make_tree(&entries));
        let folder = tempfile::tempdir().unwrap();
        let outside = TestOutside::git(&server.url());
        let failure = fetch_git(&outside, Some(name), None, &folder.path().join("context")).unwrap_err();
        assert_eq!(failure.kind, "repository_unsafe", "{name}: {failure}");
        let beside: Vec<PathBuf> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(beside, [folder.path().join("context")], "{name}");
    }
}

#[test]
fn a_tree_that_multiplies_itself_is_refused() {
    let repository = TestRepository::new();
    repository.commit(&[("word", "x")]);
    let blob = repository.make_blob(b"");
    let names: Vec<String> = (0..20).map(|n| format!("n{n:02}")).collect();
    let entries: Vec<(&str, &str, &str)> =
        names.iter().map(|n| ("100644", blob.as_str(), n.as_str())).collect();
    let mut tree = repository.make_tree(&entries);
    for _ in 0..600 {
        tree = repository.make_tree(&[("40000", &tree, "deeper")]);
    }
    repository.commit_tree("deep", &tree);
    let failure = failure(fetch(&GitServer::start(&repository), Some("deep")));
    assert_eq!((failure.kind.as_str(), failure.blame), ("source_too_large", model::Blame::Limits));
}

#[test]
fn a_subdirectory_becomes_the_root_and_no_link_leads_it_out() {
    let repository = TestRepository::new();
    repository.commit_entries(
        "main",
        &[
            (0o100_644, "app/web/Dockerfile", b"FROM scratch"),
            (0o120_000, "inside", b"app/web"),
            (0o120_000, "absolute", b"/etc"),
            (0o120_000, "climbing", b"../../.."),
        ],
    );
    let server = GitServer::start(&repository);
    let in_folder = |sub: &str| fetch_with(TestOutside::git(&server.url()), None, Some(sub));
    for sub in ["app/web", "app//web/", "./inside", "inside"] {
        let fetched = in_folder(sub).unwrap();
        assert_eq!(fetched.text("Dockerfile"), "FROM scratch", "{sub}");
        assert!(fetched.tree.root.is_absolute());
    }
    for sub in ["absolute", "climbing", "missing", "app/web/Dockerfile", "../git", "/etc", "inside/../../.."]
    {
        assert_eq!(failure(in_folder(sub)).kind, "subdirectory_not_found", "{sub}");
    }
}

#[test]
fn what_the_port_answers_reaches_the_person_as_it_is() {
    let repository = TestRepository::new();
    repository.commit(&[("word", "x")]);
    let server = GitServer::start(&repository);
    let told = Failure::user("repository_not_found_or_private", "Not yours.", "Ask.");
    let outside = TestOutside { failure: Some(told.clone()), ..TestOutside::git(&server.url()) };
    assert_eq!(failure(fetch_with(outside, Some("main"), None)), told);
}

#[test]
fn fetches_side_by_side_do_not_mix() {
    std::thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || {
                let repository = TestRepository::new();
                let word = format!("word {number}");
                repository.commit(&[("word", &word)]);
                let server = GitServer::start(&repository);
                assert_eq!(fetch(&server, Some("main")).unwrap().text("word"), word);
            });
        }
    });
}
