//! A database, a store with a worker played by the test, and a publisher, beside a registry.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;
use std::time::Duration;

use content::Store;
use database::{CreateRun, LeasedRun, NewRun, NewWorker, Outcome, RunRow};
use model::{
    BuildSpec, BuiltImage, Descriptor, Layer, LayerSource, Manifest, MediaType, Platform, RunId, SourceSpec,
    WorkerId,
};
use publisher::{IdentityOptions, SignIn};
use tempfile::TempDir;
use test_support::TestDatabase;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A database, a registry, a store with a worker played by the test, and a publisher.
pub(crate) struct World<R> {
    pub(crate) db: TestDatabase,
    pub(crate) registry: R,
    pub(crate) store: Store,
    worker: WorkerId,
    folder: TempDir,
    pub(crate) stop: CancellationToken,
    pub(crate) publisher: Option<tokio::task::JoinHandle<()>>,
}

impl<R> World<R> {
    /// One with a registry at `address`.
    pub(crate) async fn new(registry: R, address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let db = TestDatabase::new().await;
        db.server.upsert_registry("local", address, true).await.unwrap();
        let worker = WorkerId(Uuid::now_v7());
        let new = NewWorker {
            id: worker,
            store: store.id(),
            name: "w".into(),
            platform: Platform::host(),
            slots: 1,
        };
        db.worker.register_worker(&new).await.unwrap();
        Self { db, registry, store, worker, folder, stop: CancellationToken::new(), publisher: None }
    }

    pub(crate) fn publish(&mut self, sign_in: SignIn) {
        self.publish_with(sign_in, IdentityOptions::default());
    }

    pub(crate) fn publish_with(&mut self, sign_in: SignIn, identity: IdentityOptions) {
        let config = publisher::Config {
            store: self.folder.path().to_owned(),
            sign_in,
            identity,
            egress: egress::Options::default(),
        };
        let (database, stop) = (self.db.publisher.clone(), self.stop.clone());
        self.publisher =
            Some(tokio::spawn(async move { publisher::run(config, database, stop).await.unwrap() }));
    }

    pub(crate) fn blob(&self, bytes: &[u8], media_type: &str) -> Descriptor {
        let digest = content::digest_of(bytes);
        let mut file = self.store.new_blob().unwrap();
        file.write_all(bytes).unwrap();
        self.store.link(&file, "trusted", &digest).unwrap();
        Descriptor { media_type: media_type.to_owned(), digest, size: bytes.len() as u64 }
    }

    /// An image of layers with these contents.
    pub(crate) fn image(&self, layers: &[(&str, LayerSource)]) -> BuiltImage {
        let layers: Vec<Layer> = layers
            .iter()
            .map(|(text, source)| {
                let descriptor = match source {
                    LayerSource::Store => self.blob(text.as_bytes(), MediaType::OCI_LAYER_TAR),
                    LayerSource::Registry { .. } => Descriptor {
                        media_type: MediaType::OCI_LAYER_TAR.to_owned(),
                        digest: content::digest_of(text.as_bytes()),
                        size: text.len() as u64,
                    },
                };
                Layer { diff_id: descriptor.digest.clone(), descriptor, source: source.clone() }
            })
            .collect();
        let config = self.blob(b"{}", MediaType::OCI_CONFIG);
        let manifest = Manifest {
            schema_version: 2,
            media_type: MediaType::OCI_MANIFEST.to_owned(),
            config: config.clone(),
            layers: layers.iter().map(|layer| layer.descriptor.clone()).collect(),
        };
        let manifest = self.blob(&serde_json::to_vec(&manifest).unwrap(), MediaType::OCI_MANIFEST);
        BuiltImage { manifest, config, layers }
    }

    pub(crate) async fn lease(&self, images: &[&str]) -> LeasedRun {
        let source = SourceSpec::parse_git("https://example.com/a.git").unwrap();
        let spec = BuildSpec {
            images: images.iter().map(|&name| name.to_owned()).collect(),
            ..BuildSpec::new(source)
        };
        let new = NewRun { registry: "local".into(), spec, idempotency: None, priority: 0, max_attempts: 1 };
        let CreateRun::Created(_) = self.db.server.create_run(new).await.unwrap() else {
            panic!("it is new")
        };
        self.db.worker.lease_next(self.worker).await.unwrap().unwrap()
    }

    pub(crate) async fn finish(&self, leased: &LeasedRun, image: BuiltImage) {
        let outcome = Outcome::Publishing { image, revision: None };
        self.db
            .worker
            .finish(leased.run, leased.epoch, &leased.token, &leased.scope, &outcome)
            .await
            .unwrap();
    }

    /// The run once it has ended.
    pub(crate) async fn ended(&self, run: RunId) -> RunRow {
        let look = async {
            let mut hints = self.db.server.hints();
            loop {
                hints.next().await;
                let row = self.db.server.get_run(run).await.unwrap().unwrap();
                if row.status.is_end() {
                    return row;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), look).await.expect("the run ends")
    }
}

/// A layer that the worker's store has.
pub(crate) const STORE: LayerSource = LayerSource::Store;
