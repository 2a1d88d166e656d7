//! The publisher's side: who may ask is known by the kernel, whether about this run by the database.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use model::Failure;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{Answer, Question, frame};

/// Questions that are answered at the same time; more wait.
const AT_ONCE: usize = 256;
/// How long a worker may take to say its question, and to take the answer.
const TALK: Duration = Duration::from_secs(10);
/// After an error of `accept`, such as no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Whoever answers.
pub trait Answers: Send + Sync + 'static {
    /// The answer, once the lease was found to be held.
    fn answer(&self, question: Question) -> BoxFuture<'_, Result<Answer, Failure>>;
}

/// Makes the socket, over one that a killed publisher left. Any user may connect: the kernel says who it is.
///
/// # Errors
/// The folder is not there or not writable, something else than a socket is there, or its path is too long.
pub fn bind(path: &Path) -> io::Result<StdListener> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is something else than a socket",
            ));
        }
        Err(_) => {}
    }
    let listener = StdListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers processes of the user `uid` (and of nobody else) until `stop`.
///
/// # Errors
/// The listener can't be used.
pub async fn serve(
    listener: StdListener,
    uid: u32,
    answers: Arc<impl Answers>,
    stop: CancellationToken,
) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let accepted = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = async { (place.await, listener.accept().await) } => accepted,
        };
        match accepted {
            (Ok(place), Ok((stream, _))) => {
                let answers = Arc::clone(&answers);
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, uid, answers.as_ref()).await {
                        tracing::warn!(%error, "a question was not answered");
                    }
                    drop(place);
                });
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "no question can be taken");
                tokio::time::sleep(PAUSE).await;
            }
            (Err(_), _) => return Ok(()),
        }
    }
}

async fn converse(mut stream: UnixStream, uid: u32, answers: &impl Answers) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    if peer.uid() != uid {
        let (asked, pid) = (peer.uid(), peer.pid());
        tracing::warn!(uid = asked, pid, "a stranger asked, and is not answered");
        return Ok(());
    }
    let question: Question = timeout(TALK, frame::read(&mut stream)).await??;
    let (run, asked) = (question.run, format!("{:?}", question.ask));
    let answer = answers.answer(question).await;
    if let Err(failure) = &answer {
        tracing::info!(%run, asked, kind = failure.kind, "a question was answered with a failure");
    }
    timeout(TALK, frame::write(&mut stream, &answer)).await?
}
