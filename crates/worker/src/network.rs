//! The network of a cell: one slirp4netns, started when the first RUN that needs it is about to run.
//! It ends when its exit descriptor closes, and the cell holds that. What a RUN must not reach was made
//! unreachable in that namespace when the cell started (`cell/src/routes.rs`).

use std::io::{PipeReader, PipeWriter, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use model::Failure;

/// How long slirp4netns may take to make its device.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// Connects the network namespace of the cell whose first process is `pid`. Blocks until the device
/// stands. Answers the descriptor that keeps it alive.
///
/// # Errors
/// `network_unavailable`: the host does not let this worker open a tun device, or slirp4netns is
/// missing.
pub(crate) fn connect(pid: u32) -> Result<OwnedFd, Failure> {
    let (exit_theirs, exit_ours) = std::io::pipe().map_err(|error| unavailable(&error))?;
    let (ready, ready_theirs) = std::io::pipe().map_err(|error| unavailable(&error))?;
    let mut child = start(pid, exit_theirs, ready_theirs)?;
    if let Err(why) = wait_ready(ready) {
        drop(exit_ours);
        let _ = child.kill();
        let said = said_by(child);
        return Err(unavailable(&format!("{why}; slirp4netns said: {said}")));
    }
    std::thread::spawn(move || child.wait());
    Ok(exit_ours.into())
}

fn start(pid: u32, exit: PipeReader, ready: PipeWriter) -> Result<Child, Failure> {
    let mut command = Command::new("slirp4netns");
    command.args([
        "--configure",
        "--mtu=65520",
        "--disable-host-loopback",
        "--enable-sandbox",
        "--enable-seccomp",
    ]);
    // By process id: with the namespaces' paths its sandbox does not enter the user namespace (1.2.0).
    command.args(["--exit-fd=4", "--ready-fd=5"]).arg(pid.to_string()).arg("tap0");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    pass(&mut command, exit.as_raw_fd(), ready.as_raw_fd());
    command.spawn().map_err(|error| unavailable(&error))
}

#[expect(unsafe_code, reason = "pre_exec runs between fork and exec")]
fn pass(command: &mut Command, exit: i32, ready: i32) {
    use nix::libc::{F_DUPFD, fcntl};
    // SAFETY: fcntl and dup2 are async-signal-safe; both descriptors are open in the parent until
    // spawn has returned. They are first moved above 9, so that neither dup2 overwrites the other.
    unsafe {
        command.pre_exec(move || {
            let (exit, ready) = (fcntl(exit, F_DUPFD, 10), fcntl(ready, F_DUPFD, 10));
            let moved = exit >= 0
                && ready >= 0
                && nix::libc::dup2(exit, 4) == 4
                && nix::libc::dup2(ready, 5) == 5
                && nix::libc::close(exit) == 0
                && nix::libc::close(ready) == 0;
            if moved { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
}

fn wait_ready(mut ready: PipeReader) -> Result<(), String> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let timeout = PollTimeout::try_from(READY_WITHIN).map_err(|error| error.to_string())?;
    let ready_in_time = {
        let mut descriptors = [PollFd::new(ready.as_fd(), PollFlags::POLLIN)];
        poll(&mut descriptors, timeout).map_err(|error| error.to_string())? > 0
    };
    let mut byte = [0];
    match ready_in_time && ready.read(&mut byte).map_err(|error| error.to_string())? == 1 {
        true => Ok(()),
        false => Err("no device was made".to_owned()),
    }
}

fn said_by(child: Child) -> String {
    let Ok(output) = child.wait_with_output() else { return String::new() };
    String::from_utf8_lossy(&output.stderr).trim().chars().take(500).collect()
}

fn unavailable(error: &dyn std::fmt::Display) -> Failure {
    Failure::service(
        "network_unavailable",
        format!("This worker can't give a RUN a network: {error}."),
        "Install Debian's package `slirp4netns` and let the worker's user open /dev/net/tun; see `slipway doctor`.",
    )
}
