//! One conversation with a git host: an ssh process that runs `git-upload-pack` there. In: what the cell wants
//! said. Out: what the host says, in turns. Dropping it ends the process.

use std::process::ExitStatus;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use model::Failure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::failure::{Ended, broke_off, not_found, not_git};
use super::framing::{Framing, NotGit};
use crate::git::PATIENCE;

/// Bytes of one piece.
const PIECE: usize = 64 << 10;
/// As much as is kept of what is said beside the protocol, in bytes.
const KEPT: u64 = 16 << 10;
/// How long ssh may take to go, once its output has ended.
const GOING: Duration = Duration::from_secs(10);

/// Names of the repository and its host, for failures.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) repository: String,
    pub(super) host: String,
}

/// When a turn of the host ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// At a flush packet; then the host listens again.
    Flush,
    /// When it hangs up. `whole`: it was told to send everything, and that everything was asked.
    End { whole: bool },
}

/// A piece of a turn.
#[derive(Debug)]
pub(super) enum Piece {
    More(Bytes),
    /// The last of it; the host listens again.
    Last(Bytes),
    /// The host hung up, as it should.
    End,
}

/// A running ssh.
#[derive(Debug)]
pub(super) struct Session {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    stderr: JoinHandle<String>,
    buffer: BytesMut,
    framing: Framing,
    names: Names,
    /// Everything that the host was told.
    pub(super) said: Vec<u8>,
}

impl Session {
    pub(super) fn new(mut child: Child, names: Names) -> Option<Self> {
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take()?, child.stderr.take()?);
        let stderr = tokio::spawn(gather(stderr));
        let (buffer, framing, said) = (BytesMut::new(), Framing::default(), Vec::new());
        Some(Self { child, stdin, stdout, stderr, buffer, framing, names, said })
    }

    /// Says it, and after it hangs up where the host's turn ends with its own hanging up. That the host does
    /// not listen any more is told by its answer.
    pub(super) async fn say(&mut self, words: &[u8], turn: Turn) -> Result<(), Failure> {
        self.framing = Framing::default();
        self.said.extend_from_slice(words);
        if let Some(stdin) = &mut self.stdin {
            let written = timeout(PATIENCE, stdin.write_all(words)).await;
            written.map_err(|_| broke_off(&self.names.host, &"it stopped to listen"))?.unwrap_or_default();
        }
        if turn != Turn::Flush {
            self.stdin = None;
        }
        Ok(())
    }

    /// The first piece of the host's turn. None where it hung up instead, and the conversation is over.
    pub(super) async fn begin(&mut self, turn: Turn) -> Result<Option<Piece>, Failure> {
        if self.read().await? == 0 {
            return Ok(None);
        }
        let piece = self.heard(turn)?;
        match self.framing.refusal() {
            // Some hosts greet with it; what they answer to a request is the cell's to read.
            Some(refusal) if self.said.is_empty() => Err(not_found(&self.names.repository, &refusal)),
            _ => Ok(Some(piece)),
        }
    }

    /// The next piece of the host's turn.
    pub(super) async fn hear(&mut self, turn: Turn) -> Result<Piece, Failure> {
        match self.read().await? {
            0 => self.hung_up(turn).await.map(|()| Piece::End),
            _ => self.heard(turn),
        }
    }

    async fn read(&mut self) -> Result<usize, Failure> {
        self.buffer.reserve(PIECE);
        let read = timeout(PATIENCE, self.stdout.read_buf(&mut self.buffer)).await;
        let read = read.map_err(|_| broke_off(&self.names.host, &"nothing more came"))?;
        read.map_err(|error| broke_off(&self.names.host, &error))
    }

    fn heard(&mut self, turn: Turn) -> Result<Piece, Failure> {
        let piece = self.buffer.split().freeze();
        match (turn, self.framing.feed(&piece)) {
            // Behind the negotiation comes the pack, in packets or not; it ends where the host hangs up.
            (Turn::End { .. }, _) | (Turn::Flush, Ok(None)) => Ok(Piece::More(piece)),
            (Turn::Flush, Ok(Some(end))) if end == piece.len() => Ok(Piece::Last(piece)),
            (Turn::Flush, Ok(Some(_)) | Err(NotGit)) => {
                let said = String::from_utf8_lossy(&piece);
                Err(not_git(&self.names.repository, "it answers with something else", &said))
            }
        }
    }

    /// Whether that was the host's whole answer.
    pub(super) async fn hung_up(&mut self, turn: Turn) -> Result<(), Failure> {
        let host = self.names.host.clone();
        let code = self.ended().await?.code();
        match (turn, self.framing.refusal()) {
            _ if code == Some(255) || code.is_none() => Err(self.failure(code).await),
            // The refusal is git's own, and the cell's to read.
            (_, Some(_)) => Ok(()),
            (Turn::End { whole: false }, None) => Ok(()),
            (Turn::End { whole: true }, None) if code == Some(0) => Ok(()),
            (Turn::End { whole: true } | Turn::Flush, None) => {
                Err(broke_off(&host, &"git-upload-pack failed there"))
            }
        }
    }

    async fn ended(&mut self) -> Result<ExitStatus, Failure> {
        let ended = timeout(GOING, self.child.wait()).await;
        let ended = ended.map_err(|_| broke_off(&self.names.host, &"ssh does not end"))?;
        ended.map_err(|error| broke_off(&self.names.host, &error))
    }

    /// Of a conversation that ended before it began.
    pub(super) async fn never_began(mut self) -> Failure {
        match self.ended().await {
            Ok(status) => self.failure(status.code()).await,
            Err(failure) => failure,
        }
    }

    async fn failure(&mut self, code: Option<i32>) -> Failure {
        let said = timeout(GOING, &mut self.stderr).await.ok().and_then(Result::ok).unwrap_or_default();
        let Names { repository, host } = &self.names;
        Ended { repository, host, code, said: &said }.failure()
    }
}

/// The beginning of what is said beside the protocol; the rest is read, so that nobody waits, and forgotten.
async fn gather(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    let _ = (&mut stderr).take(KEPT).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&kept).into_owned()
}
