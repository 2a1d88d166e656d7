//! Publications to a registry that takes tokens alone: nothing is pushed there without the whole sign-in.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod world;

use std::time::Duration;

use database::PublicationBlob;
use identity::SignIn;
use model::{Descriptor, Layer, LayerSource, MediaType, RunStatus, Trust};
use publisher::IdentityOptions;
use test_support::{FakeAzure, Hold, HoldingProxy, Principal, TokenRegistry, in_its_own_network};
use world::STORE;

const CLIENT: &str = "0b1f5c2e-client";
const SECRET: &str = "s3cret-of-the-principal";

struct Cloud {
    azure: FakeAzure,
    registry: TokenRegistry,
}

type World = world::World<Cloud>;

/// A cloud, in it a service principal that may push to `app`, and a registry.
async fn world(imds: &str) -> World {
    let azure = FakeAzure::start_at(imds).await;
    let secret = Some(SECRET.to_owned());
    azure.knows(Principal { client_id: CLIENT.into(), secret, ..Principal::default() });
    let registry = TokenRegistry::start(Some(&azure)).await;
    registry.allow(CLIENT, "app", &["pull", "push"]);
    let address = registry.address();
    World::new(Cloud { azure, registry }, &address).await
}

fn options(world: &World) -> IdentityOptions {
    let azure = &world.registry.azure;
    IdentityOptions {
        authority: Some(azure.authority()),
        roots: vec![azure.root()],
        acr_suffixes: vec!["127.0.0.1".into()],
        ..IdentityOptions::default()
    }
}

async fn publish_as_principal(world: &mut World) {
    let sign_in = SignIn::ServicePrincipal {
        tenant_id: world.registry.azure.tenant(),
        client_id: CLIENT.into(),
        client_secret: SECRET.into(),
    };
    world.publish_with(sign_in, options(world)).await;
}

/// Requests of the real registry's, as its log has them.
fn count(world: &World, method: &str, part: &str, status: u16) -> usize {
    let requests = world.registry.registry.requests();
    requests.iter().filter(|r| r.method == method && r.path.contains(part) && r.status == status).count()
}

/// The log of a run, without a single secret.
async fn log(world: &World, run: model::RunId) -> String {
    let log = world.db.server.read_log(run, None, 0, 100_000).await.unwrap();
    let log = String::from_utf8(log.bytes).unwrap();
    let issued = [world.registry.azure.issued(), world.registry.registry.issued()].concat();
    assert!(!issued.iter().any(|token| log.contains(token.as_str())) && !log.contains(SECRET), "{log}");
    log
}

