//! Runs one process to its end and hands its output on as it comes.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::bundle::{self, Shown};
use crate::stop::{Killer, Stop};
use crate::{Error, Runtime};

/// What to run. Nothing of the caller's environment or descriptors goes in.
#[derive(Clone, Debug)]
pub struct Process<'a> {
    /// Absolute; its files' owners are ids of the caller's user namespace.
    pub rootfs: &'a Path,
    /// The whole argument vector.
    pub args: Vec<String>,
    /// `NAME=value`, all of it.
    pub env: Vec<String>,
    /// Absolute, within the root folder.
    pub cwd: String,
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    pub hostname: &'a str,
    pub network: Network,
    /// Files and folders from outside, each with a place in the root folder to be mounted at.
    pub shown: Vec<Shown>,
    /// The longest file that it may write, in bytes.
    pub file_size: Option<u64>,
    /// Shown as `/etc/resolv.conf`.
    pub resolv_conf: Option<&'a Path>,
    /// Shown as `/etc/hosts`.
    pub hosts: Option<&'a Path>,
    /// Ends it from another thread.
    pub stop: Option<&'a Stop>,
}

impl<'a> Process<'a> {
    /// Root's process at `/`, without environment and network.
    #[must_use]
    pub fn new(rootfs: &'a Path, args: &[&str]) -> Self {
        Self {
            rootfs,
            args: args.iter().map(|&a| a.to_owned()).collect(),
            env: Vec::new(),
            cwd: "/".to_owned(),
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            hostname: "sandbox",
            network: Network::None,
            resolv_conf: None,
            hosts: None,
            shown: Vec::new(),
            file_size: None,
            stop: None,
        }
    }
}

/// What a process reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// A network namespace of its own, with nothing in it.
    None,
    /// The caller's.
    Cell,
}

/// Where output was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Its exit code. A process that a signal ended has 128 + that signal, as runtimes report it.
    Code(i32),
    /// The runtime itself was ended by this signal, and with it the process.
    Signal(i32),
}

/// Runs `process` with a bundle written into `bundle_dir` (made if missing, emptied by nobody, unique to
/// this process). Returns when the process has ended and with it everything in its pid namespace.
/// `output` is called with pieces of at most 64 KiB, in the order in which each stream was written.
///
/// # Errors
/// The bundle can't be written, the runtime is missing or refuses, the command can't be executed, or
/// the process was stopped.
pub fn run(
    runtime: &Runtime,
    bundle_dir: &Path,
    process: &Process<'_>,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Exit, Error> {
    let call = Call::write(runtime, bundle_dir, process)?;
    let killer = call.killer();
    if process.stop.is_some_and(|stop| !stop.enter(&killer)) {
        return Err(Error::Stopped);
    }
    let status = call.command().spawn().map_err(Error::io(format!("Starting {}", runtime.path.display())));
    let status = status.and_then(|child| {
        // A stop between `enter` and the container's creation found nothing to kill.
        if process.stop.is_some_and(Stop::is_stopped) {
            killer.kill();
        }
        stream(child, output)
    });
    if let Some(stop) = process.stop {
        stop.leave(&killer);
    }
    let status = status?;
    if process.stop.is_some_and(Stop::is_stopped) {
        return Err(Error::Stopped);
    }
    call.outcome(status)
}

/// One call of the runtime.
struct Call<'a> {
    runtime: &'a Runtime,
    bundle: PathBuf,
    id: String,
    network: Network,
}

impl<'a> Call<'a> {
    fn write(runtime: &'a Runtime, bundle: &Path, process: &Process<'_>) -> Result<Self, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let spec = bundle::spec(process, runtime.kind)?;
        std::fs::create_dir_all(bundle).map_err(Error::io(format!("Making {}", bundle.display())))?;
        let json = serde_json::to_vec(&spec)
            .map_err(|e| Error::Host { action: "Writing the bundle", message: e.to_string() })?;
        std::fs::write(bundle.join("config.json"), json).map_err(Error::io("Writing the bundle"))?;
        // Never read back: what it holds is from this call.
        File::create(bundle.join("log")).map_err(Error::io("Writing the bundle"))?;
        let id = format!("slipway-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Ok(Self { runtime, bundle: bundle.to_owned(), id, network: process.network })
    }

