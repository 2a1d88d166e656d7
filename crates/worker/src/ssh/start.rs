//! Starting the process that keeps a key and runs ssh (`keeper.rs`). All of them are children of one thread that
//! lives as long as the worker: a parent-death signal fires when the *thread* that spawned ends.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc::{Sender, channel};

use broker::GitSecret;
use egress::Policy;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Where the keeper finds the private key.
pub(super) const KEY_DESCRIPTOR: RawFd = 3;
/// Where it finds the lines of known_hosts(5).
pub(super) const HOSTS_DESCRIPTOR: RawFd = 4;

type Request = (Command, oneshot::Sender<io::Result<Child>>);

/// Starts keepers, from a thread of its own.
#[derive(Debug, Clone)]
pub(crate) struct Starter {
    program: PathBuf,
    /// For what connects.
    policy: Policy,
    requests: Sender<Request>,
}

impl Starter {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread can be made.
    pub(crate) fn start(runtime: Handle, policy: Policy) -> io::Result<Self> {
        Self::of(runtime, "/proc/self/exe".into(), policy)
    }

    /// With another program than this one in the keeper's place.
    pub(super) fn of(runtime: Handle, program: PathBuf, policy: Policy) -> io::Result<Self> {
        let (requests, queue) = channel::<Request>();
        std::thread::Builder::new().name("ssh-starter".to_owned()).spawn(move || {
            let _inside = runtime.enter();
            for (mut command, reply) in queue {
                let _ = reply.send(command.spawn());
            }
        })?;
        Ok(Self { program, policy, requests })
    }

    /// Starts one for the repository at `address`. Dropping the child ends it, and ssh with it.
    pub(super) async fn keeper(&self, address: &str, credential: &GitSecret) -> io::Result<Child> {
        let key = memory_file(credential.secret.expose())?;
        let hosts = memory_file(credential.known_hosts.as_deref().unwrap_or_default())?;
        let mut command = Command::new(&self.program);
        command.arg0("slipway-ssh").arg("git-ssh").arg(std::process::id().to_string()).arg(address);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs(self.policy.variables());
        command.current_dir("/").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        pass(&mut command, key.as_raw_fd(), hosts.as_raw_fd());
        let (reply, answer) = oneshot::channel();
        let gone = || io::Error::other("the starting thread is gone");
        self.requests.send((command, reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// ssh refuses a key that others may read, and one with a carriage return or without a last line end.
fn memory_file(text: &str) -> io::Result<File> {
    let mut lines = zeroize::Zeroizing::new(text.replace('\r', ""));
    if !lines.ends_with('\n') {
        lines.push('\n');
    }
    let file = port::sealed_file(lines.as_bytes())?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

#[expect(unsafe_code, reason = "pre_exec runs between fork and exec")]
fn pass(command: &mut Command, key: RawFd, hosts: RawFd) {
    use nix::libc::{F_DUPFD, F_SETFD, FD_CLOEXEC, dup2, fcntl};
    // SAFETY: fcntl and dup2 are async-signal-safe; both descriptors are open in the parent until spawn has
    // returned. They are first copied above 9, so that neither dup2 overwrites the other.
    unsafe {
        command.pre_exec(move || {
            let (key, hosts) = (fcntl(key, F_DUPFD, 10), fcntl(hosts, F_DUPFD, 10));
            let passed = key >= 0
                && hosts >= 0
                && dup2(key, KEY_DESCRIPTOR) == KEY_DESCRIPTOR
                && dup2(hosts, HOSTS_DESCRIPTOR) == HOSTS_DESCRIPTOR
                && fcntl(key, F_SETFD, FD_CLOEXEC) == 0
                && fcntl(hosts, F_SETFD, FD_CLOEXEC) == 0;
            if passed { Ok(()) } else { Err(io::Error::last_os_error()) }
        });
    }
}
