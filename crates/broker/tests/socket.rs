//! Questions over a real socket.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use broker::{Answer, Answers, Ask, Broker, Question, Secret, bind, serve};
use futures_util::future::{BoxFuture, FutureExt};
use model::{Epoch, Failure, LeaseToken, RunId};
use tokio_util::sync::CancellationToken;

/// Gives a token for one repository, under one lease.
struct Publisher;

impl Answers for Publisher {
    fn answer(&self, question: Question) -> BoxFuture<'_, Result<Answer, Failure>> {
        async move {
            if question.token != LeaseToken("held".into()) {
                return Err(Failure::service("lease_lost", "It is somebody else's.", ""));
            }
            match question.ask {
                Ask::PullToken { repository } => Ok(Answer::PullToken(Some(Secret::new(repository)))),
                _ => Ok(Answer::Passed),
            }
        }
        .boxed()
    }
}

fn question(token: &str, ask: Ask) -> Question {
    Question { run: RunId(uuid::Uuid::nil()), epoch: Epoch(3), token: LeaseToken(token.into()), ask }
}

fn start(path: &Path, uid: u32) -> CancellationToken {
    let stop = CancellationToken::new();
    tokio::spawn(serve(bind(path).unwrap(), uid, Arc::new(Publisher), stop.clone()));
    stop
}

fn own_uid() -> u32 {
    nix::unistd::getuid().as_raw()
}

#[tokio::test]
async fn a_question_is_answered_and_a_refusal_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _running = start(&path, own_uid());
    let broker = Broker::at(path);
    let answer = broker.ask(&question("held", Ask::PullToken { repository: "base".into() })).await.unwrap();
    assert_eq!(answer, Answer::PullToken(Some(Secret::new("base"))));
    assert!(!format!("{answer:?}").contains("base"));
    let refused = broker.ask(&question("stolen", Ask::Preflight)).await.unwrap_err();
    assert_eq!(refused.kind, "lease_lost");
}

#[tokio::test]
async fn another_user_is_told_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _running = start(&path, own_uid() + 1);
    let broker = Broker::at(path).patient(Duration::ZERO);
    let refused = broker.ask(&question("held", Ask::Preflight)).await.unwrap_err();
    assert_eq!((refused.kind.as_str(), refused.blame.as_str()), ("publisher_unreachable", "service"));
}

#[tokio::test]
async fn a_publisher_that_starts_again_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let first = start(&path, own_uid());
    first.cancel();
    let broker = Broker::at(path.clone());
    let asked = tokio::spawn(async move { broker.ask(&question("held", Ask::Preflight)).await });
    tokio::task::yield_now().await;
    let _second = start(&path, own_uid());
    assert_eq!(asked.await.unwrap().unwrap(), Answer::Passed);
}

#[tokio::test]
async fn an_ordinary_file_is_not_taken_for_a_left_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    std::fs::write(&path, "mine").unwrap();
    assert!(bind(&path).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}
