//! Against registries that a real one can't be made to be: hostile, old, busy, or spread over hosts.
//! In: scripted answers. Deliberately absent: whatever the real registry shows as well.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use model::{Descriptor, Digest, ImageReference, MediaType, Platform};
use registry::{Authorization, Client, Observe, Trouble};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::{Answer, Scripted};

mod support;

fn http() -> egress::Client {
    let loopback = egress::Policy::new(vec!["127.0.0.0/8".parse().unwrap()], Vec::new());
    egress::Client::new(&egress::Options::default(), loopback).unwrap()
}

fn pusher(server: &Scripted) -> Client {
    Client::pushing(http(), Vec::new(), &server.address, Arc::new(Authorization::Anonymous))
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

fn typed(media_type: &str, document: &Value) -> Answer {
    ("200 OK", format!("Content-Type: {media_type}\r\n"), document.to_string().into_bytes())
}

fn manifest(layer: &str) -> Value {
    let digest = digest(b"{}");
    json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST,
        "config": { "mediaType": MediaType::OCI_CONFIG, "digest": digest, "size": 2 },
        "layers": [{ "mediaType": layer, "digest": digest, "size": 2 }],
    })
}

async fn resolve_kind(server: &Scripted, image: &ImageReference) -> (String, usize) {
    let client = Client::anonymous(http(), Vec::new());
    let failure = client.resolve(image, &Platform::host()).await.unwrap_err().failure();
    (failure.kind, server.heads().len())
}

#[tokio::test]
async fn a_manifest_over_the_limit_is_not_taken() {
    let server = Scripted::start(|_, _| {
        ("200 OK", format!("Content-Type: {}\r\n", MediaType::OCI_MANIFEST), vec![b' '; (4 << 20) + 1])
    });
    assert_eq!(resolve_kind(&server, &server.image()).await, ("registry_protocol".to_owned(), 1));
}

/// Refused by the manifest alone: neither the configuration nor a layer was asked for.
#[tokio::test]
async fn ten_thousand_layers_or_more_bytes_than_a_disk_has_are_refused_by_the_manifest() {
    for (layers, size, told) in [
        (10_000, 2, ("too_many_layers", "user")),
        (128, 2, ("too_many_layers", "user")),
        (1, u64::MAX, ("image_too_large", "limits")),
        (127, 1 << 40, ("image_too_large", "limits")),
    ] {
        let mut document = manifest(MediaType::OCI_LAYER_TAR);
        let layer = json!({ "mediaType": MediaType::OCI_LAYER_TAR, "digest": digest(b"{}"), "size": size });
        document["layers"] = Value::Array(vec![layer; layers]);
        let server = Scripted::start(move |_, _| typed(MediaType::OCI_MANIFEST, &document));
        let client = Client::anonymous(http(), Vec::new());
        let failure = client.resolve(&server.image(), &Platform::host()).await.unwrap_err().failure();
        assert_eq!((failure.kind.as_str(), failure.blame.as_str()), told, "{layers} of {size}");
        assert!(!failure.hint.is_empty(), "{failure}");
        assert_eq!(server.heads().len(), 1, "{layers} of {size}");
    }
}

/// Digests forbid a real loop: each index names the next one, and the chain has no end.
#[tokio::test]
async fn indexes_of_indexes_are_followed_a_few_times() {
    let platform = Platform::host();
    let mut documents = vec![json!({ "mediaType": MediaType::OCI_INDEX, "manifests": [] }).to_string()];
    for _ in 0..20 {
        let next = documents.last().unwrap();
        let entry = json!({
            "mediaType": MediaType::OCI_INDEX, "digest": digest(next.as_bytes()), "size": next.len(),
            "platform": { "os": platform.os, "architecture": platform.architecture },
        });
        documents.push(json!({ "mediaType": MediaType::OCI_INDEX, "manifests": [entry] }).to_string());
    }
    let server = Scripted::start(move |_, head| {
        let named = |text: &&String| head.contains(&digest(text.as_bytes()).to_string());
        let document = documents.iter().find(named).or(documents.last()).unwrap();
        ("200 OK", format!("Content-Type: {}\r\n", MediaType::OCI_INDEX), document.clone().into_bytes())
    });
    assert_eq!(resolve_kind(&server, &server.image()).await, ("image_unsupported".to_owned(), 3));
}

