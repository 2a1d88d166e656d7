//! A folder whose files are in memory alone. In: a path. Out: a tmpfs mounted there, in this mount namespace,
//! until it is dropped.

use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::Error;

/// The mounted folder.
#[derive(Debug)]
pub struct MemoryFolder {
    path: PathBuf,
}

impl MemoryFolder {
    /// Makes and mounts it. It may be passed by everybody, and listed by root.
    ///
    /// # Errors
    /// The folder can't be made, or the mount is refused.
    pub fn mount(path: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(path).map_err(Error::io(format!("Making {}", path.display())))?;
        // Without noexec: what is shown in a sandbox is mounted again there, and may not lose an option.
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("none"), path, Some("tmpfs"), flags, Some("size=16m,mode=711"))
            .map_err(|e| Error::Host { action: "Mounting memory", message: e.to_string() })?;
        Ok(Self { path: path.to_owned() })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for MemoryFolder {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.path, MntFlags::MNT_DETACH) {
            tracing::warn!(%error, "a folder in memory stays mounted until its namespace ends");
        }
        let _ = std::fs::remove_dir(&self.path);
    }
}
