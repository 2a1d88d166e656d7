//! The postmaster process, kept running by a thread of its own. That thread lives as long as the
//! postmaster: the parent-death signal fires when the *thread* that started a child ends.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, getpid, getppid, setgroups, setresgid, setresuid};

use super::binaries::Binaries;
use super::{ClusterError, ClusterOptions, PORT};

/// Starts in a row that may fail before nobody waits any more.
const FAILURES: u32 = 20;
/// How long a fast shutdown may take before an immediate one.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Postmaster {
    shared: Arc<Shared>,
    keeper: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    /// 0 while none runs.
    pid: AtomicI32,
    failures: AtomicU32,
}

impl Postmaster {
    pub(super) fn start(binaries: &Binaries, options: &ClusterOptions) -> Result<Self, ClusterError> {
        let shared = Arc::new(Shared::default());
        let (binaries, options, theirs) = (binaries.clone(), options.clone(), Arc::clone(&shared));
        let keeper = std::thread::Builder::new()
            .name("postmaster".to_owned())
            .spawn(move || keep(&binaries, &options, &theirs))
            .map_err(|error| ClusterError::io("starting a thread", error))?;
        Ok(Self { shared, keeper })
    }

    /// Whether it ended again and again without ever staying up.
    pub(super) fn keeps_failing(&self) -> bool {
        self.shared.failures.load(Ordering::Relaxed) >= FAILURES
    }

    pub(super) fn stop(self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let deadline = Instant::now() + PATIENCE;
        let mut signal = Signal::SIGINT;
        while !self.keeper.is_finished() {
            let pid = self.shared.pid.load(Ordering::SeqCst);
            if pid > 0 {
                let _ = kill(Pid::from_raw(pid), signal);
            }
            if Instant::now() > deadline {
                signal = Signal::SIGQUIT;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.keeper.join();
    }
}

fn keep(binaries: &Binaries, options: &ClusterOptions, shared: &Shared) {
    while !shared.stopping.load(Ordering::SeqCst) {
        let started = Instant::now();
        match spawn(binaries, options) {
            Ok(mut child) => {
                shared.pid.store(child.id().cast_signed(), Ordering::SeqCst);
                let status = child.wait();
                shared.pid.store(0, Ordering::SeqCst);
                if shared.stopping.load(Ordering::SeqCst) {
                    return;
                }
                tracing::warn!(?status, "PostgreSQL ended and is started again");
            }
            Err(error) => tracing::error!(%error, "PostgreSQL can't be started"),
        }
        // Right after a kill its last processes still hold the shared memory.
        if started.elapsed() < Duration::from_secs(5) {
            shared.failures.fetch_add(1, Ordering::Relaxed);
        } else {
            shared.failures.store(0, Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[expect(unsafe_code, reason = "pre_exec runs between fork and exec")]
fn spawn(binaries: &Binaries, options: &ClusterOptions) -> io::Result<Child> {
    let mut command = Command::new(binaries.folder.join("postgres"));
    command.arg("-D").arg(&options.data).arg("-k").arg(&options.socket);
    for setting in [
        "listen_addresses=".to_owned(),
        format!("port={PORT}"),
        "max_connections=100".to_owned(),
        "log_min_messages=fatal".to_owned(),
        "log_checkpoints=off".to_owned(),
        "password_encryption=scram-sha-256".to_owned(),
    ] {
        command.arg("-c").arg(setting);
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
    // ^C in a terminal goes to the whole foreground group: its end is this process's to order.
    command.process_group(0);
    let (owner, parent) = (options.owner, getpid());
    // SAFETY: only system calls between fork and exec, nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            if let Some((uid, gid)) = owner {
                let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
                setgroups(&[])?;
                setresgid(gid, gid, gid)?;
                setresuid(uid, uid, uid)?;
            }
            // Immediate shutdown: what was committed is in the log and is recovered at the next start.
            nix::sys::prctl::set_pdeathsig(Signal::SIGQUIT)?;
            match getppid() == parent {
                true => Ok(()),
                false => Err(io::Error::from_raw_os_error(nix::libc::ESRCH)),
            }
        });
    }
    command.spawn()
}
