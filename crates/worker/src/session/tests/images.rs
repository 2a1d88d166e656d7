//! A hostile cell asks for layers of images that its run did not look at.

use model::{Digest, MediaType};
use test_support::{LocalRegistry, push_busybox};

use super::*;

/// Puts a blob into an area of the store, as another run did.
fn keep(store: &Store, scope: &str, bytes: &[u8]) -> Value {
    let digest = content::digest_of(bytes);
    let mut file = store.new_blob().unwrap();
    file.write_all(bytes).unwrap();
    store.link(&file, scope, &digest).unwrap();
    json!({ "mediaType": MediaType::OCI_LAYER_GZIP, "digest": digest, "size": bytes.len() })
}

fn resolve(image: &str) -> Value {
    json!({ "resolve": { "image": image, "platform": Platform::host() } })
}

fn image_blob(image: &str, blob: &Value) -> Value {
    json!({ "image_blob": { "image": image, "blob": blob } })
}

/// The end of a build whose one layer is said to lie in a registry.
fn built(registry: &str, layer: &Value) -> Value {
    let blob =
        |media_type: &str| json!({ "mediaType": media_type, "digest": content::digest_of(b"{}"), "size": 2 });
    json!({ "finish": { "built": { "revision": null, "image": {
        "manifest": blob(MediaType::OCI_MANIFEST), "config": blob(MediaType::OCI_CONFIG),
        "layers": [{ "diff_id": layer["digest"], "descriptor": layer,
            "source": { "type": "registry", "registry": registry, "repository": "base/busybox" } }],
    } } } })
}

impl Cell {
    fn layer_of(&mut self, image: &str) -> Value {
        self.ask(&resolve(image)).unwrap()["resolved"]["image"]["layers"][0].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_is_given_to_the_run_that_looked_at_its_image() {
    let registry = LocalRegistry::start();
    push_busybox(&registry.address(), "base/busybox:1");
    let world = World::new(Host::start(None)).await.letting(&registry.address());
    let hidden = keep(&world.store, "shared", b"a private layer that another run fetched");
    let image = format!("{}/base/busybox:1", registry.address());
    let address = registry.address();
    let outcome = world.serve(move |mut cell| {
        let before = cell.refused(&image_blob(&image, &hidden));
        assert_eq!(before, "port_protocol", "nothing was looked at");
        let layer = cell.layer_of(&image);
        cell.ask(&image_blob(&image, &layer)).expect("its own");
        assert_eq!(cell.refused(&image_blob(&image, &hidden)), "port_protocol", "it is not of this image");
        let elsewhere = image.replace("base/busybox", "base/other");
        assert_eq!(cell.refused(&image_blob(&elsewhere, &layer)), "port_protocol", "nor is that of another");
        let mut larger = layer.clone();
        larger["size"] = json!(1);
        assert_eq!(cell.refused(&image_blob(&image, &larger)), "port_protocol");
        cell.port.send(&built(&address, &layer), &[]).unwrap();
    });
    assert!(matches!(outcome.await, Some(Outcome::Succeeded { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_layer_is_pushed_that_the_run_did_not_look_at() {
    let registry = LocalRegistry::start();
    push_busybox(&registry.address(), "base/busybox:1");
    let image = format!("{}/base/busybox:1", registry.address());
    let address = registry.address();
    let world = World::new(Host::start(None)).await.letting(&registry.address());
    let hidden = keep(&world.store, "shared", b"a private layer that another run fetched");
    let outcome = world.serve(move |mut cell| {
        cell.layer_of(&image);
        cell.port.send(&built(&address, &hidden), &[]).unwrap();
    });
    let Some(Outcome::Failed { failure, .. }) = outcome.await else { panic!("the run fails") };
    assert_eq!((failure.kind.as_str(), failure.blame.as_str()), ("port_protocol", "service"));
}

/// Whoever names a private layer in a manifest of his own gets what he serves himself.
#[tokio::test(flavor = "multi_thread")]
async fn layers_of_the_runs_own_registry_are_kept_from_other_scopes() {
    let registry = LocalRegistry::start();
    push_busybox(&registry.address(), "base/busybox:1");
    let image = format!("{}/base/busybox:1", registry.address());
    let world = World::at(Host::start(None), &registry.address()).await;
    let (send, receive) = std::sync::mpsc::channel();
    world
        .serve(move |mut cell| {
            let layer = cell.layer_of(&image);
            cell.ask(&image_blob(&image, &layer)).expect("its own");
            send.send(layer["digest"].clone()).unwrap();
        })
        .await;
    let digest: Digest = serde_json::from_value(receive.recv().unwrap()).unwrap();
    assert!(world.store.open_blob("trusted-local", &digest).unwrap().is_some());
    assert!(world.store.open_blob("shared", &digest).unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_does_not_end_with_another_commit_than_it_said() {
    let world = World::new(Host::start(None)).await;
    let revision = |digit: &str| json!({ "commit": digit.repeat(40), "committed_at": 0 });
    let outcome = world.serve(move |mut cell| {
        cell.ask(&json!({ "source_found": { "revision": revision("1") } })).unwrap();
        let mut end = built("none.example", &Value::Null);
        end["finish"]["built"]["image"]["layers"] = json!([]);
        end["finish"]["built"]["revision"] = revision("2");
        cell.port.send(&end, &[]).unwrap();
    });
    let Some(Outcome::Failed { failure, revision }) = outcome.await else { panic!("the run fails") };
    assert_eq!((failure.kind.as_str(), revision.unwrap().commit), ("port_protocol", "1".repeat(40)));
}
