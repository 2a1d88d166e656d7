//! The worker's side.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use model::Failure;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::{Answer, Question, frame};

/// How long a publisher that is not there (it starts again) is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest answer: an identity that is slow and a registry that is slow, each with its own limit.
const ANSWER: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);

/// The publisher's socket.
#[derive(Debug, Clone)]
pub struct Broker {
    path: PathBuf,
    patience: Duration,
}

impl Broker {
    /// The socket at this path; nobody is asked yet.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path, patience: PATIENCE }
    }

    /// With another patience than half a minute for a publisher that is away.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Asks, and waits for a publisher that is away. Whether it was asked twice makes no difference to it.
    ///
    /// # Errors
    /// What the publisher answers, or `publisher_unreachable`.
    pub async fn ask(&self, question: &Question) -> Result<Answer, Failure> {
        let until = Instant::now() + self.patience;
        loop {
            match timeout(ANSWER, self.once(question)).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(error)) if Instant::now() >= until => return Err(self.unreachable(&error)),
                Ok(Err(error)) => tracing::debug!(%error, "the publisher is waited for"),
                Err(_) => return Err(self.unreachable(&"it did not answer in time")),
            }
            let _ = timeout_at(until, sleep(PAUSE)).await;
        }
    }

    async fn once(&self, question: &Question) -> io::Result<Result<Answer, Failure>> {
        let mut stream = UnixStream::connect(&self.path).await?;
        frame::write(&mut stream, question).await?;
        frame::read(&mut stream).await
    }

    fn unreachable(&self, why: &dyn std::fmt::Display) -> Failure {
        Failure::service(
            "publisher_unreachable",
            format!("The publisher at {} can't be asked: {why}.", self.path.display()),
            "See that a publisher runs beside this worker, with this `--socket`, and its log.",
        )
    }
}