/// The manifest is honest, and what it names as its configuration has no end.
#[tokio::test]
async fn a_configuration_over_the_limit_is_not_taken() {
    let server = Scripted::start(|_, head| match head.contains("/manifests/") {
        true => typed(MediaType::OCI_MANIFEST, &manifest(MediaType::OCI_LAYER_TAR)),
        false => ("200 OK", String::new(), vec![b' '; (8 << 20) + 1]),
    });
    assert_eq!(resolve_kind(&server, &server.image()).await, ("registry_protocol".to_owned(), 2));
}

#[tokio::test]
async fn other_bytes_than_a_digest_names_are_not_taken() {
    let server = Scripted::start(|_, _| typed(MediaType::OCI_MANIFEST, &manifest(MediaType::OCI_LAYER_TAR)));
    let pinned = format!("{}/a@{}", server.address, digest(b"another")).parse().unwrap();
    assert_eq!(resolve_kind(&server, &pinned).await, ("digest_mismatch".to_owned(), 1));
}

#[tokio::test]
async fn what_cannot_be_built_upon_is_refused_before_its_configuration_is_fetched() {
    let schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    for (media_type, document) in [
        (schema1, json!({ "schemaVersion": 1, "fsLayers": [] })),
        (MediaType::OCI_MANIFEST, manifest(foreign)),
        (MediaType::OCI_MANIFEST, manifest("application/vnd.oci.image.layer.nondistributable.v1.tar")),
    ] {
        let server = Scripted::start(move |_, _| typed(media_type, &document));
        assert_eq!(resolve_kind(&server, &server.image()).await, ("image_unsupported".to_owned(), 1));
    }
}

