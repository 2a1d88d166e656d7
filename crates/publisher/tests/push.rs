//! Publications of a real database, pushed to a real registry out of a real store.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;
use std::time::Duration;

use content::Store;
use database::{CreateRun, LeasedRun, NewRun, NewWorker, Outcome, PublicationBlob, RunRow};
use model::{
    BuildSpec, BuiltImage, Descriptor, Layer, LayerSource, Manifest, MediaType, Platform, RunId, RunStatus,
    SourceSpec, WorkerId,
};
use publisher::SignIn;
use registry::Authorization;
use tempfile::TempDir;
use test_support::{LocalRegistry, TestDatabase};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A database, a registry, a store with a worker played by the test, and a publisher.
struct World {
    db: TestDatabase,
    registry: LocalRegistry,
    store: Store,
    worker: WorkerId,
    folder: TempDir,
    stop: CancellationToken,
    publisher: Option<tokio::task::JoinHandle<()>>,
}

impl World {
    async fn new(registry: LocalRegistry) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let db = TestDatabase::new().await;
        db.server.upsert_registry("local", &registry.address(), true).await.unwrap();
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

    fn publish(&mut self, sign_in: SignIn) {
        let config = publisher::Config {
            store: self.folder.path().to_owned(),
            sign_in,
            identity: publisher::IdentityOptions::default(),
            egress: egress::Options::default(),
        };
        let (database, stop) = (self.db.publisher.clone(), self.stop.clone());
        self.publisher =
            Some(tokio::spawn(async move { publisher::run(config, database, stop).await.unwrap() }));
    }

    fn blob(&self, bytes: &[u8], media_type: &str) -> Descriptor {
        let digest = content::digest_of(bytes);
        let mut file = self.store.new_blob().unwrap();
        file.write_all(bytes).unwrap();
        self.store.link(&file, "trusted", &digest).unwrap();
        Descriptor { media_type: media_type.to_owned(), digest, size: bytes.len() as u64 }
    }

