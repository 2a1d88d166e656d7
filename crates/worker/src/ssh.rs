//! The same two questions as `git.rs`, over ssh: the cell does not know the difference. In: the run's declared
//! address, its credential, and a request as git's smart http protocol has it. Out: the answer's bytes.
//! Deliberately absent: any command but `git-upload-pack`, any repository but the declared one.
//!
//! Over http each request stands for itself and repeats what was said before; a conversation over ssh goes on.
//! So one is kept between questions, and only what is new of a request is said. Where a request does not go on
//! from there, or the host has hung up meanwhile, it is said in a new conversation from the beginning: there
//! git's server is at the same point as one that was asked over http.

mod connect;
mod failure;
mod framing;
mod keeper;
mod report;
mod session;
mod start;

use std::sync::{Arc, Mutex, PoisonError};

use broker::GitSecret;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use model::{Failure, SourceSpec};
use tokio_util::sync::CancellationToken;

pub use connect::connect;
pub use keeper::keep_key;
pub(crate) use start::Starter;

use crate::git::{Answered, MAX_PACK, MAX_REFS};
use failure::{broke_off, too_large};
use session::{Names, Piece, Session, Turn};

/// What an advertisement over http begins with (gitprotocol-http(5), "Smart Server Response").
const SERVICE: &[u8] = b"001e# service=git-upload-pack\n0000";

/// One run's line to its repository.
#[derive(Debug, Clone)]
pub(crate) struct Ssh(Arc<Line>);

#[derive(Debug)]
struct Line {
    starter: Starter,
    credential: GitSecret,
    names: Names,
    /// Where the host listens.
    kept: Mutex<Option<Session>>,
    ended: CancellationToken,
}

impl Ssh {
    /// None for a source that is not fetched over ssh. Nothing is started yet.
    pub(crate) fn of(starter: &Starter, source: &SourceSpec, credential: Option<&GitSecret>) -> Option<Self> {
        let (SourceSpec::Git { url, .. }, Some(address)) = (source, source.ssh()) else { return None };
        let names = Names { repository: url.clone(), host: address.known_as() };
        let (starter, credential) = (starter.clone(), credential?.clone());
        let (kept, ended) = (Mutex::default(), CancellationToken::new());
        Some(Self(Arc::new(Line { starter, credential, names, kept, ended })))
    }

    /// The ref advertisement, as over http.
    ///
    /// # Errors
    /// `host_key_unknown`, `host_key_changed`, `git_credential_refused`, `repository_unreachable`,
    /// `repository_not_found_or_private`, `not_a_git_repository`, `ssh_unusable`.
    pub(crate) async fn refs(&self) -> Result<Answered, Failure> {
        let session = self.0.open().await?;
        match self.0.turn(session, Turn::Flush, MAX_REFS).await? {
            Ok(answer) => {
                let service = stream::once(async { Ok(Bytes::from_static(SERVICE)) });
                Ok(service.chain(answer).boxed())
            }
            Err(session) => Err(session.never_began().await),
        }
    }

    /// What the host answers to a request for a pack.
    ///
    /// # Errors
    /// As [`Ssh::refs`].
    pub(crate) async fn upload_pack(&self, request: &[u8]) -> Result<Answered, Failure> {
        let turn = turn_after(request);
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut session) = kept
            && let Some(news) = request.strip_prefix(session.said.as_slice())
        {
            session.say(news, turn).await?;
            if let Ok(answer) = self.0.turn(session, turn, MAX_PACK).await? {
                return Ok(answer);
            }
            tracing::debug!("the git host hung up meanwhile, and is asked again");
        }
        let mut session = self.0.greeted().await?;
        session.say(request, turn).await?;
        match self.0.turn(session, turn, MAX_PACK).await? {
            Ok(answer) => Ok(answer),
            Err(mut session) => session.hung_up(turn).await.map(|()| stream::empty().boxed()),
        }
    }

    /// Ends ssh, whoever still reads from it.
    pub(crate) fn end(&self) {
        self.0.ended.cancel();
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Line {
    async fn open(&self) -> Result<Session, Failure> {
        let started = self.until_end(self.starter.keeper(&self.names.repository, &self.credential)).await?;
        let child = started.map_err(|error| internal(&error))?;
        Session::new(child, self.names.clone()).ok_or_else(|| internal(&"ssh has no streams"))
    }

    /// A new conversation, past its advertisement.
    async fn greeted(&self) -> Result<Session, Failure> {
        let mut session = self.open().await?;
        let Some(mut piece) = self.until_end(session.begin(Turn::Flush)).await?? else {
            return Err(session.never_began().await);
        };
        let mut so_far = 0;
        loop {
            match piece {
                Piece::Last(_) => return Ok(session),
                Piece::End => return Err(broke_off(&self.names.host, &"it hung up after its refs")),
                Piece::More(bytes) => so_far += bytes.len() as u64,
            }
            if so_far > MAX_REFS {
                return Err(too_large(&self.names.repository, MAX_REFS));
            }
            piece = self.until_end(session.hear(Turn::Flush)).await??;
        }
    }

    /// The host's turn, once it has begun. A host that hung up instead gives its conversation back.
    async fn turn(
        self: &Arc<Self>,
        mut session: Session,
        turn: Turn,
        limit: u64,
    ) -> Result<Result<Answered, Session>, Failure> {
        let first = match self.until_end(session.begin(turn)).await?? {
            Some(first) => first,
            None => return Ok(Err(session)),
        };
        let state = (Arc::clone(self), Some(session), Some(first), 0_u64);
        let answer = stream::try_unfold(state, move |(line, session, first, so_far)| async move {
            let Some(mut session) = session else { return Ok(None) };
            let piece = match first {
                Some(first) => first,
                None => line.until_end(session.hear(turn)).await??,
            };
            let (bytes, session) = match piece {
                Piece::More(bytes) => (bytes, Some(session)),
                Piece::Last(bytes) => {
                    line.keep(session);
                    (bytes, None)
                }
                Piece::End => return Ok(None),
            };
            let so_far = so_far + bytes.len() as u64;
            if so_far > limit {
                return Err(too_large(&line.names.repository, limit));
            }
            Ok(Some((bytes, (line, session, None, so_far))))
        });
        Ok(Ok(answer.boxed()))
    }

    fn keep(&self, session: Session) {
        if !self.ended.is_cancelled() {
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
        }
    }

    async fn until_end<T>(&self, doing: impl Future<Output = T>) -> Result<T, Failure> {
        let done = self.ended.run_until_cancelled(doing).await;
        done.ok_or_else(|| broke_off(&self.names.host, &"the run has ended"))
    }
}

/// When the host's answer to a request ends: it waits for more where a depth was asked for and nothing is said
/// of what the client has (gitprotocol-pack(5), "Packfile Negotiation").
fn turn_after(request: &[u8]) -> Turn {
    if request.ends_with(b"0009done\n") || request.ends_with(b"0008done") {
        return Turn::End { whole: true };
    }
    let mut framing = framing::Framing::default();
    let is_one_turn = framing.feed(request) == Ok(Some(request.len()));
    let asks_for_depth = request.windows(6).any(|window| window == b"deepen");
    match is_one_turn && asks_for_depth {
        true => Turn::Flush,
        false => Turn::End { whole: false },
    }
}

fn internal(error: &dyn std::fmt::Display) -> Failure {
    Failure::service("internal", format!("{error}."), "See the worker's log and limits.")
}

#[cfg(test)]
mod tests;
