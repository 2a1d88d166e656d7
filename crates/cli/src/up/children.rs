//! Child processes that are kept running. All are started from one thread that lives as long as the
//! program: the parent-death signal that each asks for fires when that *thread* ends.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

type Request = (Command, oneshot::Sender<io::Result<Child>>);

/// Starts processes, from a thread of its own.
#[derive(Debug, Clone)]
pub(crate) struct Starter {
    requests: std::sync::mpsc::Sender<Request>,
}

impl Starter {
    pub(crate) fn start() -> io::Result<Self> {
        let (requests, queue) = std::sync::mpsc::channel::<Request>();
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new().name("starter".to_owned()).spawn(move || {
            let _entered = runtime.enter();
            for (mut command, reply) in queue {
                let _ = reply.send(command.spawn());
            }
        })?;
        Ok(Self { requests })
    }

    async fn spawn(&self, command: Command) -> io::Result<Child> {
        let (reply, answer) = oneshot::channel();
        let gone = || io::Error::other("the starting thread is gone");
        self.requests.send((command, reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// A process that is started again whenever it ends.
pub(crate) struct Kept {
    pub(crate) name: &'static str,
    /// How long it may take to end after SIGTERM.
    pub(crate) patience: Duration,
    pub(crate) command: Box<dyn Fn() -> Command + Send + Sync>,
}

/// A kept process, running.
pub(crate) struct Keeper {
    stop: CancellationToken,
    now: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Kept {
    /// Starts it and keeps it running.
    pub(crate) fn keep(self, starter: &Starter) -> Keeper {
        let (stop, now) = (CancellationToken::new(), CancellationToken::new());
        let told = (stop.clone(), now.clone());
        let task = tokio::spawn(keep(Arc::new(self), starter.clone(), told));
        Keeper { stop, now, task }
    }
}

impl Keeper {
    /// Ends the process and waits for it. Once `now` is cancelled it is told again, not to wait for anything.
    pub(crate) async fn stop(mut self, now: &CancellationToken) {
        self.stop.cancel();
        tokio::select! {
            _ = &mut self.task => return,
            () = now.cancelled() => self.now.cancel(),
        }
        let _ = self.task.await;
    }
}

async fn keep(kept: Arc<Kept>, starter: Starter, (stop, now): (CancellationToken, CancellationToken)) {
    let mut pause = Duration::from_millis(100);
    while !stop.is_cancelled() {
        let started = Instant::now();
        match starter.spawn((kept.command)()).await {
            Ok(child) => match watch(&kept, child, &stop, &now).await {
                None => return,
                Some(status) => {
                    tracing::warn!(child = kept.name, %status, "a process ended and is started again")
                }
            },
            Err(error) => tracing::error!(child = kept.name, %error, "a process can't be started"),
        }
        // One that ran for a while starts again at once; one that can't stay up is given time.
        pause =
            if started.elapsed() > Duration::from_secs(10) { Duration::from_millis(100) } else { pause * 2 };
        pause = pause.min(Duration::from_secs(5));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// How it ended by itself; none when it was told to.
async fn watch(
    kept: &Kept,
    mut child: Child,
    stop: &CancellationToken,
    now: &CancellationToken,
) -> Option<ExitStatus> {
    tracing::debug!(child = kept.name, pid = child.id(), "started");
    tokio::select! {
        status = child.wait() => return status.ok(),
        () = stop.cancelled() => {}
    }
    let terminate = |child: &Child| {
        if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    };
    terminate(&child);
    let ended = tokio::time::timeout(kept.patience, async {
        tokio::select! {
            _ = child.wait() => return,
            () = now.cancelled() => terminate(&child),
        }
        let _ = child.wait().await;
    });
    if ended.await.is_err() {
        tracing::warn!(child = kept.name, "a process did not end in time and is killed");
        let _ = child.kill().await;
    }
    None
}