    fn arguments(&self, log: &str) -> Vec<OsString> {
        self.runtime.global_arguments(self.network, &self.bundle.join("state"), &self.bundle.join(log))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.runtime.path);
        command
            .args(self.arguments("log"))
            .args(["run".as_ref(), "--bundle".as_ref(), self.bundle.as_os_str(), self.id.as_ref()])
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        close_other_descriptors(&mut command);
        command
    }

    fn killer(&self) -> Killer {
        let mut arguments = self.arguments("kill-log");
        arguments.extend(["kill".into(), self.id.clone().into(), "KILL".into()]);
        Killer { program: self.runtime.path.clone().into(), arguments }
    }

    /// A runtime that could not start the process says so in its log, whatever its exit code.
    fn outcome(&self, status: ExitStatus) -> Result<Exit, Error> {
        let log = std::fs::read_to_string(self.bundle.join("log")).unwrap_or_default();
        let failed = !status.success();
        if let Some(message) = last_error(&log).filter(|_| failed) {
            return Err(if is_about_the_command(&message) {
                Error::NotExecutable { message }
            } else {
                Error::Refused { runtime: self.runtime.path.display().to_string(), message }
            });
        }
        match (status.code(), status.signal()) {
            (Some(code), _) => Ok(Exit::Code(code)),
            (None, Some(signal)) => Ok(Exit::Signal(signal)),
            (None, None) => Ok(Exit::Code(255)),
        }
    }
}

fn last_error(log: &str) -> Option<String> {
    let message = |line: &str| -> Option<String> {
        let entry: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_error = entry.get("level")?.as_str()? == "error";
        is_error.then(|| entry.get("msg").and_then(|m| m.as_str()).map(str::to_owned))?
    };
    log.lines().rev().find_map(message)
}

/// crun: `executable file `x` not found in $PATH`, `open executable: …`, `exec container process …`;
/// runc: `exec: "x": executable file not found in $PATH`, `exec: "/x": permission denied`,
/// `exec /x: exec format error`; runsc: `creating process: failed to load /x: no such file or directory`.
fn is_about_the_command(message: &str) -> bool {
    const WORDS: [&str; 6] = [
        "executable file",
        "open executable",
        "exec container process",
        "exec: \"",
        ": exec format error",
        "creating process: ",
    ];
    WORDS.iter().any(|words| message.contains(words))
}

/// Everything above 2 is closed in the runtime, whoever opened it without `O_CLOEXEC`.
#[expect(unsafe_code, reason = "pre_exec is the only place between fork and exec")]
fn close_other_descriptors(command: &mut Command) {
    let close = || {
        // SAFETY: close_range(2) takes three integers; with CLOEXEC it closes nothing by itself, so the
        // pipe by which the standard library reports a failed exec stays open until the exec.
        let done = unsafe {
            nix::libc::syscall(nix::libc::SYS_close_range, 3, u32::MAX, nix::libc::CLOSE_RANGE_CLOEXEC)
        };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: the closure makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(close);
    }
}

/// Two readers, one caller: what comes is handed on in the caller's thread.
fn stream(mut child: Child, output: &mut dyn FnMut(Stream, &[u8])) -> Result<ExitStatus, Error> {
    let (sender, pieces) = sync_channel(16);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        if let Some(stdout) = stdout {
            let sender = sender.clone();
            scope.spawn(move || read_pieces(stdout, Stream::Stdout, &sender));
        }
        if let Some(stderr) = stderr {
            scope.spawn(move || read_pieces(stderr, Stream::Stderr, &sender));
        }
        hand_on(&pieces, output);
    });
    child.wait().map_err(Error::io("Waiting for the runtime"))
}

fn hand_on(pieces: &Receiver<(Stream, Vec<u8>)>, output: &mut dyn FnMut(Stream, &[u8])) {
    for (stream, piece) in pieces {
        output(stream, &piece);
    }
}

fn read_pieces(mut from: impl Read, stream: Stream, to: &SyncSender<(Stream, Vec<u8>)>) {
    let mut buffer = vec![0; 65536];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                if to.send((stream, buffer[..count].to_vec())).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
