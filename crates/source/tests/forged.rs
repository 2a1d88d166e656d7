//! Git hosts that lie: each lie ends the fetch with a failure that says so, soon, and with little written.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use model::{Blame, Failure};
use source::fetch_git;
use test_support::{ForgedPack, Talk};

use support::TestOutside;

#[expect(dead_code, reason = "each test file uses a part of it")]
mod support;

/// What a fetch of `main` comes to, and the bytes that it wrote.
fn fetch(pack: &ForgedPack, talk: Option<Talk>) -> (Result<String, Failure>, u64) {
    let folder = tempfile::tempdir().unwrap();
    let outside = TestOutside { forged: Some((pack.clone(), talk)), ..TestOutside::default() };
    let fetched = fetch_git(&outside, Some("main"), None, &folder.path().join("context"));
    let word = fetched.map(|tree| fs::read_to_string(tree.root.join("word")).unwrap());
    (word, written(folder.path()))
}

fn written(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            if entry.file_type().unwrap().is_dir() {
                written(&entry.path())
            } else {
                entry.metadata().unwrap().len()
            }
        })
        .sum()
}

#[test]
fn a_pack_made_by_hand_is_read_as_gits_own() {
    assert_eq!(fetch(&ForgedPack::honest(), None).0.unwrap(), "hello\n");
}

/// Lies that libgit2 may believe: they are about no object that was asked for.
const BESIDE: [&str; 4] =
    ["an unknown kind", "no kind", "an object longer than it says", "an object shorter than it says"];

/// A lie beside what was asked for does no harm: libgit2 reads the commit's own objects, and they are what their ids say.
#[test]
fn a_pack_that_lies_is_said_to_or_does_no_harm() {
    for forged in ForgedPack::lies() {
        let lie = forged.lie;
        let (fetched, written) = fetch(&forged, None);
        assert!(written < 1 << 20, "{lie}: {written} bytes");
        match fetched {
            Ok(word) => {
                assert_eq!(word, "hello\n", "{lie}");
                assert!(BESIDE.contains(&lie), "{lie} is believed");
            }
            Err(failure) => {
                let kind = (failure.kind.as_str(), failure.blame);
                assert_eq!(kind, ("git_protocol", Blame::Service), "{lie}: {failure}");
                assert!(failure.hint.contains("git clone"), "{lie}: {failure}");
            }
        }
    }
}

#[test]
fn a_host_that_talks_and_sends_nothing_is_not_listened_to_for_ever() {
    for talk in [Talk::Progress, Talk::KeepAlives, Talk::Commits] {
        let (fetched, written) = fetch(&ForgedPack::honest(), Some(talk));
        let failure = fetched.expect_err("there is no pack");
        assert_eq!(failure.kind, "git_protocol", "{talk:?}: {failure}");
        assert!(failure.message.contains("16 MiB beside the pack"), "{talk:?}: {failure}");
        assert!(written < 1 << 20, "{talk:?}: {written} bytes");
    }
}
