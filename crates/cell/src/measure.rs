//! What a run takes of the store. The worker may not look itself: what cells write belongs to their ids, and so do the
//! descriptors of their processes. So it starts this program again, which joins the run's user namespace (the worker
//! owns it), becomes root there, and looks at the run's folders and open files from outside its other namespaces.
//! No process of the run sees it. Absent: any trust in what the run's own processes say.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};
use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};
use snapshot::{Snapshots, Usage};

use crate::job::ledger;
use crate::{Attempt, Spawner};

/// So many descriptors are looked at, of all processes of a run.
const MOST_DESCRIPTORS: usize = 200_000;

/// What a run takes of the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    pub bytes: u64,
    /// Files and folders.
    pub inodes: u64,
    /// It nests too deep to be looked at: it is more than this.
    pub partial: bool,
}

/// What to look at.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    attempt: Attempt,
    processes: Vec<u32>,
}

impl Spawner {
    /// What `attempt` takes by now, in folders and in files that only its `processes` still hold. `cell` is the
    /// process id of its cell.
    ///
    /// # Errors
    /// The run has ended meanwhile, or the namespace can't be joined.
    pub fn measure(&self, cell: u32, attempt: &Attempt, processes: Vec<u32>) -> io::Result<Taken> {
        let namespace: OwnedFd = File::open(format!("/proc/{cell}/ns/user"))?.into();
        let question = serde_json::to_vec(&Question { attempt: attempt.clone(), processes })?;
        let mut command = self.command("slipway-measure");
        command.arg("measure").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        join(&mut command, namespace.as_raw_fd());
        let mut child = self.run(command)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&question)?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(io::Error::other(said));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

#[expect(unsafe_code, reason = "pre_exec runs between fork and exec")]
fn join(command: &mut Command, namespace: RawFd) {
    // SAFETY: system calls alone, nothing is allocated, and the namespace is open in the parent until the spawn has
    // answered. The child has one thread, as setns asks for.
    unsafe {
        command.pre_exec(move || {
            let (user, group) = (Uid::from_raw(0), Gid::from_raw(0));
            if nix::libc::setns(namespace, nix::libc::CLONE_NEWUSER) != 0 {
                return Err(io::Error::last_os_error());
            }
            nix::unistd::setgroups(&[])?;
            nix::unistd::setresgid(group, group, group)?;
            nix::unistd::setresuid(user, user, user)?;
            Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?)
        });
    }
}

/// What the started program does: the question on its input, the answer on its output.
///
/// # Errors
/// A folder can't be read.
pub fn measure() -> io::Result<()> {
    // A stranger's folders may need an open one a level.
    if let Ok((_, most)) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE) {
        let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, most, most);
    }
    let Question { attempt, processes } = serde_json::from_reader(io::stdin())?;
    let cells = Path::new(".");
    let scratch = attempt.scratch_in(cells);
    let mut sum = snapshot::usage(&scratch)?;
    sum += Snapshots::usage(&attempt.snapshots_in(cells), &ledger(&scratch))?;
    sum += Snapshots::usage(&attempt.bases_in(cells), &attempt.unpacked_in(cells))?;
    sum += nameless(&processes, cells)?;
    let taken = Taken { bytes: sum.bytes, inodes: sum.inodes, partial: sum.partial };
    serde_json::to_writer(io::stdout(), &taken)?;
    Ok(())
}

/// Files of the store's disk that have lost their names, and that these processes still hold. Absent: one that is
/// only mapped, or on its way through a socket.
fn nameless(processes: &[u32], store: &Path) -> io::Result<Usage> {
    let disk = std::fs::metadata(store)?.dev();
    let mut seen = HashSet::new();
    let mut taken = Usage::default();
    let folders = processes.iter().map(|pid| format!("/proc/{pid}/fd"));
    let descriptors = folders.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    for (number, descriptor) in descriptors.enumerate() {
        if number == MOST_DESCRIPTORS {
            // Behind so many there may be anything.
            taken.partial = true;
            break;
        }
        let path = descriptor.path();
        let Ok(file) = std::fs::metadata(&path) else { continue };
        if !file.is_file() || file.nlink() > 0 || !seen.insert((file.dev(), file.ino())) {
            continue;
        }
        // In a stack a file has the stack's device; a memfd has neither.
        let in_stack = || statfs(&path).is_ok_and(|system| system.filesystem_type() == OVERLAYFS_SUPER_MAGIC);
        if file.dev() == disk || in_stack() {
            taken += Usage { bytes: file.blocks().saturating_mul(512), inodes: 1, partial: false };
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn an_open_file_without_a_name_counts_what_was_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let look = || nameless(&[std::process::id()], folder.path()).unwrap();
        let before = look();
        let mut file = tempfile::tempfile_in(folder.path()).unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        let _again = file.try_clone().unwrap();
        let _named = File::create(folder.path().join("named")).unwrap();
        let after = look();
        assert_eq!(after.inodes, before.inodes + 1);
        assert!(after.bytes >= before.bytes + (1 << 20), "{before:?} {after:?}");
    }
}
