//! What all runs of a worker share, and how it is made ready at the worker's start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cell::{Attempt, Ids, Job, Maps, Spawner, Taken};
use content::Store;
use database::{Database, LeasedRun};
use model::{Failure, WorkerId, WorkerLimits};
use tokio::sync::Notify;

use crate::answers::Means;
use crate::cgroup::Cgroups;
use crate::disk::Disk;
use crate::limits::Limits;
use crate::metrics::METRICS;
use crate::pull::Pulls;
use crate::ssh::Starter;
use crate::unpack::{Asker, Unpacker};
use crate::{Config, Error};

/// Store, database, clients and the thread that starts cells.
pub(crate) struct House {
    pub(crate) config: Config,
    pub(crate) worker: WorkerId,
    pub(crate) store: Arc<Store>,
    pub(crate) database: Database,
    pub(crate) http: egress::Client,
    pub(crate) pulls: Arc<Pulls>,
    pub(crate) boot_id: String,
    pub(crate) cgroups: Cgroups,
    pub(crate) limits: Limits,
    pub(crate) disk: Arc<Disk>,
    /// Rung when there may be a run to lease.
    pub(crate) work: Notify,
    /// Rung when the next heartbeat should not wait.
    pub(crate) beat: Notify,
    spawning: Cells,
    ssh: Starter,
    unpacker: Unpacker,
}

/// Starts cells.
#[derive(Debug, Clone)]
pub(crate) struct Cells {
    pub(crate) spawner: Spawner,
    pub(crate) ids: Ids,
}

impl Cells {
    /// For a run, or for what a run needs.
    pub(crate) fn spawn(
        &self,
        job: &Job,
        place: impl FnOnce(u32) -> std::io::Result<()>,
    ) -> Result<cell::CellProcess, Failure> {
        self.spawn_with(Maps::of_cell(self.ids), job, place)
    }

    fn spawn_with(
        &self,
        maps: Maps,
        job: &Job,
        place: impl FnOnce(u32) -> std::io::Result<()>,
    ) -> Result<cell::CellProcess, Failure> {
        let _timer = METRICS.cell_start.start_timer();
        self.spawner.spawn(maps, job, place).map_err(|error| {
            Failure::service("cell_start_failed", format!("No cell could be started: {error}."), error.hint())
        })
    }
}

impl House {
    /// Opens the store, which a second worker can't, and clears what a killed worker left.
    pub(crate) fn open(config: Config, database: Database) -> Result<Self, Error> {
        let store = Store::open(&config.store).map_err(|error| error.failure())?;
        let uid = nix::unistd::getuid();
        let user = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
        let ids = Ids::of(&user.unwrap_or_default(), uid.as_raw())
            .map_err(|error| Failure::service("no_subordinate_ids", format!("{error}."), error.hint()))?;
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot_id = boot_id.trim().to_owned();
        let spawner = Spawner::start(config.store.join("cells")).map_err(|error| start_failed(&error))?;
        let spawning = Cells { spawner, ids };
        let unpacker = Unpacker { cells: spawning.clone(), cores: config.cores, turns: Arc::default() };
        let house = Self {
            worker: WorkerId(uuid::Uuid::now_v7()),
            store: Arc::new(store),
            database,
            http: egress::Client::new(&config.egress, config.policy.clone())
                .map_err(|error| error.failure())?,
            pulls: Arc::default(),
            boot_id,
            cgroups: Cgroups::of_host(),
            limits: Limits::on_this_host(&config.limits, config.slots, &config.store),
            disk: Arc::default(),
            work: Notify::new(),
            beat: Notify::new(),
            spawning,
            unpacker,
            ssh: Starter::start(tokio::runtime::Handle::current(), config.policy.clone())
                .map_err(|error| start_failed(&error))?,
            config,
        };
        house.sweep()?;
        Ok(house)
    }

    /// The folder of the store that belongs to the cells' root.
    fn cells(&self) -> PathBuf {
        self.config.store.join("cells")
    }

