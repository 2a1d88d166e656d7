//! Writing the id maps of a new user namespace (user_namespaces(7)), by the setuid helpers of
//! Debian's `uidmap`.

use std::process::{Command, Stdio};

use crate::{Ids, Range};

/// Which host ids a new user namespace has.
#[derive(Debug, Clone, Copy)]
pub struct Maps {
    ids: Ids,
    own: bool,
}

/// Why a map could not be written.
#[derive(Debug, thiserror::Error)]
pub enum MapsError {
    #[error("{tool} can't be started: {error}")]
    Missing { tool: &'static str, error: std::io::Error },
    #[error("{tool} refused the map: {message}")]
    Refused { tool: &'static str, message: String },
}

impl Maps {
    /// A cell's: the subordinate ids and nothing else, so nothing in a cell runs as the worker.
    #[must_use]
    pub fn of_cell(ids: Ids) -> Self {
        Self { ids, own: false }
    }

    /// For [`crate::Job::Adopt`] only: 0 is the worker itself, 1 the cells' root.
    #[must_use]
    pub fn with_own(ids: Ids) -> Self {
        Self { ids, own: true }
    }

    /// Writes both maps of the process `pid`, which waits in its new namespace.
    ///
    /// # Errors
    /// The helpers are missing or refuse.
    pub fn write(&self, pid: u32) -> Result<(), MapsError> {
        let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
        self.write_one("newuidmap", pid, uid, self.ids.users)?;
        self.write_one("newgidmap", pid, gid, self.ids.groups)
    }

    fn write_one(&self, tool: &'static str, pid: u32, own: u32, range: Range) -> Result<(), MapsError> {
        let extents = match self.own {
            true => vec![[0, own, 1], [1, range.start, 1]],
            false => vec![[0, range.start, range.count]],
        };
        let mut command = Command::new(tool);
        command.arg(pid.to_string()).args(extents.iter().flatten().map(u32::to_string));
        let output =
            command.stdin(Stdio::null()).output().map_err(|error| MapsError::Missing { tool, error })?;
        if output.status.success() {
            return Ok(());
        }
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(MapsError::Refused { tool, message })
    }
}
