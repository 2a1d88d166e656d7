//! Publications of a real database, pushed to a real registry out of a real store.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use std::time::Duration;

use database::PublicationBlob;
use identity::SignIn;
use model::{Descriptor, LayerSource, MediaType, RunStatus};
use registry::Authorization;
use test_support::LocalRegistry;
use tokio_util::sync::CancellationToken;
use world::STORE;

type World = world::World<LocalRegistry>;

async fn world(registry: LocalRegistry) -> World {
    let address = registry.address();
    World::new(registry, &address).await
}

trait Counts {
    /// Requests of a method with this in their path.
    fn count(&self, method: &str, part: &str) -> usize;
}

impl Counts for World {
    fn count(&self, method: &str, part: &str) -> usize {
        self.registry.requests().iter().filter(|r| r.method == method && r.path.contains(part)).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_pushed_while_the_build_goes_on_and_the_tags_last() {
    let mut world = world(LocalRegistry::start()).await;
    world.publish(SignIn::Anonymous).await;
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
    let mut world = world(LocalRegistry::start()).await;
    world.publish(SignIn::Anonymous).await;
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
    let http = egress::Client::new(&egress::Options::default(), egress::Policy::default()).unwrap();
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

    let mut world = world(LocalRegistry::start()).await;
    world.publish(SignIn::Anonymous).await;
    let leased = world.lease(&["app:1"]).await;
    let source = LayerSource::Registry { registry: elsewhere.address(), repository: "library/base".into() };
    world.finish(&leased, world.image(&[("base", source), ("made", STORE)])).await;
    let row = world.ended(leased.run).await;
    assert_eq!(row.status, RunStatus::Succeeded, "{:?}", row.failure);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_fails_the_run_with_a_hint() {
    let mut world = world(LocalRegistry::start_with_password("ci", "right")).await;
    world.publish(SignIn::Basic { username: "ci".into(), password: "wrong".into() }).await;
    let leased = world.lease(&["app:1"]).await;
    world.finish(&leased, world.image(&[("made", STORE)])).await;
    let row = world.ended(leased.run).await;
    let failure = row.failure.unwrap();
    assert_eq!((row.status, failure.kind.as_str()), (RunStatus::Failed, "registry_denied"));
    assert!(failure.hint.contains("credential"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lost_a_blob_is_the_services_fault() {
    let mut world = world(LocalRegistry::start()).await;
    let leased = world.lease(&["app:1"]).await;
    let image = world.image(&[("lost", STORE)]);
    world.store.remove_blob("trusted-local", &image.layers[0].descriptor.digest).unwrap();
    world.finish(&leased, image).await;
    world.db.execute("UPDATE slipway.publications SET tries = 4").await;
    world.publish(SignIn::Anonymous).await;
    let failure = world.ended(leased.run).await.failure.unwrap();
    assert_eq!((failure.kind.as_str(), failure.blame.as_str()), ("blob_missing", "service"));
}

/// The publisher hashes what it reads; no registry has to.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_altered_a_blob_is_named_and_nothing_of_it_is_published() {
    let mut world = world(LocalRegistry::start()).await;
    let leased = world.lease(&["app:1"]).await;
    let image = world.image(&[("whole", STORE)]);
    world.alter("trusted-local", &image.layers[0].descriptor.digest, b"other");
    world.finish(&leased, image).await;
    world.db.execute("UPDATE slipway.publications SET tries = 4").await;
    world.publish(SignIn::Anonymous).await;
    let failure = world.ended(leased.run).await.failure.unwrap();
    assert_eq!((failure.kind.as_str(), failure.blame.as_str()), ("blob_damaged", "service"));
    assert!(failure.message.contains(&world.store.id().to_string()), "{failure}");
    assert_eq!(world.count("PUT", "/manifests/"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_gives_up_what_is_under_way_and_the_next_publisher_ends_it() {
    let mut world = world(LocalRegistry::start()).await;
    world.publish(SignIn::Anonymous).await;
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
    world.publish(SignIn::Anonymous).await;
    assert_eq!(world.ended(leased.run).await.status, RunStatus::Succeeded);
    assert_eq!(world.count("PUT", "/blobs/"), 2, "the layer once, and the configuration");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_source_keeps_the_tag_whatever_the_order_of_finishing() {
    let mut world = world(LocalRegistry::start()).await;
    world.publish(SignIn::Anonymous).await;
    let task = world.task("app").await;
    let images = ["app:latest", "app:old"];
    let older = world.lease_of(&task, &images).await;
    let newer = world.lease_of(&task, &["app:latest"]).await;
    let (old, new) = (world.image(&[("old", STORE)]), world.image(&[("new", STORE)]));
    let (old_digest, new_digest) = (old.manifest.digest.clone(), new.manifest.digest.clone());

    world.finish(&newer, new).await;
    assert_eq!(world.ended(newer.run).await.status, RunStatus::Succeeded);
    world.finish(&older, old).await;
    let ended = world.ended(older.run).await;
    assert_eq!(ended.status, RunStatus::Succeeded, "{:?}", ended.failure);
    let skipped: Vec<_> = ended.skipped.iter().map(|tag| (tag.tag.as_str(), tag.superseded_by)).collect();
    assert_eq!(skipped, [("latest", newer.run)]);
    assert_eq!(world.registry.manifest_digest("app", "latest"), new_digest.as_str());
    assert_eq!(
        world.registry.manifest_digest("app", "old"),
        old_digest.as_str(),
        "nobody else wants this one"
    );
    let by_digest = format!("/app/manifests/{}", old_digest.as_str());
    assert_eq!(world.count("PUT", &by_digest), 1, "what lost its tag can be pulled by its digest");

    let again = world.lease_of(&task, &["app:latest"]).await;
    world.finish(&again, world.image(&[("newest", STORE)])).await;
    assert!(world.ended(again.run).await.skipped.is_empty(), "a later run takes the tag over");
}
