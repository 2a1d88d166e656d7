//! Conversations with git's own `upload-pack`, and with hosts that break off. In the place of ssh stands a script:
//! ssh itself is in the command line's stories.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use broker::Secret;
use futures_util::TryStreamExt;
use model::Blame;
use tempfile::TempDir;
use test_support::TestRepository;
use tokio::runtime::Handle;

use super::*;

/// A git host that does as a script says. `$repository` is the repository, `$starts` how often it was asked.
struct Host {
    folder: TempDir,
    ssh: Ssh,
}

impl Host {
    fn new(repository: &TestRepository, script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (program, here) = (folder.path().join("ssh"), folder.path().display());
        let text = format!(
            "#!/bin/sh\necho $$ >> {here}/starts\nstarts=$(wc -l < {here}/starts)\nrepository={}\n{script}\n",
            repository.path().display()
        );
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let starter = Starter::of(Handle::current(), program, egress::Policy::default()).unwrap();
        let source = SourceSpec::parse_git("git@host:a.git").unwrap();
        let (secret, known_hosts) = (Secret::new("key"), Some("host key".to_owned()));
        let credential = GitSecret { username: None, secret, known_hosts };
        let ssh = Ssh::of(&starter, &source, Some(&credential)).unwrap();
        Self { folder, ssh }
    }

    fn pids(&self) -> Vec<PathBuf> {
        let text = std::fs::read_to_string(self.folder.path().join("starts")).unwrap_or_default();
        text.lines().map(|pid| PathBuf::from(format!("/proc/{pid}"))).collect()
    }

    async fn refs(&self) -> Vec<u8> {
        read(self.ssh.refs().await.unwrap()).await.unwrap()
    }

    async fn pack(&self, request: &str) -> Result<Vec<u8>, Failure> {
        read(self.ssh.upload_pack(request.as_bytes()).await?).await
    }
}

async fn read(answered: Answered) -> Result<Vec<u8>, Failure> {
    Ok(answered.try_collect::<Vec<Bytes>>().await?.concat())
}

const SERVES: &str = "exec git upload-pack \"$repository\"";

#[tokio::test]
async fn a_conversation_goes_on_where_it_can_and_begins_again_where_it_cannot() {
    let repository = TestRepository::new();
    repository.commit(&[("word", "hello")]);
    let tip = repository.commit(&[("word", "goodbye")]);
    let host = Host::new(&repository, SERVES);
    let refs = host.refs().await;
    assert!(refs.starts_with(b"001e# service=git-upload-pack\n0000") && refs.ends_with(b"0000"));
    assert!(String::from_utf8_lossy(&refs).contains(&tip));
    let depth = format!("0032want {tip}\n000cdeepen 10000");
    let shallow = format!("0034shallow {tip}0000");
    assert_eq!(String::from_utf8(host.pack(&depth).await.unwrap()).unwrap(), shallow);
    let whole = format!("{depth}0009done\n");
    assert!(
        host.pack(&whole).await.unwrap().starts_with(b"0008NAK\nPACK"),
        "what was said is not said again"
    );
    assert_eq!(host.pids().len(), 1, "all of that was one conversation");

    let again = host.pack(&whole).await.unwrap();
    assert!(again.starts_with(format!("{shallow}0008NAK\nPACK").as_bytes()), "that one is over");
    assert_eq!(host.pids().len(), 2);
    host.refs().await;
    host.pack(&depth).await.unwrap();
    let other = format!("0032want {tip}\n00000009done\n");
    assert!(host.pack(&other).await.unwrap().starts_with(b"0008NAK\nPACK"), "it wants something else now");
    assert_eq!(host.pids().len(), 4);
    let nothing_new = format!("0032want {tip}\n0000");
    assert_eq!(host.pack(&nothing_new).await.unwrap(), b"", "what is cut off gets what http would answer");
}

#[tokio::test]
async fn a_host_that_hung_up_meanwhile_is_asked_again() {
    let repository = TestRepository::new();
    let tip = repository.commit(&[("word", "hello")]);
    let script =
        format!("[ $starts != 1 ] || exec git upload-pack --advertise-refs \"$repository\"\n{SERVES}");
    let host = Host::new(&repository, &script);
    host.refs().await;
    let request = format!("0032want {tip}\n00000009done\n");
    assert!(host.pack(&request).await.unwrap().starts_with(b"0008NAK\nPACK"));
    assert_eq!(host.pids().len(), 2);
}

#[tokio::test]
async fn a_refusal_is_gits_own_and_a_pack_that_breaks_off_is_a_failure() {
    let repository = TestRepository::new();
    let tip = repository.commit(&[("word", "hello")]);
    let host = Host::new(&repository, SERVES);
    let unknown = format!("0032want {}\n000cdeepen 10000", "1".repeat(40));
    assert!(host.pack(&unknown).await.unwrap()[4..].starts_with(b"ERR upload-pack: not our ref"));

    let request = format!("0032want {tip}\n00000009done\n");
    for breaks in [
        "git upload-pack \"$repository\"; exit 3",
        "git upload-pack \"$repository\"; exit 255",
        "git upload-pack \"$repository\"; kill -9 $$",
    ] {
        let failure = Host::new(&repository, breaks).pack(&request).await.unwrap_err();
        assert_eq!(
            (failure.kind.as_str(), failure.blame),
            ("repository_unreachable", Blame::Service),
            "{breaks}"
        );
    }
    for greets in ["echo Welcome", "exit 0", "exit 127"] {
        let host = Host::new(&repository, greets);
        assert_eq!(host.ssh.refs().await.err().unwrap().kind, "not_a_git_repository", "{greets}");
        assert_eq!(host.pack(&request).await.unwrap_err().kind, "not_a_git_repository", "{greets}");
    }
}

#[tokio::test]
async fn the_end_of_a_run_is_the_end_of_its_ssh() {
    let repository = TestRepository::new();
    repository.commit(&[("word", "hello")]);
    let host = Host::new(&repository, SERVES);
    host.refs().await;
    assert!(host.pids()[0].exists(), "it is kept");
    host.ssh.end();
    let waiting = Host::new(&repository, "exec sleep 600");
    let asked = tokio::spawn({
        let ssh = waiting.ssh.clone();
        async move { ssh.refs().await.err().unwrap() }
    });
    let come = async {
        while waiting.pids().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), come).await.unwrap();
    waiting.ssh.end();
    let failure = tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap().unwrap();
    assert!(failure.message.contains("the run has ended"), "{failure}");
    let gone = async {
        while host.pids().iter().chain(&waiting.pids()).any(|pid| pid.exists()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("no process is left");
    assert!(host.ssh.refs().await.is_err(), "nothing is started afterwards");
}
