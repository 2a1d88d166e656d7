//! Against a real registry.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::future::{Ready, ready};
use std::sync::Arc;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use model::{Descriptor, Digest, ImageReference, MediaType, Platform};
use registry::{Authorization, Client, Error};
use sha2::{Digest as _, Sha256};
use test_support::{LocalRegistry, push_busybox};

fn http() -> egress::Client {
    let loopback = egress::Policy::new(vec!["127.0.0.0/8".parse().unwrap()], Vec::new());
    egress::Client::new(&egress::Options::default(), loopback).unwrap()
}

fn image(registry: &str, rest: &str) -> ImageReference {
    format!("{registry}/{rest}").parse().unwrap()
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

fn descriptor(bytes: &[u8], media_type: &str) -> Descriptor {
    Descriptor { media_type: media_type.to_owned(), digest: digest(bytes), size: bytes.len() as u64 }
}

fn body(bytes: &[u8]) -> impl futures_util::Stream<Item = std::io::Result<bytes::Bytes>> + Send + 'static {
    stream::iter(vec![Ok(bytes::Bytes::copy_from_slice(bytes))])
}

/// The same, as often as wanted.
fn open(
    bytes: &[u8],
) -> impl FnMut() -> Ready<Result<BoxStream<'static, std::io::Result<bytes::Bytes>>, Error>> {
    let bytes = bytes.to_vec();
    move || ready(Ok(body(&bytes).boxed()))
}

#[tokio::test]
async fn an_image_is_resolved_to_what_its_registry_has() {
    let registry = LocalRegistry::start();
    push_busybox(&registry.address(), "base/busybox:1");
    let client = Client::anonymous(http(), Vec::new());
    let reference = image(&registry.address(), "base/busybox:1");
    let found = client.resolve(&reference, &Platform::host()).await.unwrap();
    assert_eq!(found.digest.as_str(), registry.manifest_digest("base/busybox", "1"));
    assert_eq!(found.config.config.cmd, Some(vec!["/bin/sh".to_owned()]));
    let layer = client.pull_blob(&reference, &found.layers[0]).await.unwrap();
    let bytes: Vec<u8> = layer.map_ok(|part| part.to_vec()).try_concat().await.unwrap();
    assert_eq!(digest(&bytes), found.layers[0].digest);

    let pinned = image(&registry.address(), &format!("base/busybox@{}", found.digest));
    assert_eq!(client.resolve(&pinned, &Platform::host()).await.unwrap().digest, found.digest);
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    let registry = LocalRegistry::start();
    push_busybox(&registry.address(), "base/busybox:1");
    let client = Client::anonymous(http(), Vec::new());
    let kind = async |reference: &ImageReference, platform: &str| {
        client.resolve(reference, &platform.parse().unwrap()).await.unwrap_err().failure()
    };
    let host = Platform::host().to_string();
    let missing = kind(&image(&registry.address(), "base/busybox:2"), &host).await;
    assert_eq!(missing.kind, "base_image_not_found");
    assert!(missing.message.contains("base/busybox:2"), "{missing}");
    let platform = kind(&image(&registry.address(), "base/busybox:1"), "linux/s390x").await;
    assert_eq!(platform.kind, "image_platform_missing");
    assert!(platform.message.contains(&host), "{platform}");
    // Port 9 (discard): nobody listens there.
    let gone = kind(&image("127.0.0.1:9", "a:1"), &host).await;
    assert_eq!((gone.kind.as_str(), gone.blame.as_str()), ("registry_unreachable", "service"));
}

#[tokio::test]
async fn what_is_pushed_is_an_image_to_skopeo() {
    let registry = LocalRegistry::start();
    push_busybox(&registry.address(), "base/busybox:1");
    let address = registry.address();
    let client = Client::pushing(http(), Vec::new(), &address, Arc::new(Authorization::Anonymous));
    let base = client.resolve(&image(&address, "base/busybox:1"), &Platform::host()).await.unwrap();
    let layer = &base.layers[0];
    assert!(!client.has_blob(&address, "team/app", &layer.digest).await.unwrap());
    assert!(client.mount(&address, "team/app", &layer.digest, "base/busybox").await.unwrap());
    assert!(client.has_blob(&address, "team/app", &layer.digest).await.unwrap());
    let nowhere = digest(b"nowhere");
    assert!(!client.mount(&address, "team/app", &nowhere, "base/busybox").await.unwrap());

    let config = serde_json::to_vec(&base.config).unwrap();
    let config_descriptor = descriptor(&config, MediaType::OCI_CONFIG);
    client.push_blob(&address, "team/app", &config_descriptor, open(&config)).await.unwrap();
    let manifest = model::Manifest {
        schema_version: 2,
        media_type: MediaType::OCI_MANIFEST.to_owned(),
        config: config_descriptor,
        layers: base.layers.clone(),
    };
    let manifest = serde_json::to_vec(&manifest).unwrap();
    assert_eq!(client.manifest_digest(&address, "team/app", "1").await.unwrap(), None);
    let pushed = client
        .push_manifest(&address, "team/app", "1", MediaType::OCI_MANIFEST, manifest.into())
        .await
        .unwrap();
    assert_eq!(client.manifest_digest(&address, "team/app", "1").await.unwrap(), Some(pushed.clone()));
    let by_digest = client.manifest_digest(&address, "team/app", pushed.as_str()).await.unwrap();
    assert_eq!(by_digest, Some(pushed.clone()));
    let inspected = std::process::Command::new("skopeo")
        .args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}"])
        .arg(format!("docker://{address}/team/app:1"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&inspected.stdout).trim(), pushed.as_str());
}

