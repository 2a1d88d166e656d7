//! How the process that was started as `slipway cell` becomes a box. In: the port at descriptor 3.
//! Three processes: the outer one waits, pid 1 of the new namespace makes the mounts and reaps, its child works,
//! one user and one mount namespace deeper.

use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use model::Failure;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, getppid, setgroups, setresgid, setresuid};
use port::{Channel, Finish, Outside, ToCell, ToWorker};

use crate::lock::Inside;
use crate::{Job, PORT_DESCRIPTOR, lock, mounts, recipe, routes};

/// Everything from here to the end of the process. Must be called before any thread exists.
/// `worker` is the process id of the worker, which is the parent of this process.
pub fn enter(worker: u32) -> ! {
    close_all_above(PORT_DESCRIPTOR);
    let Some(channel) = take_port() else { std::process::exit(2) };
    match unshare_and_map(&channel, worker) {
        Ok(job) => become_pid_one(channel, job),
        Err(message) => {
            let failure = Failure::service("cell_start_failed", message, "See `slipway doctor`.");
            let _ = channel.send(&ToWorker::Finish(Finish::Failed { failure, revision: None }), &[]);
            std::process::exit(1)
        }
    }
}

/// What the worker's own parent leaked must not reach a build.
#[expect(unsafe_code, reason = "close_range has no safe wrapper")]
fn close_all_above(last: i32) {
    let first = nix::libc::c_uint::try_from(last + 1).unwrap_or(4);
    // SAFETY: this process has just started and owns no descriptor above the port.
    unsafe { nix::libc::close_range(first, nix::libc::c_uint::MAX, 0) };
}

#[expect(unsafe_code, reason = "the port is inherited at a fixed descriptor")]
fn take_port() -> Option<Channel> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    // SAFETY: the spawner put the port at this descriptor and nothing in this process uses it yet. If
    // it is not open, the first call below fails and the process ends.
    let socket = unsafe { OwnedFd::from_raw_fd(PORT_DESCRIPTOR) };
    fcntl(socket.as_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
    nix::sys::socket::getsockopt(&socket, nix::sys::socket::sockopt::SockType).ok()?;
    Some(Channel::from_socket(socket))
}

fn unshare_and_map(channel: &Channel, worker: u32) -> Result<Job, String> {
    let say = |what: &'static str| move |error: nix::Error| format!("{what}: {error}");
    unshare(
        CloneFlags::CLONE_NEWUSER
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWNET,
    )
    .map_err(say("unshare"))?;
    channel.send(&ToWorker::Unshared, &[]).map_err(|error| error.to_string())?;
    expect(channel, |message| matches!(message, ToCell::Mapped).then_some(()))?;
    setgroups(&[]).map_err(say("setgroups"))?;
    let (user, group) = (Uid::from_raw(0), Gid::from_raw(0));
    setresgid(group, group, group).map_err(say("setresgid"))?;
    setresuid(user, user, user).map_err(say("setresuid"))?;
    // After the last change of ids, which clears it.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(say("PDEATHSIG"))?;
    if getppid() != Pid::from_raw(i32::try_from(worker).unwrap_or(0)) {
        return Err("the worker ended meanwhile".to_owned());
    }
    // The worker starts slirp4netns by /proc/PID/ns, which needs this.
    prctl::set_dumpable(true).map_err(say("dumpable"))?;
    let job: Job = expect(channel, |message| match message {
        ToCell::Start(job) => serde_json::from_value(*job).ok(),
        _ => None,
    })?;
    // In the first of the cell's processes: none of the others has ever held these rights.
    routes::close(job.unreachable()).map_err(|error| format!("unreachable routes: {error}"))?;
    routes::lock().map_err(|error| format!("rights over the network: {error}"))?;
    Ok(job)
}

fn expect<T>(channel: &Channel, take: impl FnOnce(ToCell) -> Option<T>) -> Result<T, String> {
    let packet = channel.receive::<ToCell>().map_err(|error| error.to_string())?;
    packet.and_then(|packet| take(packet.message)).ok_or_else(|| "the worker said something else".to_owned())
}

#[expect(unsafe_code, reason = "fork")]
fn become_pid_one(channel: Channel, job: Job) -> ! {
    let Ok((alive, holder)) = std::io::pipe() else { std::process::exit(1) };
    // SAFETY: no thread exists in this process.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => {
            drop((channel, alive));
            let code = wait_for(child);
            drop(holder);
            std::process::exit(code)
        }
        Ok(ForkResult::Child) => {
            drop(holder);
            if prctl::set_pdeathsig(Signal::SIGKILL).is_err() || has_hung_up(&alive) {
                std::process::exit(1);
            }
            reap_around(channel, job)
        }
        Err(_) => std::process::exit(1),
    }
}

/// Whether the outer process ended before the parent-death signal was set.
fn has_hung_up(alive: &std::io::PipeReader) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut descriptors = [PollFd::new(alive.as_fd(), PollFlags::POLLIN)];
    poll(&mut descriptors, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

#[expect(unsafe_code, reason = "fork")]
fn reap_around(channel: Channel, job: Job) -> ! {
    let furnished = mounts::furnish(&job.views());
    let line =
        furnished.and_then(|cells| lock::line(cells, job.run_folder()).map_err(|error| error.to_string()));
    let (doorkeeper, inside) = match line {
        Ok((doorkeeper, inside)) => (Some(doorkeeper), Ok(inside)),
        Err(error) => (None, Err(error)),
    };
    // SAFETY: no thread exists in this process.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => {
            drop((channel, inside));
            // It holds what the inside must not reach, and nobody has to look into it.
            if prctl::set_dumpable(false).is_err() {
                std::process::exit(1);
            }
            if let Some(doorkeeper) = doorkeeper {
                std::thread::spawn(move || doorkeeper.serve(child));
            }
            // When this process ends, the kernel kills all that is left in the namespace.
            std::process::exit(wait_for(child))
        }
        Ok(ForkResult::Child) => {
            // With it goes the way to the other cells' folders.
            drop(doorkeeper);
            work(channel, job, inside)
        }
        Err(_) => std::process::exit(1),
    }
}

fn wait_for(child: Pid) -> i32 {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => return code,
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => return 128 + signal as i32,
            Err(nix::Error::ECHILD) => return 1,
            _ => {}
        }
    }
}

fn work(channel: Channel, job: Job, inside: Result<Inside, String>) -> ! {
    let locked = inside.and_then(|mut inside| {
        if job.is_of_strangers() {
            inside.deepen()?;
            // A new user namespace gives them anew. They are good for nothing over the network of the one above.
            routes::lock().map_err(|error| format!("rights over the network: {error}"))?;
        }
        Ok(inside)
    });
    let outside = port::SocketOutside::new(channel, || std::process::exit(1));
    let finish = match locked {
        Ok(mut inside) => {
            let finish = recipe::carry_out(&job, &outside);
            if let Err(error) = inside.remove_run() {
                outside.log(&format!("The run's folder stays until the worker starts again: {error}\n"));
            }
            finish
        }
        Err(error) => Finish::Failed {
            failure: Failure::service("cell_start_failed", error, "See `slipway doctor`."),
            revision: None,
        },
    };
    let code = i32::from(outside.finish(finish).is_err());
    std::process::exit(code)
}
