//! `slipway connect`: what ssh talks through. In: a host, a port, and ssh at the standard streams. Out: the bytes
//! of one connection, made as `egress` allows. Deliberately absent: any look at them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{ExitCode, exit};
use std::time::Duration;

use egress::Policy;
use model::Failure;
use nix::sys::prctl;
use nix::sys::signal::Signal;

use super::report::report;

/// As much as a pipe holds, in bytes.
const BUFFER: usize = 64 << 10;
/// For the name and the connection together.
const PATIENCE: Duration = Duration::from_secs(15);

/// Connects and carries bytes both ways until either side ends.
#[must_use]
pub fn connect(policy: &Policy, host: &str, port: u16) -> ExitCode {
    match open(policy, host, port) {
        Ok(connection) => carry(connection),
        Err(failure) => report(&failure),
    }
}

fn open(policy: &Policy, host: &str, port: u16) -> Result<TcpStream, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::service("internal", format!("{error}."), "");
    // An ssh that is killed also closes our input; this is the other rope.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| failed(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let connection = runtime.map_err(|error| failed(&error))?.block_on(async {
        let connected = tokio::time::timeout(PATIENCE, policy.connect(host, port)).await;
        let connected = connected.map_err(|_| unreachable_host(host, port, &"it did not answer in time"))?;
        let connection = connected.map_err(|error| {
            error.denied().map_or_else(|| unreachable_host(host, port, &error), egress::Denied::failure)
        })?;
        connection.into_std().map_err(|error| failed(&error))
    })?;
    connection.set_nonblocking(false).map_err(|error| failed(&error))?;
    Ok(connection)
}

fn unreachable_host(host: &str, port: u16, why: &dyn std::fmt::Display) -> Failure {
    Failure::service(
        "repository_unreachable",
        format!("The git host {host}, port {port}, can't be reached: {why}."),
        "See that the host's name and port are spelt right, and that this worker may reach it.",
    )
}

/// Neither ssh nor a host says anything after its end.
fn carry(connection: TcpStream) -> ExitCode {
    // As files: the standard streams would hold back what has no line end.
    let file = |stream: BorrowedFd<'_>| stream.try_clone_to_owned().map(File::from);
    let streams = (file(io::stdin().as_fd()), file(io::stdout().as_fd()), connection.try_clone());
    let (Ok(mut from_ssh), Ok(mut to_ssh), Ok(mut to_host)) = streams else { return ExitCode::FAILURE };
    let mut from_host = connection;
    std::thread::spawn(move || {
        let _ = copy(&mut from_ssh, &mut to_host);
        exit(0);
    });
    let copied = copy(&mut from_host, &mut to_ssh);
    ExitCode::from(u8::from(copied.is_err()))
}

/// By hand: `io::copy` splices, and a splice that waits for the host keeps the pipe locked that ssh reads from.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            length => to.write_all(&buffer[..length])?,
        }
    }
}
