//! `slipway git-ssh`: a process that keeps a key where ssh can read it and nothing is left of it, and runs ssh.
//! In: key and host keys, in files of memory that the worker passed as descriptors 3 and 4. Out: ssh's own
//! streams and exit code. ssh closes every descriptor that it is started with, and takes files alone: so they
//! are named as this process's, below /proc. They have no name on any disk, and go with this process, however
//! it ends. Deliberately absent: any other command than `git-upload-pack`.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use cell::porch;
use model::{Failure, SshAddress};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::report::report;
use super::start::{HOSTS_DESCRIPTOR, KEY_DESCRIPTOR};

/// Runs ssh to the repository at `address`, for as long as the worker lives.
#[must_use]
pub fn keep_key(worker: u32, address: &str) -> ExitCode {
    match run(worker, address) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => report(&failure),
    }
}

fn run(worker: u32, address: &str) -> Result<u8, Failure> {
    let address = SshAddress::parse(address).map_err(|error| unusable(&error))?;
    let worker = i32::try_from(worker).map_err(|error| unusable(&error))?;
    porch::die_with(Some(Pid::from_raw(worker))).map_err(|error| unusable(&error))?;
    // Only a process that may be looked at shows its descriptors, and only to its own user.
    prctl::set_dumpable(true).map_err(|error| unusable(&error))?;
    for descriptor in [KEY_DESCRIPTOR, HOSTS_DESCRIPTOR] {
        keep_from_children(descriptor).map_err(|error| unusable(&error))?;
    }
    let mut command = ssh(&address, std::process::id());
    die_with_us(&mut command);
    let status = command.status().map_err(|error| unusable(&error))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

/// No file of this machine is read or written: neither its configuration, nor keys, nor known hosts.
fn ssh(address: &SshAddress, own: u32) -> Command {
    let mut command = Command::new("ssh");
    command.args(["-F", "none", "-T", "-a", "-x"]);
    for option in [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "GlobalKnownHostsFile=/dev/null",
        "UpdateHostKeys=no",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "PreferredAuthentications=publickey",
        "ForwardAgent=no",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
        "ControlMaster=no",
        "ControlPath=none",
        "ConnectTimeout=20",
        "ServerAliveInterval=10",
        "ServerAliveCountMax=3",
    ] {
        command.args(["-o", option]);
    }
    command.arg("-o").arg(format!("UserKnownHostsFile=/proc/{own}/fd/{HOSTS_DESCRIPTOR}"));
    command.arg("-o").arg(format!("ProxyCommand=/proc/{own}/exe connect %h %p"));
    command.arg("-i").arg(format!("/proc/{own}/fd/{KEY_DESCRIPTOR}"));
    command.arg("-p").arg(address.port.to_string()).args(["-l", &address.user]);
    command.args(["--", &address.host]).arg(address.upload_pack());
    // Its words are read, so they have to be those that it is written in.
    command.env("LC_ALL", "C");
    command
}

#[expect(unsafe_code, reason = "pre_exec runs between fork and exec")]
fn die_with_us(command: &mut Command) {
    // SAFETY: a single system call, nothing is allocated.
    unsafe {
        command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?));
    }
}

#[expect(unsafe_code, reason = "the descriptors were passed by number")]
fn keep_from_children(descriptor: i32) -> io::Result<()> {
    // SAFETY: it changes a flag of a descriptor, which is refused where there is none.
    let changed = unsafe { nix::libc::fcntl(descriptor, nix::libc::F_SETFD, nix::libc::FD_CLOEXEC) };
    if changed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn unusable(error: &dyn std::fmt::Display) -> Failure {
    Failure::service(
        "ssh_unusable",
        format!("This worker can't run ssh: {error}."),
        "Install Debian's package `openssh-client`; see `slipway doctor`.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_is_told_the_host_after_every_option_and_one_command() {
        let address = SshAddress::parse("ssh://me@[::1]:2222/it's").expect("an address");
        let command = ssh(&address, 7);
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        let expected =
            ["-i", "/proc/7/fd/3", "-p", "2222", "-l", "me", "--", "::1", r"git-upload-pack '/it'\''s'"];
        assert!(words.ends_with(&expected.map(str::to_owned)), "{words:?}");
        assert_eq!(words.iter().filter(|word| *word == "--").count(), 1);
    }
}