#[tokio::test]
async fn a_blob_larger_than_a_piece_arrives_whole_and_a_wrong_one_not_at_all() {
    let registry = LocalRegistry::start();
    let address = registry.address();
    let client = Client::pushing(http(), Vec::new(), &address, Arc::new(Authorization::Anonymous));
    let bytes: Vec<u8> = (0..9_000_000_u32).map(|n| (n % 251) as u8).collect();
    let blob = descriptor(&bytes, MediaType::OCI_LAYER_TAR);
    client.push_blob(&address, "a", &blob, open(&bytes)).await.unwrap();
    assert!(client.has_blob(&address, "a", &blob.digest).await.unwrap());
    let other = descriptor(b"other", MediaType::OCI_LAYER_TAR);
    let refused = client.push_blob(&address, "a", &other, open(b"these bytes")).await.unwrap_err();
    assert_eq!(refused.failure().kind, "blob_damaged", "{refused}");
    assert!(!client.has_blob(&address, "a", &other.digest).await.unwrap());
}

#[tokio::test]
async fn a_wrong_credential_is_the_users_to_mend() {
    let registry = LocalRegistry::start_with_password("ci", "right");
    let address = registry.address();
    let with = |password: &str| {
        let credentials = Authorization::Basic { username: "ci".to_owned(), password: password.to_owned() };
        Client::pushing(http(), Vec::new(), &address, Arc::new(credentials))
    };
    let blob = descriptor(b"x", MediaType::OCI_LAYER_TAR);
    with("right").push_blob(&address, "a", &blob, open(b"x")).await.unwrap();
    for client in
        [with("wrong"), Client::pushing(http(), Vec::new(), &address, Arc::new(Authorization::Anonymous))]
    {
        for failure in [
            client.has_blob(&address, "a", &blob.digest).await.unwrap_err().failure(),
            client.push_blob(&address, "a", &blob, open(b"x")).await.unwrap_err().failure(),
            client.manifest_digest(&address, "a", "1").await.unwrap_err().failure(),
        ] {
            assert_eq!(
                (failure.kind.as_str(), failure.blame.as_str()),
                ("registry_denied", "user"),
                "{failure}"
            );
        }
    }
    let pulling = Client::anonymous(http(), Vec::new());
    let denied = pulling.resolve(&image(&address, "a:1"), &Platform::host()).await.unwrap_err();
    assert_eq!(denied.failure().kind, "base_image_denied");
}

#[tokio::test]
async fn a_credential_goes_to_no_other_registry() {
    let registry = LocalRegistry::start();
    let credentials = Authorization::Basic { username: "ci".to_owned(), password: "secret".to_owned() };
    let client = Client::pushing(http(), Vec::new(), "registry.example", Arc::new(credentials));
    let refused = client.has_blob(&registry.address(), "a", &digest(b"x")).await.unwrap_err();
    assert_eq!(refused.failure().kind, "registry_denied");
    assert!(registry.requests().is_empty());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_blob() {
    let registry = LocalRegistry::start();
    let address = registry.address();
    let client = Client::pushing(http(), Vec::new(), &address, Arc::new(Authorization::Anonymous));
    let blob = descriptor(b"whole", MediaType::OCI_LAYER_TAR);
    let broken =
        || ready(Ok::<_, Error>(body(b"who").chain(stream::iter([Err(std::io::Error::other("disk"))]))));
    client.push_blob(&address, "a", &blob, broken).await.unwrap_err();
    assert!(!client.has_blob(&address, "a", &blob.digest).await.unwrap());
}
