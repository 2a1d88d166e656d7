//! A database with a registry and a worker, and short words for what happens in it.

use database::{CreateRun, LeasedRun, NewRun, NewWorker, Outcome, RunRow, VertexRecord};
use model::{
    BuildSpec, BuiltImage, Descriptor, Digest, Failure, Layer, LayerSource, MediaType, Platform, RunId,
    RunStatus, SourceSpec, StoreId, WorkerId,
};
use test_support::TestDatabase;
use uuid::Uuid;

pub(crate) struct World {
    pub(crate) db: TestDatabase,
    pub(crate) worker: WorkerId,
    pub(crate) store: StoreId,
}

pub(crate) fn spec() -> BuildSpec {
    let source = SourceSpec::parse_git("https://example.com/team/app.git#main").unwrap();
    BuildSpec { images: vec!["team/app:1".to_owned()], ..BuildSpec::new(source) }
}

pub(crate) fn new_run(registry: &str) -> NewRun {
    NewRun::quick(registry, spec())
}

pub(crate) fn digest(text: &str) -> Digest {
    use sha2::Digest as _;
    Digest::from_sha256(sha2::Sha256::digest(text).into())
}

pub(crate) fn descriptor(text: &str, media_type: &str) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest: digest(text), size: text.len() as u64 }
}

pub(crate) fn image() -> BuiltImage {
    let layer = |text: &str, source| Layer {
        diff_id: digest(&format!("diff of {text}")),
        descriptor: descriptor(text, MediaType::OCI_LAYER_GZIP),
        source,
    };
    let base = LayerSource::Registry { registry: "base.example".into(), repository: "library/debian".into() };
    BuiltImage {
        manifest: descriptor("manifest", MediaType::OCI_MANIFEST),
        config: descriptor("config", MediaType::OCI_CONFIG),
        layers: vec![layer("base", base), layer("made", LayerSource::Store)],
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let db = TestDatabase::new().await;
        db.server.upsert_registry("local", "127.0.0.1:5000", true).await.unwrap();
        let (worker, store) = (WorkerId(Uuid::now_v7()), StoreId(Uuid::now_v7()));
        let world = Self { db, worker, store };
        world.register(worker).await;
        world
    }

    pub(crate) async fn register(&self, worker: WorkerId) {
        let (name, platform) = ("w".to_owned(), Platform::host());
        let new = NewWorker {
            id: worker,
            store: self.store,
            name,
            platform,
            slots: 2,
            limits: model::WorkerLimits::None,
        };
        self.db.worker.register_worker(&new).await.unwrap();
    }

    pub(crate) async fn submit(&self) -> RunId {
        self.submit_as(new_run("local")).await
    }

    pub(crate) async fn submit_as(&self, new: NewRun) -> RunId {
        match self.db.server.create_run(new).await.unwrap() {
            CreateRun::Created(run) => run.id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn lease(&self) -> LeasedRun {
        self.db.worker.lease_next(self.worker).await.unwrap().expect("a run is waiting")
    }

    pub(crate) async fn run(&self, run: RunId) -> RunRow {
        self.db.server.get_run(run).await.unwrap().unwrap()
    }

    pub(crate) async fn finish(
        &self,
        leased: &LeasedRun,
        outcome: Outcome,
    ) -> Result<RunStatus, database::Error> {
        self.db.worker.finish(leased.run, leased.epoch, &leased.token, &leased.scope, &outcome).await
    }

    /// A run whose image is built and waits for its push.
    pub(crate) async fn publishing(&self) -> LeasedRun {
        self.submit().await;
        let leased = self.lease().await;
        let outcome = Outcome::Publishing { image: image(), revision: None };
        assert_eq!(self.finish(&leased, outcome).await.unwrap(), RunStatus::Publishing);
        leased
    }

    /// Makes every lease run out, as if its holder had been gone for long, and the rescuer ready.
    pub(crate) async fn expire_leases(&self) {
        self.db
            .execute(
                "UPDATE slipway.run_queue SET lease_expires_at = now() - interval '1 second' WHERE status = 'started';
                 UPDATE slipway.publications SET lease_expires_at = now() - interval '1 second'
                     WHERE lease_expires_at IS NOT NULL;
                 UPDATE slipway.rescuer SET worked_at = now(), resumed_at = now() - interval '1 hour'",
            )
            .await;
    }

    /// Ends the pause before a next attempt.
    pub(crate) async fn skip_pause(&self) {
        self.db
            .execute("UPDATE slipway.run_queue SET not_before = now(); UPDATE slipway.publications SET next_try_at = now()")
            .await;
    }
}

/// A vertex that began `number` milliseconds after its attempt.
pub(crate) fn started(number: u32, name: &str) -> VertexRecord {
    let (name, stage, line) = (name.to_owned(), None, Some(number));
    let started = std::time::Duration::from_millis(number.into());
    VertexRecord { number, name, stage, line, started, ended: None }
}

pub(crate) fn service_failure() -> Failure {
    Failure::service("cell_died", "The cell ended without a result.", "")
}

pub(crate) fn user_failure() -> Failure {
    Failure::user("run_failed", "The command failed.", "")
}