    /// An image of layers with these contents.
    fn image(&self, layers: &[(&str, LayerSource)]) -> BuiltImage {
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

    async fn lease(&self, images: &[&str]) -> LeasedRun {
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

    async fn finish(&self, leased: &LeasedRun, image: BuiltImage) {
        let outcome = Outcome::Publishing { image, revision: None };
        self.db
            .worker
            .finish(leased.run, leased.epoch, &leased.token, &leased.scope, &outcome)
            .await
            .unwrap();
    }

    /// The run once it has ended.
    async fn ended(&self, run: RunId) -> RunRow {
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

    /// Requests of a method, as `path` beginnings.
    fn count(&self, method: &str, part: &str) -> usize {
        self.registry.requests().iter().filter(|r| r.method == method && r.path.contains(part)).count()
    }
}

const STORE: LayerSource = LayerSource::Store;

#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_pushed_while_the_build_goes_on_and_the_tags_last() {
    let mut world = World::new(LocalRegistry::start()).await;
    world.publish(SignIn::Anonymous);
    let leased = world.lease(&["team/app:1", "team/app:latest", "other:1"]).await;
    let image = world.image(&[("one", STORE), ("two", STORE)]);
    let early = PublicationBlob::in_store(image.layers[0].descriptor.clone(), &leased.scope);
    world.db.worker.announce_blob(leased.run, leased.epoch, &leased.token, &early).await.unwrap();
    let uploaded = async {
        while world.count("PUT", "/blobs/") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), uploaded)
        .await
        .expect("the layer is pushed before the end");
    assert_eq!(world.count("PUT", "/manifests/"), 0);

    let digest = image.manifest.digest.clone();
    world.finish(&leased, image).await;
    let row = world.ended(leased.run).await;
    assert_eq!((row.status, row.digest), (RunStatus::Succeeded, Some(digest.clone())), "{:?}", row.failure);
    for (repository, tag) in [("team/app", "1"), ("team/app", "latest"), ("other", "1")] {
        assert_eq!(world.registry.manifest_digest(repository, tag), digest.as_str());
    }
    // Another repository of the same registry gets its blobs by mounting them.
    assert_eq!((world.count("PUT", "/other/blobs/"), world.count("PUT", "/team/app/blobs/")), (3, 0));
    let log = world.db.server.read_log(leased.run, None, 0, 100_000).await.unwrap();
    let log = String::from_utf8(log.bytes).unwrap();
    assert!(log.contains(&format!("pushed {}/team/app:1@{digest}", world.registry.address())), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_has_is_not_sent_again() {
    let mut world = World::new(LocalRegistry::start()).await;
    world.publish(SignIn::Anonymous);
    let first = world.lease(&["app:1"]).await;
    world.finish(&first, world.image(&[("base", STORE), ("old", STORE)])).await;
    world.ended(first.run).await;
    let before = world.count("PUT", "/blobs/");
    let second = world.lease(&["app:2"]).await;
    world.finish(&second, world.image(&[("base", STORE), ("new", STORE)])).await;
    assert_eq!(world.ended(second.run).await.status, RunStatus::Succeeded);
    assert_eq!(
        world.count("PUT", "/blobs/") - before,
        1,
        "only the new layer; the configuration is the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_layer_that_was_never_fetched_comes_from_its_own_registry() {
    let elsewhere = LocalRegistry::start();
    let http = egress::Client::new(&egress::Options::default()).unwrap();
    let client = registry::Client::pushing(
        http,
        Vec::new(),
        &elsewhere.address(),
        std::sync::Arc::new(Authorization::Anonymous),
    );
    let blob = Descriptor {
        media_type: MediaType::OCI_LAYER_TAR.to_owned(),
        digest: content::digest_of(b"base"),
        size: 4,
    };
    let body = || {
        std::future::ready(Ok::<_, registry::Error>(futures_util::stream::iter([Ok(
            bytes::Bytes::from_static(b"base"),
        )])))
    };
    client.push_blob(&elsewhere.address(), "library/base", &blob, body).await.unwrap();

    let mut world = World::new(LocalRegistry::start()).await;
    world.publish(SignIn::Anonymous);
    let leased = world.lease(&["app:1"]).await;
    let source = LayerSource::Registry { registry: elsewhere.address(), repository: "library/base".into() };
    world.finish(&leased, world.image(&[("base", source), ("made", STORE)])).await;
    let row = world.ended(leased.run).await;
    assert_eq!(row.status, RunStatus::Succeeded, "{:?}", row.failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_fails_the_run_with_a_hint() {
    let mut world = World::new(LocalRegistry::start_with_password("ci", "right")).await;
    world.publish(SignIn::Basic { username: "ci".into(), password: "wrong".into() });
    let leased = world.lease(&["app:1"]).await;
    world.finish(&leased, world.image(&[("made", STORE)])).await;
    let row = world.ended(leased.run).await;
    let failure = row.failure.unwrap();
    assert_eq!((row.status, failure.kind.as_str()), (RunStatus::Failed, "registry_denied"));
    assert!(failure.hint.contains("credential"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lost_a_blob_is_the_services_fault() {
    let mut world = World::new(LocalRegistry::start()).await;
    let leased = world.lease(&["app:1"]).await;
    let image = world.image(&[("lost", STORE)]);
    world.store.remove_blob("trusted", &image.layers[0].descriptor.digest).unwrap();
    world.finish(&leased, image).await;
    world.db.execute("UPDATE slipway.publications SET tries = 4").await;
    world.publish(SignIn::Anonymous);
    let failure = world.ended(leased.run).await.failure.unwrap();
    assert_eq!((failure.kind.as_str(), failure.blame.as_str()), ("blob_missing", "service"));
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_gives_up_what_is_under_way_and_the_next_publisher_ends_it() {
    let mut world = World::new(LocalRegistry::start()).await;
    world.publish(SignIn::Anonymous);
    let leased = world.lease(&["app:1"]).await;
    let image = world.image(&[("made", STORE)]);
    let early = PublicationBlob::in_store(image.layers[0].descriptor.clone(), &leased.scope);
    world.db.worker.announce_blob(leased.run, leased.epoch, &leased.token, &early).await.unwrap();
    let begun = async {
        while world.count("PUT", "/blobs/") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), begun).await.expect("it begins");
    world.stop.cancel();
    world.publisher.take().unwrap().await.unwrap();
    world.finish(&leased, image).await;
    world.db.execute("UPDATE slipway.publications SET lease_expires_at = now() - interval '1 second'").await;
    world.stop = CancellationToken::new();
    world.publish(SignIn::Anonymous);
    assert_eq!(world.ended(leased.run).await.status, RunStatus::Succeeded);
    assert_eq!(world.count("PUT", "/blobs/"), 2, "the layer once, and the configuration");
}
