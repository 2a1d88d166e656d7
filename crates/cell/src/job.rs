//! What a cell is started for.

use std::path::PathBuf;

use model::{BuildSpec, RunId};
use serde::{Deserialize, Serialize};

/// The worker's second message to a cell.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Gives a folder of the worker to the cells' root. Runs with [`crate::Maps::with_own`], before
    /// any user's file is near.
    Adopt { folder: PathBuf },
    /// Removes what runs that were killed left behind, and what an earlier boot unpacked. Only while
    /// no other cell of this store lives.
    Sweep { cells: PathBuf, boot_id: String },
    /// Removes the folder of one run.
    Clear { folder: PathBuf },
    /// Builds an image.
    Build(Box<BuildJob>),
}

/// One run, as the cell needs to know it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BuildJob {
    pub run: RunId,
    pub attempt: i32,
    pub spec: BuildSpec,
    /// Trust scope: the cell writes in its scope's folders only.
    pub scope: String,
    /// The store's folder that belongs to the cells' root.
    pub cells: PathBuf,
    /// Unpacked folders of an earlier boot are not used: overlay's `volatile` syncs nothing.
    pub boot_id: String,
    /// How many vertices run side by side.
    pub cores: usize,
    /// Name or path of the OCI runtime; the first that works when absent.
    pub runtime: Option<String>,
}

impl BuildJob {
    /// What only this attempt writes; removed when it ends.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.cells.join("runs").join(format!("{}-{}", self.run, self.attempt))
    }

    /// Unpacked layers of this scope and boot.
    #[must_use]
    pub fn snapshots(&self) -> PathBuf {
        self.cells.join("snapshots").join(&self.scope).join(&self.boot_id)
    }
}
