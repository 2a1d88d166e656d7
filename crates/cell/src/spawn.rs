//! Starting cells. All of them are children of one thread that lives as long as the worker: a
//! parent-death signal fires when the *thread* that spawned ends.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use model::Failure;
use port::{Channel, Cleaned, Finish, ToCell, ToWorker};

use crate::{Job, Maps, MapsError, PORT_DESCRIPTOR};

/// A running cell. Dropping it kills the cell: pid 1 of its namespace dies, and with it every
/// process, mount and network of the run.
#[derive(Debug)]
pub struct CellProcess {
    child: Child,
    channel: Arc<Channel>,
}

/// Why a cell did not start.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error("the cell's process can't be started: {0}")]
    Start(#[from] io::Error),
    #[error("the cell could not make its namespaces: {0}")]
    Unshare(String),
    #[error(transparent)]
    Maps(#[from] MapsError),
    #[error("it can't be put into the run's cgroup: {0}")]
    Place(io::Error),
}

impl SpawnError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Start(_) => "Look at the machine's memory and process limits.",
            Self::Unshare(_) => "User namespaces must be allowed: see `slipway doctor`.",
            Self::Place(_) => "Without it the run would have no limits: see `slipway doctor`.",
            Self::Maps(_) => "Install Debian's package `uidmap`; see `slipway doctor`.",
        }
    }
}

type Request = (Command, Sender<io::Result<Child>>);

/// Starts cells, from a thread of its own.
#[derive(Debug, Clone)]
pub struct Spawner {
    requests: Sender<Request>,
    cells: PathBuf,
}

impl Spawner {
    /// Starts the thread. `cells` is the store's folder that belongs to the cells' root; each cell begins
    /// in it.
    ///
    /// # Errors
    /// No thread can be made.
    pub fn start(cells: PathBuf) -> io::Result<Self> {
        let (requests, queue) = channel::<Request>();
        std::thread::Builder::new().name("cell-spawner".to_owned()).spawn(move || {
            for (mut command, reply) in queue {
                let _ = reply.send(command.spawn());
            }
        })?;
        Ok(Self { requests, cells })
    }

    /// Starts a cell, writes its maps and gives it its job. `place` is called with its process id
    /// while it is still the worker's own: it may be put into a cgroup, and if it can't be, ends. Blocks for some
    /// milliseconds.
    ///
    /// # Errors
    /// The process, its namespaces or its maps can't be made.
    pub fn spawn(
        &self,
        maps: Maps,
        job: &Job,
        place: impl FnOnce(u32) -> io::Result<()>,
    ) -> Result<CellProcess, SpawnError> {
        let (ours, theirs) = Channel::pair()?;
        let child = self.start_process(&theirs)?;
        drop(theirs);
        let cell = CellProcess { child, channel: Arc::new(ours) };
        match cell.channel.receive::<ToWorker>()?.map(|packet| packet.message) {
            Some(ToWorker::Unshared) => {}
            Some(ToWorker::Finish(Finish::Failed { failure, .. })) => {
                return Err(SpawnError::Unshare(failure.message));
            }
            _ => return Err(SpawnError::Unshare("it ended before it said why".to_owned())),
        }
        place(cell.pid()).map_err(SpawnError::Place)?;
        maps.write(cell.pid())?;
        cell.channel.send(&ToCell::Mapped, &[])?;
        let job = serde_json::to_value(job).map_err(io::Error::from)?;
        cell.channel.send(&ToCell::Start(Box::new(job)), &[])?;
        Ok(cell)
    }

    fn start_process(&self, port: &Channel) -> io::Result<Child> {
        let mut command = self.command("slipway-cell");
        command.arg("cell").arg(std::process::id().to_string()).stdin(Stdio::null()).stdout(Stdio::null());
        pass_port(&mut command, port.as_fd().as_raw_fd());
        self.run(command)
    }

    /// This program again, in the cells' folder.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.arg0(name).current_dir(&self.cells);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        for name in ["RUST_BACKTRACE", "SLIPWAY_LOG"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    /// Starts it from the thread that lives as long as the worker.
    pub(crate) fn run(&self, command: Command) -> io::Result<Child> {
        let (reply, answer) = channel();
        let gone = || io::Error::other("the spawning thread is gone");
        self.requests.send((command, reply)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

#[expect(unsafe_code, reason = "pre_exec runs between fork and exec")]
fn pass_port(command: &mut Command, port: i32) {
    // SAFETY: dup2 and fcntl are async-signal-safe, nothing is allocated, and `port` is open in the
    // parent until the spawn has answered.
    unsafe {
        command.pre_exec(move || {
            if port == PORT_DESCRIPTOR {
                nix::libc::fcntl(port, nix::libc::F_SETFD, 0);
            } else if nix::libc::dup2(port, PORT_DESCRIPTOR) < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
}

impl CellProcess {
    /// Process id on the host: it is in the cell's user and network namespaces.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The worker's end of the port.
    #[must_use]
    pub fn channel(&self) -> Arc<Channel> {
        Arc::clone(&self.channel)
    }

    /// Kills every process of the cell.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.channel.shut_down();
    }

    /// Waits until the cell's first process has ended; after [`CellProcess::kill`] that is soon.
    pub fn wait(&mut self) {
        let _ = self.child.wait();
    }

    /// Runs a job that has no result to its end: [`Job::Adopt`], [`Job::Sweep`] or [`Job::Clear`].
    ///
    /// # Errors
    /// What the cell said, or that it said nothing.
    pub fn complete(self) -> Result<(), Failure> {
        match self.last_word()? {
            Finish::Done => Ok(()),
            _ => Err(silent()),
        }
    }

    /// Runs a [`Job::Clean`] to its end.
    ///
    /// # Errors
    /// As [`CellProcess::complete`].
    pub fn cleaned(self) -> Result<Cleaned, Failure> {
        match self.last_word()? {
            Finish::Cleaned(cleaned) => Ok(cleaned),
            _ => Err(silent()),
        }
    }

    fn last_word(mut self) -> Result<Finish, Failure> {
        let result = loop {
            match self.channel.receive::<ToWorker>() {
                Ok(Some(packet)) => match packet.message {
                    ToWorker::Finish(Finish::Failed { failure, .. }) => break Err(failure),
                    ToWorker::Finish(finish) => break Ok(finish),
                    _ => {}
                },
                _ => break Err(silent()),
            }
        };
        self.wait();
        result
    }
}

fn silent() -> Failure {
    Failure::service("cell_ended", "A cell ended before its work was done.", "See the worker's log.")
}

impl Drop for CellProcess {
    fn drop(&mut self) {
        self.kill();
        self.wait();
    }
}