#[tokio::test]
async fn a_token_stays_with_the_registry_when_a_blob_is_kept_elsewhere() {
    let elsewhere = Scripted::start(|_, _| ("200 OK", String::new(), b"blob".to_vec()));
    let target = format!("Location: http://{}/kept\r\n", elsewhere.address);
    let server = Scripted::start(move |ours, head| match head {
        _ if head.starts_with("GET /token") => ("200 OK", String::new(), br#"{"token":"secret"}"#.to_vec()),
        _ if head.contains("Bearer secret") => ("307 Temporary Redirect", target.clone(), Vec::new()),
        _ => {
            let challenge =
                format!("WWW-Authenticate: Bearer realm=\"http://{ours}/token\",service=\"s\"\r\n");
            ("401 Unauthorized", challenge, Vec::new())
        }
    });
    let blob = Descriptor { media_type: String::new(), digest: digest(b"blob"), size: 4 };
    let client = Client::anonymous(http(), Vec::new());
    let mut bytes = client.pull_blob(&server.image(), &blob).await.unwrap();
    assert_eq!(bytes.next().await.unwrap().unwrap(), Bytes::from_static(b"blob"));
    let kept = elsewhere.heads();
    assert_eq!(kept.len(), 1);
    assert!(!kept[0].to_lowercase().contains("authorization"), "{}", kept[0]);
}

#[tokio::test]
async fn a_registry_that_is_busy_is_not_the_users_to_mend() {
    let server = Scripted::start(|_, _| {
        let body = br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
        ("429 Too Many Requests", String::new(), body.to_vec())
    });
    let blob = Descriptor { media_type: String::new(), digest: digest(b"x"), size: 1 };
    let body = || std::future::ready(Ok(stream::iter([Ok(Bytes::from_static(b"x"))])));
    for error in [
        pusher(&server).push_blob(&server.address, "a", &blob, body).await.unwrap_err(),
        pusher(&server).manifest_digest(&server.address, "a", "1").await.unwrap_err(),
    ] {
        let failure = error.failure();
        let kind_and_blame = (failure.kind.as_str(), failure.blame.as_str());
        assert_eq!(kind_and_blame, ("registry_refused", "service"), "{failure}");
    }
}

#[tokio::test]
async fn a_mount_that_the_registry_declines_in_words_is_an_upload_and_no_failure() {
    for (status, code) in [("404 Not Found", "BLOB_UNKNOWN"), ("405 Method Not Allowed", "UNSUPPORTED")] {
        let server = Scripted::start(move |_, _| {
            (status, String::new(), format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#).into_bytes())
        });
        let mounted = pusher(&server).mount(&server.address, "a", &digest(b"x"), "b").await;
        assert!(!mounted.unwrap(), "{code}");
    }
}

/// Counts what a push has trouble with.
#[derive(Default)]
struct Heard(Mutex<Vec<(Trouble, bool)>>);

impl Observe for Heard {
    fn trouble(&self, trouble: Trouble, is_repeated: bool) {
        self.0.lock().unwrap().push((trouble, is_repeated));
    }
}

/// A registry that has no time, and then it has.
#[tokio::test]
async fn a_registry_without_time_is_asked_again_a_few_times() {
    let busy = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
    let trouble = |first: &'static str, repeats: usize, body: &'static str| {
        let asked = Arc::<Mutex<usize>>::default();
        let server = Scripted::start(move |_, head| {
            let mut asked = asked.lock().unwrap();
            *asked += usize::from(head.starts_with("HEAD"));
            match head.starts_with("HEAD") && *asked <= repeats {
                true => (first, String::new(), body.as_bytes().to_vec()),
                false => ("200 OK", String::new(), Vec::new()),
            }
        });
        let heard = Arc::<Heard>::default();
        let soon = [Duration::from_millis(1); 3];
        let client = pusher(&server).with_pauses(soon).observed(Arc::clone(&heard) as Arc<dyn Observe>);
        async move {
            let has = client.has_blob(&server.address, "a", &digest(b"x")).await;
            let heard = heard.0.lock().unwrap().clone();
            let requests = server.heads().iter().filter(|head| head.starts_with("HEAD")).count();
            (has.map_err(|error| error.failure().kind), heard, requests)
        }
    };
    let repeated = (Trouble::TooManyRequests, true);
    assert_eq!(trouble("429 Too Many Requests", 2, busy).await, (Ok(true), vec![repeated; 2], 3));
    let gone = (Trouble::Unavailable, true);
    assert_eq!(trouble("503 Service Unavailable", 3, "").await, (Ok(true), vec![gone; 3], 4));
    // Not for ever, and not what time does not mend.
    let (has, heard, requests) = trouble("429 Too Many Requests", 9, "").await;
    assert_eq!((has, requests), (Err("registry_refused".to_owned()), 4));
    assert_eq!(heard, [repeated, repeated, repeated, (Trouble::TooManyRequests, false)]);
    let (has, heard, requests) = trouble("400 Bad Request", 9, "").await;
    assert_eq!((has, heard, requests), (Err("registry_refused".to_owned()), vec![], 1));
}

/// Some say what they were sent, to help.
#[tokio::test]
async fn what_a_registry_repeats_of_a_credential_is_not_shown() {
    let server = Scripted::start(|_, head| {
        let sent = head.lines().find(|line| line.to_lowercase().starts_with("authorization: ")).unwrap_or("");
        let body = json!({ "errors": [{ "code": "UNKNOWN", "message": format!("bad auth {sent}") }] });
        ("400 Bad Request", String::new(), body.to_string().into_bytes())
    });
    let basic = Authorization::Basic { username: "bob".into(), password: "s3cret-word".into() };
    let bearer = Authorization::Bearer { token: "t0ken-of-the-publisher".into() };
    for (sent, secret) in [(basic, "Ym9iOnMzY3JldC13b3Jk"), (bearer, "t0ken-of-the-publisher")] {
        let client = Client::pushing(http(), Vec::new(), &server.address, Arc::new(sent));
        let put = client.push_manifest(&server.address, "a", "1", MediaType::OCI_MANIFEST, Bytes::new());
        let failure = put.await.unwrap_err().failure();
        assert!(failure.message.contains("bad auth") && failure.message.contains("***"), "{failure}");
        assert!(!failure.message.contains(&secret[..12]), "{failure}");
    }
}