async fn pushes_to(world: &World, repository: &str) {
    let leased = world.lease(&[&format!("{repository}:1")]).await;
    let image = world.image(&[("made", STORE)]);
    let digest = image.manifest.digest.clone();
    world.finish(&leased, image).await;
    let row = world.ended(leased.run).await;
    assert_eq!(row.status, RunStatus::Succeeded, "{:?}", row.failure);
    assert_eq!(world.registry.registry.manifest_digest(repository, "1"), digest.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machines_own_identity_pushes() {
    if !in_its_own_network("the_machines_own_identity_pushes", &[]) {
        return;
    }
    let mut world = world("169.254.169.254:80").await;
    let machine =
        Principal { client_id: "m".into(), is_assigned: true, is_system: true, ..Principal::default() };
    world.registry.azure.knows(machine);
    world.registry.registry.allow("m", "system", &["pull", "push"]);
    world.publish_with(SignIn::ManagedIdentity { client_id: None }, options(&world)).await;
    pushes_to(&world, "system").await;
    let registry = &world.registry.registry;
    let counts = (world.registry.azure.count("imds"), registry.count("exchange"), registry.count("token"));
    assert_eq!(counts, (1, 1, 1), "one sign-in for the whole publication");
    assert_eq!(registry.asked(), [["repository:system:pull,push"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_assigned_to_the_machine_pushes() {
    if !in_its_own_network("an_identity_assigned_to_the_machine_pushes", &[]) {
        return;
    }
    let mut world = world("169.254.169.254:80").await;
    world.registry.azure.knows(Principal {
        client_id: "u".into(),
        is_assigned: true,
        ..Principal::default()
    });
    world.registry.registry.allow("u", "user", &["pull", "push"]);
    world.publish_with(SignIn::ManagedIdentity { client_id: Some("u".into()) }, options(&world)).await;
    pushes_to(&world, "user").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_principal_and_the_admin_user_push() {
    let mut world = world("127.0.0.1:0").await;
    publish_as_principal(&mut world).await;
    pushes_to(&world, "app").await;
    assert_eq!(count(&world, "PUT", "/manifests/", 401), 0);

    world.stop.cancel();
    world.publisher.take().unwrap().await.unwrap();
    world.stop = tokio_util::sync::CancellationToken::new();
    world.registry.registry.user("admin", "hunter2");
    world.registry.registry.allow("admin", "by-hand", &["pull", "push"]);
    world.publish(SignIn::Basic { username: "admin".into(), password: "hunter2".into() }).await;
    pushes_to(&world, "by-hand").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_push_to_one_repository_gets_nothing_into_it() {
    let mut world = world("127.0.0.1:0").await;
    publish_as_principal(&mut world).await;
    let leased = world.lease(&["app:1", "other:1"]).await;
    world.finish(&leased, world.image(&[("made", STORE)])).await;
    let row = world.ended(leased.run).await;
    let failure = row.failure.unwrap();
    assert_eq!((row.status, failure.kind.as_str()), (RunStatus::Failed, "registry_denied"), "{failure}");
    assert!(failure.to_string().contains("other"), "{failure}");
    let written = world.registry.registry.requests();
    assert!(!written.iter().any(|r| r.path.contains("/other/") && r.status < 300), "{written:?}");
    log(&world, leased.run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_in_the_middle_is_replaced_and_only_that_request_repeated() {
    let mut world = world("127.0.0.1:0").await;
    publish_as_principal(&mut world).await;
    let leased = world.lease(&["app:1"]).await;
    let image = world.image(&[("made", STORE), ("later", STORE)]);
    let early = PublicationBlob::in_store(image.layers[0].descriptor.clone(), &leased.scope);
    world.db.worker.announce_blob(leased.run, leased.epoch, &leased.token, &early).await.unwrap();
    let uploaded = async {
        while count(&world, "PUT", "/blobs/", 201) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), uploaded).await.expect("the first layer is pushed");
    world.registry.registry.revoke_all();
    world.finish(&leased, image).await;
    let row = world.ended(leased.run).await;
    assert_eq!(row.status, RunStatus::Succeeded, "{:?}", row.failure);
    assert!(world.registry.registry.refused() > 0, "the token was refused");
    assert_eq!(count(&world, "PUT", "/blobs/", 201), 3, "nothing was pushed twice");
    let log = log(&world, leased.run).await;
    assert!(!log.contains("error:"), "no try failed: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_while_a_layer_is_sent_costs_that_layer_alone() {
    let registry = TokenRegistry::start(None).await;
    registry.user("ci", "hunter2");
    registry.allow("ci", "app", &["pull", "push"]);
    let proxy = HoldingProxy::start(registry.address());
    let mut held = proxy.hold(Hold::first("PUT", "/blobs/"));
    let address = proxy.address();
    let mut world = world::World::new(registry, &address).await;
    world.publish(SignIn::Basic { username: "ci".into(), password: "hunter2".into() }).await;
    let leased = world.lease(&["app:1"]).await;
    let large = "x".repeat(9_000_000);
    let image = world.image(&[(large.as_str(), STORE)]);
    let early = PublicationBlob::in_store(image.layers[0].descriptor.clone(), &leased.scope);
    world.db.worker.announce_blob(leased.run, leased.epoch, &leased.token, &early).await.unwrap();
    held.arrived().await;
    world.registry.revoke_all();
    held.release();
    world.finish(&leased, image).await;
    let row = world.ended(leased.run).await;
    assert_eq!(row.status, RunStatus::Succeeded, "{:?}", row.failure);
    let log = world.db.server.read_log(leased.run, None, 0, 100_000).await.unwrap();
    let log = String::from_utf8(log.bytes).unwrap();
    assert!(world.registry.refused() > 0 && !log.contains("error:"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_push_renews_its_token_before_the_end() {
    let mut world = world("127.0.0.1:0").await;
    world.registry.registry.tokens_live(Duration::from_secs(10));
    publish_as_principal(&mut world).await;
    let leased = world.lease(&["app:1"]).await;
    let image = world.image(&[("made", STORE), ("later", STORE)]);
    let early = PublicationBlob::in_store(image.layers[0].descriptor.clone(), &leased.scope);
    world.db.worker.announce_blob(leased.run, leased.epoch, &leased.token, &early).await.unwrap();
    while world.registry.registry.count("token") == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(8100)).await;
    world.finish(&leased, image).await;
    assert_eq!(world.ended(leased.run).await.status, RunStatus::Succeeded);
    let registry = &world.registry.registry;
    assert_eq!((registry.count("token"), registry.count("exchange"), registry.refused()), (2, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_layer_is_mounted_with_the_right_to_read_it() {
    let mut world = world("127.0.0.1:0").await;
    world.registry.registry.allow(CLIENT, "base", &["pull", "push"]);
    publish_as_principal(&mut world).await;
    let base = world.lease(&["base:1"]).await;
    world.finish(&base, world.image(&[("base", STORE)])).await;
    assert_eq!(world.ended(base.run).await.status, RunStatus::Succeeded);

    world.registry.registry.allow(CLIENT, "base", &["pull"]);
    let leased = world.lease(&["app:1"]).await;
    let mut image = world.image(&[("made", STORE)]);
    let source =
        LayerSource::Registry { registry: world.registry.registry.address(), repository: "base".into() };
    let descriptor = Descriptor {
        media_type: MediaType::OCI_LAYER_TAR.to_owned(),
        digest: content::digest_of(b"base"),
        size: 4,
    };
    image.layers.push(Layer { diff_id: descriptor.digest.clone(), descriptor, source });
    world.finish(&leased, image).await;
    let row = world.ended(leased.run).await;
    assert_eq!(row.status, RunStatus::Succeeded, "{:?}", row.failure);
    let log = log(&world, leased.run).await;
    assert!(log.contains("mounted") && log.contains("from base"), "{log}");
    let asked = world.registry.registry.asked();
    assert!(asked.iter().any(|scopes| scopes[..] == ["repository:app:pull,push", "repository:base:pull"]));
}

/// The layer of a repository that only our identity may read: a cell that knows its digest names it.
#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_build_is_given_nothing_that_our_identity_could_read() {
    let mut world = world("127.0.0.1:0").await;
    world.registry.registry.allow(CLIENT, "private", &["pull", "push"]);
    world.registry.registry.allow(CLIENT, "other", &["pull", "push"]);
    publish_as_principal(&mut world).await;
    let private = world.lease(&["private:1"]).await;
    world.finish(&private, world.image(&[("private", STORE)])).await;
    assert_eq!(world.ended(private.run).await.status, RunStatus::Succeeded);

    let source =
        LayerSource::Registry { registry: world.registry.registry.address(), repository: "private".into() };
    let leased = world.lease_with(&["app:1", "other:1"], Trust::Untrusted, &[], None).await;
    world.finish(&leased, world.image_in(&leased.scope, &[("made", STORE), ("private", source)])).await;
    world.db.execute("UPDATE slipway.publications SET tries = 4 WHERE finished_at IS NULL").await;
    let row = world.ended(leased.run).await;
    assert_eq!(row.status, RunStatus::Failed, "nobody has the layer for it");
    let log = log(&world, leased.run).await;
    assert!(!log.contains("mounted"), "{log}");
    let asked = world.registry.registry.asked();
    // Nobody in particular may ask for it, and gets nothing; who asks for more beside it is us.
    let mut ours = asked.iter().filter(|scopes| scopes.len() > 1).flatten();
    assert!(!ours.any(|scope| scope.contains(":private:")), "{asked:?}");
}

/// What such a build has made and may read itself is uploaded, to each of its names.
#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_build_is_uploaded_byte_for_byte() {
    let mut world = world("127.0.0.1:0").await;
    world.registry.registry.allow(CLIENT, "other", &["pull", "push"]);
    publish_as_principal(&mut world).await;
    let leased = world.lease_with(&["app:1", "other:1"], Trust::Untrusted, &[], None).await;
    world.finish(&leased, world.image_in(&leased.scope, &[("made", STORE)])).await;
    let row = world.ended(leased.run).await;
    assert_eq!(row.status, RunStatus::Succeeded, "{:?}", row.failure);
    let log = log(&world, leased.run).await;
    assert_eq!((log.matches("uploaded").count(), log.matches("mounted").count()), (4, 0), "{log}");
}
