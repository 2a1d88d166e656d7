//! A database, a store with a worker played by the test, and a publisher, beside a registry.
#![allow(dead_code, reason = "each file of tests uses its part")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use content::Store;
use database::{CreateRun, LeasedRun, NewCredential, NewRegistry, NewRun, NewWorker, Outcome, RunRow};
use identity::SignIn;
use model::{
    BuildSpec, BuiltImage, CredentialKind, Descriptor, Layer, LayerSource, Manifest, MediaType, Platform,
    RunId, SourceSpec, TaskId, TaskSpec, Trust, WorkerId,
};
use publisher::{DeskSocket, IdentityOptions};
use tempfile::TempDir;
use test_support::TestDatabase;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use vault::Vault;

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
            slots: 8,
            limits: model::WorkerLimits::None,
        };
        db.worker.register_worker(&new).await.unwrap();
        Self { db, registry, store, worker, folder, stop: CancellationToken::new(), publisher: None }
    }

    pub(crate) async fn publish(&mut self, sign_in: SignIn) {
        self.publish_with(sign_in, IdentityOptions::default()).await;
    }

    /// Starts a publisher, after the registry's row says how it is signed in to.
    pub(crate) async fn publish_with(&mut self, sign_in: SignIn, identity: IdentityOptions) {
        let key = self.folder.path().join("key");
        vault::make_key_file(&key).unwrap();
        let vault = Vault::open(&key).unwrap();
        self.declare(sign_in).await;
        let store = self.folder.path().to_owned();
        let listener = broker::bind(&self.socket()).unwrap();
        let desk = DeskSocket { listener, uid: nix::unistd::getuid().as_raw() };
        let policy = egress::Policy::new(vec!["127.0.0.0/8".parse().unwrap()], Vec::new());
        let egress = egress::Options::default();
        let config = publisher::Config { store, vault, identity, desk, egress, policy };
        let (database, stop) = (self.db.publisher.clone(), self.stop.clone());
        self.publisher =
            Some(tokio::spawn(async move { publisher::run(config, database, stop).await.unwrap() }));
    }

    /// Where the publisher is asked.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("desk")
    }

    /// Writes the sign-in into the database as an administrator does: its secret apart, and sealed.
    async fn declare(&self, sign_in: SignIn) {
        let credential = || "registry".to_owned();
        let (sign_in, username, secret) = match sign_in {
            SignIn::Anonymous => (model::SignIn::Anonymous, None, None),
            SignIn::Basic { username, password } => {
                (model::SignIn::Basic { credential: credential() }, Some(username), Some(password))
            }
            SignIn::ManagedIdentity { client_id } => {
                (model::SignIn::ManagedIdentity { client_id }, None, None)
            }
            SignIn::WorkloadIdentity { tenant_id, client_id, .. } => {
                (model::SignIn::WorkloadIdentity { tenant_id, client_id }, None, None)
            }
            SignIn::ServicePrincipal { tenant_id, client_id, client_secret } => {
                let credential = credential();
                (
                    model::SignIn::ServicePrincipal { tenant_id, client_id, credential },
                    None,
                    Some(client_secret),
                )
            }
        };
        if let Some(secret) = secret {
            self.credential("registry", CredentialKind::Registry, username.as_deref(), &secret).await;
        }
        let found = self.db.server.get_registry("local").await.unwrap().unwrap();
        let row = NewRegistry {
            name: found.name,
            address: found.address,
            plain_http: found.plain_http,
            sign_in,
            notify: Vec::new(),
        };
        self.db.server.update_registry(&row, None).await.unwrap();
    }

    pub(crate) fn blob(&self, scope: &str, bytes: &[u8], media_type: &str) -> Descriptor {
        let digest = content::digest_of(bytes);
        let mut file = self.store.new_blob().unwrap();
        file.write_all(bytes).unwrap();
        self.store.link(&file, scope, &digest).unwrap();
        Descriptor { media_type: media_type.to_owned(), digest, size: bytes.len() as u64 }
    }

    /// Other bytes than were linked, as after a fault of the disk.
    pub(crate) fn alter(&self, scope: &str, digest: &model::Digest, bytes: &[u8]) {
        let file = self.folder.path().join("blobs").join(scope).join("sha256").join(digest.hex());
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, bytes).unwrap();
    }

    /// An image of layers with these contents, as a trusted run makes it.
    pub(crate) fn image(&self, layers: &[(&str, LayerSource)]) -> BuiltImage {
        self.image_in("trusted-local", layers)
    }

    /// The same in another area of the store.
    pub(crate) fn image_in(&self, scope: &str, layers: &[(&str, LayerSource)]) -> BuiltImage {
        let layers: Vec<Layer> = layers
            .iter()
            .map(|(text, source)| {
                let descriptor = match source {
                    LayerSource::Store => self.blob(scope, text.as_bytes(), MediaType::OCI_LAYER_TAR),
                    LayerSource::Registry { .. } => Descriptor {
                        media_type: MediaType::OCI_LAYER_TAR.to_owned(),
                        digest: content::digest_of(text.as_bytes()),
                        size: text.len() as u64,
                    },
                };
                Layer { diff_id: descriptor.digest.clone(), descriptor, source: source.clone() }
            })
            .collect();
        let config = self.blob(scope, b"{}", MediaType::OCI_CONFIG);
        let manifest = Manifest {
            schema_version: 2,
            media_type: MediaType::OCI_MANIFEST.to_owned(),
            config: config.clone(),
            layers: layers.iter().map(|layer| layer.descriptor.clone()).collect(),
        };
        let manifest = self.blob(scope, &serde_json::to_vec(&manifest).unwrap(), MediaType::OCI_MANIFEST);
        BuiltImage { manifest, config, layers }
    }

    pub(crate) async fn lease(&self, images: &[&str]) -> LeasedRun {
        self.lease_with(images, Trust::Trusted, &[], None).await
    }

    /// A run that names credentials.
    pub(crate) async fn lease_with(
        &self,
        images: &[&str],
        trust: Trust,
        secrets: &[(&str, &str)],
        source_credential: Option<&str>,
    ) -> LeasedRun {
        let source = SourceSpec::parse_git("https://example.com/a.git").unwrap();
        let spec = BuildSpec {
            images: images.iter().map(|&name| name.to_owned()).collect(),
            secrets: secrets.iter().map(|&(id, name)| (id.to_owned(), name.to_owned())).collect(),
            source_credential: source_credential.map(str::to_owned),
            ..BuildSpec::new(source)
        };
        self.lease_new(NewRun { max_attempts: 1, trust, ..NewRun::quick("local", spec) }).await
    }

    async fn lease_new(&self, new: NewRun) -> LeasedRun {
        let CreateRun::Created(_) = self.db.server.create_run(new).await.unwrap() else {
            panic!("it is new")
        };
        self.db.worker.lease_next(self.worker).await.unwrap().unwrap()
    }

    /// A saved task.
    pub(crate) async fn task(&self, name: &str) -> (TaskId, String) {
        let source = SourceSpec::parse_git("https://example.com/a.git").unwrap();
        let build = BuildSpec::new(source);
        let spec = TaskSpec { build, enabled: true, triggers: Vec::new(), notify: Vec::new() };
        let row = self.db.server.create_task("local", name, &spec, None).await.unwrap().unwrap();
        (row.id, row.name)
    }

    /// A run of a task.
    pub(crate) async fn lease_of(&self, task: &(TaskId, String), images: &[&str]) -> LeasedRun {
        let source = SourceSpec::parse_git("https://example.com/a.git").unwrap();
        let images = images.iter().map(|&name| name.to_owned()).collect();
        let spec = BuildSpec { images, ..BuildSpec::new(source) };
        let task = Some(task.clone());
        self.lease_new(NewRun { max_attempts: 1, task, ..NewRun::quick("local", spec) }).await
    }

    /// Writes a credential as the server does.
    pub(crate) async fn credential(
        &self,
        name: &str,
        kind: CredentialKind,
        user: Option<&str>,
        secret: &str,
    ) {
        let vault = Vault::open(&self.folder.path().join("key")).unwrap();
        let sealed = vault.seal(&format!("credential/local/{name}"), secret).unwrap();
        let (registry, name, username) = ("local".into(), name.to_owned(), user.map(str::to_owned));
        let new = NewCredential { registry, name, kind, username, known_hosts: None, sealed };
        self.db.server.put_credential(&new).await.unwrap();
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
