//! What a cell is started for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use model::{BuildNetwork, BuildSpec, RunId};
use serde::{Deserialize, Serialize};

/// Where a cell sees the store's folder that belongs to the cells' root. It is mounted here, so that no
/// folder above it has to let the cell pass.
pub(crate) const CELLS: &str = "/tmp/cells";

/// The worker's second message to a cell.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Gives the cells' folder to the cells' root. Runs with [`crate::Maps::with_own`], before any user's
    /// file is near.
    Adopt,
    /// Removes what runs that were killed left behind, and what an earlier boot unpacked. Only while
    /// no other cell of this store lives.
    Sweep { boot_id: String },
    /// Removes the folder of one run.
    Clear { run: RunId, attempt: i32 },
    /// Keeps the unpacked layers of all scopes within `limit` bytes, beside cells that use them, and compares
    /// those that were looked at longer ago than `compare_after` with what they had been.
    Clean { boot_id: String, limit: u64, compare_after: Option<Duration> },
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
    /// Unpacked folders of an earlier boot are not used: overlay's `volatile` syncs nothing.
    pub boot_id: String,
    /// How many vertices run side by side.
    pub cores: usize,
    /// Name or path of the OCI runtime; the first that works when absent.
    pub runtime: Option<String>,
    /// What every RUN is given.
    pub network: BuildNetwork,
    /// Networks that a RUN does not reach.
    pub unreachable: Vec<IpNet>,
}

impl Job {
    /// Networks that nothing in this cell reaches.
    pub(crate) fn unreachable(&self) -> &[IpNet] {
        match self {
            Self::Build(job) => &job.unreachable,
            // They never have a network.
            Self::Adopt | Self::Sweep { .. } | Self::Clear { .. } | Self::Clean { .. } => &[],
        }
    }
}

impl BuildJob {
    /// What only this attempt writes; removed when it ends.
    pub(crate) fn scratch(&self) -> PathBuf {
        scratch(self.run, self.attempt)
    }

    /// Unpacked layers of this scope and boot.
    pub(crate) fn snapshots(&self) -> PathBuf {
        Path::new(CELLS).join("snapshots").join(&self.scope).join(&self.boot_id)
    }
}

/// The folder of one attempt.
pub(crate) fn scratch(run: RunId, attempt: i32) -> PathBuf {
    Path::new(CELLS).join("runs").join(format!("{run}-{attempt}"))
}
