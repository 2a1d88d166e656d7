//! The namespaces that the inside of a cell runs in: one user and one mount namespace deeper than its mounts and
//! routes were made, so that the kernel locks them. Between them one line: the inside asks its pid 1, which
//! stands outside of the lock, for its id maps and for the removal of its folder.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::unistd::{Pid, UnlinkatFlags, unlinkat};

use crate::CELL_IDS;

const MAP: u8 = b'm';
const REMOVE: u8 = b'r';
const DONE: u8 = b'.';

/// The inside's end of the line.
#[derive(Debug)]
pub(crate) struct Inside(UnixStream);

/// Pid 1's end, and what it needs to do as it is asked.
#[derive(Debug)]
pub(crate) struct Doorkeeper {
    line: UnixStream,
    cells: OwnedFd,
    /// Of this attempt, within the cells' folder.
    run: Option<PathBuf>,
}

/// Both ends.
pub(crate) fn line(cells: OwnedFd, run: Option<PathBuf>) -> io::Result<(Doorkeeper, Inside)> {
    let (line, theirs) = UnixStream::pair()?;
    Ok((Doorkeeper { line, cells, run }, Inside(theirs)))
}

impl Doorkeeper {
    /// Does what the inside asks, until it ends. It may be hostile by then: what it can ask for twice is its own.
    pub(crate) fn serve(mut self, inside: Pid) {
        let mut asked = [0];
        while self.line.read_exact(&mut asked).is_ok() {
            let done = match asked[0] {
                MAP => write_maps(inside),
                REMOVE => self.remove(),
                _ => return,
            };
            let answer = if done.is_ok() { DONE } else { b'!' };
            if self.line.write_all(&[answer]).is_err() {
                return;
            }
        }
    }

    /// Only the empty folder: what is in it is the inside's.
    fn remove(&self) -> io::Result<()> {
        let Some(run) = &self.run else { return Ok(()) };
        Ok(unlinkat(&self.cells, run, UnlinkatFlags::RemoveDir)?)
    }
}

/// The same ids, in one extent as the cell's own.
fn write_maps(inside: Pid) -> io::Result<()> {
    let map = format!("0 0 {CELL_IDS}\n");
    ["uid_map", "gid_map"]
        .into_iter()
        .try_for_each(|name| std::fs::write(format!("/proc/{inside}/{name}"), &map))
}

impl Inside {
    /// Goes one user and one mount namespace deeper. No thread may exist yet.
    pub(crate) fn deepen(&mut self) -> Result<(), String> {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
            .map_err(|error| format!("the inner namespaces: {error}"))?;
        self.ask(MAP).map_err(|error| format!("the inner id maps: {error}"))?;
        prctl::set_no_new_privs().map_err(|error| format!("no new privileges: {error}"))
    }

    /// Has the folder of this attempt removed, which is empty.
    pub(crate) fn remove_run(&mut self) -> Result<(), String> {
        self.ask(REMOVE).map_err(|error| format!("the run's folder: {error}"))
    }

    fn ask(&mut self, what: u8) -> io::Result<()> {
        self.0.write_all(&[what])?;
        let mut answer = [0];
        self.0.read_exact(&mut answer)?;
        if answer[0] == DONE { Ok(()) } else { Err(io::Error::other("refused")) }
    }
}
