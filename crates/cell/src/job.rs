//! What a cell is started for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use model::{BuildNetwork, BuildSpec, RunId, RunLimits};
use port::BaseLayer;
use serde::{Deserialize, Serialize};

/// Where a cell sees what it may of the store's folder that belongs to the cells' root. It is mounted here, so
/// that no folder above it has to let the cell pass.
pub(crate) const CELLS: &str = "/tmp/cells";
/// There: what only this attempt writes.
const RUN: &str = "run";
/// There: unpacked layers of this scope and boot.
const OWN: &str = "own";
/// There: unpacked layers of images that anybody may have, which only unpacking cells write.
const BASE: &str = "base";
/// There: the ledger of an unpacking cell.
const ASKED: &str = "asked";

/// In an attempt's folder: a file for each layer's folder that it made, of its name.
const LEDGER: &str = "ledger";

/// Among the cells': a folder an attempt.
pub(crate) const RUNS: &str = "runs";
/// Among the cells': a folder a scope, in which there is one a boot.
pub(crate) const SNAPSHOTS: &str = "snapshots";
/// Among the cells': what all scopes share, a folder a boot.
pub(crate) const BASES: &str = "bases";
/// Among the cells': for each attempt the ledger of what was unpacked there for it.
pub(crate) const UNPACKED: &str = "unpacked";

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
    /// Removes the folder of one run, and the layers' folders that only it has seen.
    Clear(Attempt),
    /// Keeps the unpacked layers of all scopes within `limit` bytes, beside cells that use them, and compares
    /// those that were looked at longer ago than `compare_after` with what they had been.
    Clean { boot_id: String, limit: u64, compare_after: Option<Duration> },
    /// Unpacks layers that all scopes share.
    Unpack(UnpackJob),
    /// Builds an image.
    Build(Box<BuildJob>),
}

/// Layers of images that anybody may have.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnpackJob {
    pub layers: Vec<BaseLayer>,
    /// Who asked: what they take of the store is its.
    pub attempt: Attempt,
    /// How many are unpacked side by side.
    pub cores: usize,
}

/// A folder among the cells' that a cell sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// Within the cells' folder.
    pub(crate) source: PathBuf,
    /// Within [`CELLS`].
    pub(crate) place: &'static str,
    pub(crate) writable: bool,
}

impl View {
    fn new(source: PathBuf, place: &'static str, writable: bool) -> Self {
        Self { source, place, writable }
    }

    /// Whether it is the cells' folder itself.
    pub(crate) fn is_all(&self) -> bool {
        self.place.is_empty()
    }
}

/// One attempt of a run, and where it writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub run: RunId,
    pub attempt: i32,
    /// Trust scope.
    pub scope: String,
    pub boot_id: String,
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
    /// What it may take. The worker sees to it; the cell needs it to say what a failure was about.
    pub limits: RunLimits,
}

impl Job {
    /// Networks that nothing in this cell reaches.
    pub(crate) fn unreachable(&self) -> &[IpNet] {
        match self {
            Self::Build(job) => &job.unreachable,
            // They never have a network.
            Self::Adopt | Self::Sweep { .. } | Self::Clear(_) | Self::Clean { .. } | Self::Unpack(_) => &[],
        }
    }

    /// What the cell sees of the cells' folder: all of it only before any user's file is read.
    pub(crate) fn views(&self) -> Vec<View> {
        let bases = |attempt: &Attempt, writable| View::new(attempt.bases_in(Path::new("")), BASE, writable);
        match self {
            Self::Adopt | Self::Sweep { .. } | Self::Clear(_) | Self::Clean { .. } => {
                vec![View::new(PathBuf::from("."), "", true)]
            }
            Self::Unpack(UnpackJob { attempt, .. }) => {
                vec![bases(attempt, true), View::new(attempt.unpacked_in(Path::new("")), ASKED, true)]
            }
            Self::Build(job) => vec![
                View::new(job.place().scratch_in(Path::new("")), RUN, true),
                View::new(job.place().snapshots_in(Path::new("")), OWN, true),
                bases(&job.place(), false),
            ],
        }
    }

    /// Whether the cell reads what strangers made.
    pub(crate) fn is_of_strangers(&self) -> bool {
        matches!(self, Self::Build(_) | Self::Unpack(_))
    }

    /// The folder of its attempt, within the cells' folder.
    pub(crate) fn run_folder(&self) -> Option<PathBuf> {
        let Self::Build(job) = self else { return None };
        Some(job.place().scratch_in(Path::new("")))
    }
}

impl BuildJob {
    /// What only this attempt writes; emptied when it ends.
    pub(crate) fn scratch() -> PathBuf {
        Path::new(CELLS).join(RUN)
    }

    /// Unpacked layers of this scope and boot.
    pub(crate) fn snapshots() -> PathBuf {
        Path::new(CELLS).join(OWN)
    }

    /// Where this attempt writes, as others than its cell see it.
    fn place(&self) -> Attempt {
        let Self { run, attempt, scope, boot_id, .. } = self;
        Attempt { run: *run, attempt: *attempt, scope: scope.clone(), boot_id: boot_id.clone() }
    }
}

impl Attempt {
    /// What only this attempt writes, seen from the cells' folder; removed when it ends.
    #[must_use]
    pub fn scratch_in(&self, cells: &Path) -> PathBuf {
        cells.join(RUNS).join(format!("{}-{}", self.run, self.attempt))
    }

    /// Unpacked layers of its scope and boot, likewise.
    pub(crate) fn snapshots_in(&self, cells: &Path) -> PathBuf {
        cells.join(SNAPSHOTS).join(&self.scope).join(&self.boot_id)
    }

    /// Unpacked layers that all scopes share, likewise.
    pub(crate) fn bases_in(&self, cells: &Path) -> PathBuf {
        cells.join(BASES).join(&self.boot_id)
    }

    /// The names of the folders there that were made for this attempt, likewise; removed when it ends.
    #[must_use]
    pub fn unpacked_in(&self, cells: &Path) -> PathBuf {
        cells.join(UNPACKED).join(format!("{}-{}", self.run, self.attempt))
    }
}

/// Unpacked layers that all scopes share.
pub(crate) fn shared_snapshots() -> PathBuf {
    Path::new(CELLS).join(BASE)
}

/// The ledger of an unpacking cell.
pub(crate) fn asked() -> PathBuf {
    Path::new(CELLS).join(ASKED)
}

/// The names of the layers' folders that an attempt made.
pub(crate) fn ledger(scratch: &Path) -> PathBuf {
    scratch.join(LEDGER)
}