    /// Whether the folder of an attempt is there, or can't be looked for.
    pub(crate) fn has_folder(&self, attempt: &Attempt) -> bool {
        let (cells, gone) = (self.cells(), std::io::ErrorKind::NotFound);
        let folders = [attempt.scratch_in(&cells), attempt.unpacked_in(&cells)];
        folders.iter().any(|folder| !folder.symlink_metadata().is_err_and(|error| error.kind() == gone))
    }

    /// Name of a run's cgroup; the store's id keeps workers of one machine apart.
    pub(crate) fn cgroup_name(&self, leased: &LeasedRun) -> String {
        format!("{}-{}-{}", self.store.id(), leased.run, leased.attempt)
    }

    /// Starts a cell for a run.
    pub(crate) fn spawn(
        &self,
        job: &Job,
        place: impl FnOnce(u32) -> std::io::Result<()>,
    ) -> Result<cell::CellProcess, Failure> {
        self.spawning.spawn(job, place)
    }

    /// Whether its runs have limits.
    pub(crate) fn bounds(&self) -> WorkerLimits {
        match (self.cgroups.bound_runs(), self.config.limits.required) {
            (true, _) => WorkerLimits::Enforced,
            (false, false) => WorkerLimits::None,
            (false, true) => WorkerLimits::Missing,
        }
    }

    /// Whether runs may be leased here.
    pub(crate) fn may_lease(&self) -> bool {
        self.bounds() != WorkerLimits::Missing
    }

    /// What a run takes of the store by now.
    pub(crate) fn measure(
        &self,
        cell: u32,
        attempt: &Attempt,
        processes: Vec<u32>,
    ) -> std::io::Result<Taken> {
        self.spawning.spawner.measure(cell, attempt, processes)
    }

    /// What answers to a run need.
    pub(crate) fn means(&self, asker: Asker) -> Means {
        let (store, pulls) = (Arc::clone(&self.store), Arc::clone(&self.pulls));
        let (database, http, ssh) = (self.database.clone(), self.http.clone(), self.ssh.clone());
        Means { store, database, http, pulls, ssh, unpacker: self.unpacker.clone(), asker }
    }

    /// Keeps what is unpacked within bounds; blocks while it does.
    pub(crate) fn clean(
        &self,
        limit: u64,
        compare_after: Option<Duration>,
    ) -> Result<port::Cleaned, Failure> {
        let job = Job::Clean { boot_id: self.boot_id.clone(), limit, compare_after };
        self.spawn(&job, |_| Ok(()))?.cleaned()
    }

    fn sweep(&self) -> Result<(), Error> {
        self.cgroups.sweep(&self.store.id().to_string());
        let cells = self.cells();
        if self.is_ours(&cells)? {
            let adopted =
                self.spawning.spawn_with(Maps::with_own(self.spawning.ids), &Job::Adopt, |_| Ok(()));
            adopted?.complete()?;
        }
        let sweep = Job::Sweep { boot_id: self.boot_id.clone() };
        self.spawn(&sweep, |_| Ok(()))?.complete()?;
        Ok(())
    }

    /// Whether the cells' folder was just made, or never given away.
    fn is_ours(&self, cells: &Path) -> Result<bool, Failure> {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        if let Err(error) = std::fs::create_dir(cells)
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(start_failed(&error));
        }
        let prepare = || {
            if std::fs::metadata(cells)?.uid() != nix::unistd::getuid().as_raw() {
                return Ok(false);
            }
            // The store hands its group down, and a namespace can't give away what a group owns that it does
            // not map. The worker's own group keeps the way in; nobody else on this machine has one, for there
            // are set-user-id programs of strangers below.
            std::os::unix::fs::chown(cells, None, Some(nix::unistd::getgid().as_raw()))?;
            std::fs::set_permissions(cells, std::fs::Permissions::from_mode(0o710))?;
            Ok(true)
        };
        prepare().map_err(|error| start_failed(&error))
    }
}

fn start_failed(error: &std::io::Error) -> Failure {
    Failure::service(
        "worker_start_failed",
        format!("The worker can't start: {error}."),
        "See `slipway doctor`.",
    )
}
