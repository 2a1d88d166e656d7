//! Where a registry leads to: a token server, a redirect, an upload that goes on elsewhere. Of the places that an
//! administrator configured, it opens itself alone.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream;
use model::{Descriptor, Digest, Failure, MediaType, Platform};
use registry::{Authorization, Client, Error, PullTokens};
use sha2::{Digest as _, Sha256};
use support::{Answer, Scripted};

mod support;

/// Two lists as an administrator writes them.
fn http(allow: &[&Scripted], origins: &[&Scripted]) -> egress::Client {
    let allow = allow.iter().map(|host| host.address.parse().unwrap()).collect();
    let origins = origins.iter().map(|host| format!("http://{}", host.address).parse().unwrap()).collect();
    egress::Client::new(&egress::Options::default(), egress::Policy::new(allow, origins)).unwrap()
}

/// Something of the operator's own that a stranger must not ask.
fn inner() -> Scripted {
    Scripted::start(|_, _| ("500 Internal Server Error", String::new(), b"INTERNAL key=abc123".to_vec()))
}

/// A registry that says for everything: ask there.
fn leading_to(address: &str, how: &str) -> Scripted {
    let answer: Answer = match how {
        "realm" => {
            let header = format!("WWW-Authenticate: Bearer realm=\"http://{address}/any/path\"\r\n");
            ("401 Unauthorized", header, Vec::new())
        }
        _ => ("307 Temporary Redirect", format!("Location: http://{address}/any/path\r\n"), Vec::new()),
    };
    Scripted::start(move |_, _| answer.clone())
}

async fn resolved(client: &Client, server: &Scripted) -> Failure {
    client.resolve(&server.image(), &Platform::host()).await.unwrap_err().failure()
}

/// Nobody is known at the run's own registry.
struct NoTokens;

impl PullTokens for NoTokens {
    fn pull_token<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        ready(Ok(None)).boxed()
    }
}

#[tokio::test]
async fn an_image_of_a_strangers_registry_opens_no_configured_origin() {
    let (origin, own) = (inner(), inner());
    for target in [&origin, &own] {
        for how in ["realm", "redirect"] {
            let hostile = leading_to(&target.address, how);
            let client = Client::anonymous(http(&[&hostile], &[&origin]), Vec::new());
            let client = client.of_registry(&own.address, Arc::new(NoTokens));
            let failure = resolved(&client, &hostile).await;
            assert_eq!(failure.kind, "address_denied", "{how}: {failure}");
            assert!(failure.hint.contains("--egress-allow"), "{failure}");
        }
    }
    assert!(origin.heads().is_empty() && own.heads().is_empty());
}

#[tokio::test]
async fn one_configured_origin_does_not_lead_to_another() {
    let origin = inner();
    for how in ["realm", "redirect"] {
        let named = leading_to(&origin.address, how);
        let client = Client::anonymous(http(&[], &[&origin, &named]), Vec::new());
        assert_eq!(resolved(&client, &named).await.kind, "address_denied", "{how}");
    }
    assert!(origin.heads().is_empty());
}

#[tokio::test]
async fn a_configured_registry_that_an_image_names_has_its_own_token_server() {
    let named = Scripted::start(|ours, head| match head {
        _ if head.starts_with("GET /token") => ("200 OK", String::new(), br#"{"token":"t"}"#.to_vec()),
        _ if head.contains("Bearer t") => ("404 Not Found", String::new(), Vec::new()),
        _ => {
            let header = format!("WWW-Authenticate: Bearer realm=\"http://{ours}/token\"\r\n");
            ("401 Unauthorized", header, Vec::new())
        }
    });
    let client = Client::anonymous(http(&[], &[&named]), Vec::new());
    assert_eq!(resolved(&client, &named).await.kind, "base_image_not_found");
    assert_eq!(named.heads().len(), 3);
}

#[tokio::test]
async fn the_words_of_the_host_that_a_registry_leads_to_are_not_shown() {
    for (how, status) in [("realm", "500 Internal Server Error"), ("redirect", "418 I'm a teapot")] {
        let elsewhere = Scripted::start(move |_, _| (status, String::new(), b"INTERNAL key=abc123".to_vec()));
        let hostile = leading_to(&elsewhere.address, how);
        let client = Client::anonymous(http(&[&hostile, &elsewhere], &[]), Vec::new());
        let failure = resolved(&client, &hostile).await;
        assert_eq!(failure.kind, "registry_refused");
        assert!(!failure.message.contains("INTERNAL"), "{failure}");
        assert!(!elsewhere.heads().is_empty());
    }
}

fn blob(bytes: &[u8]) -> Descriptor {
    let digest = Digest::from_sha256(Sha256::digest(bytes).into());
    Descriptor { media_type: MediaType::OCI_LAYER_TAR.to_owned(), digest, size: bytes.len() as u64 }
}

async fn uploaded(client: &Client, registry: &str) -> Result<(), Error> {
    let body = || ready(Ok::<_, Error>(stream::iter([Ok(Bytes::from_static(b"layer"))])));
    client.push_blob(registry, "a", &blob(b"layer"), body).await
}

/// As whoever pushes: the registry is the one that was configured.
fn pusher(http: egress::Client, registry: &Scripted) -> Client {
    let credential = Authorization::Bearer { token: "sesame".to_owned() };
    Client::pushing(http, Vec::new(), &registry.address, Arc::new(credential))
}

#[tokio::test]
async fn a_push_reaches_no_address_that_its_registry_leads_to_but_no_list_has() {
    let origin = inner();
    let location = format!("Location: http://{}/upload\r\n", origin.address);
    for (method, status) in [
        ("POST", "202 Accepted"),
        ("PATCH", "202 Accepted"),
        ("HEAD", "307 Temporary Redirect"),
        ("POST", "307 Temporary Redirect"),
        ("PATCH", "308 Permanent Redirect"),
        ("PUT", "307 Temporary Redirect"),
    ] {
        let location = location.clone();
        let hostile = Scripted::start(move |_, head| match head {
            _ if head.starts_with(method) => (status, location.clone(), Vec::new()),
            _ if head.starts_with("HEAD") => ("404 Not Found", String::new(), Vec::new()),
            _ => ("202 Accepted", "Location: /v2/a/blobs/uploads/1\r\n".to_owned(), Vec::new()),
        });
        let client = pusher(http(&[], &[&origin]), &hostile);
        let failed = match method {
            "HEAD" => client.has_blob(&hostile.address, "a", &blob(b"x").digest).await.map(drop),
            _ => uploaded(&client, &hostile.address).await,
        };
        assert_eq!(failed.unwrap_err().failure().kind, "address_denied", "{method} {status}");
        let put = client.push_manifest(&hostile.address, "a", "1", MediaType::OCI_MANIFEST, Bytes::new());
        assert!(put.await.is_err());
        assert!(client.manifest_digest(&hostile.address, "a", "1").await.is_err() || method != "HEAD");
    }
    assert!(origin.heads().is_empty(), "{:?}", origin.heads());
}

#[tokio::test]
async fn an_upload_goes_on_at_a_store_that_may_be_reached_and_without_the_credential() {
    let store = Scripted::start(|ours, head| match head {
        _ if head.starts_with("PUT") => ("201 Created", String::new(), Vec::new()),
        _ => ("202 Accepted", format!("Location: http://{ours}/kept?signed=1\r\n"), Vec::new()),
    });
    let location = format!("Location: http://{}/kept\r\n", store.address);
    let registry = Scripted::start(move |_, _| ("202 Accepted", location.clone(), Vec::new()));
    let client = pusher(http(&[&store], &[]), &registry);
    uploaded(&client, &registry.address).await.unwrap();
    assert!(registry.heads()[0].contains("Bearer sesame"));
    let heads = store.heads();
    assert_eq!(heads.len(), 2, "{heads:?}");
    assert!(heads[0].starts_with("PATCH /kept ") && heads[0].to_lowercase().contains("content-range: 0-4"));
    assert!(heads[1].starts_with("PUT /kept?signed=1&digest=sha256%3A"), "{}", heads[1]);
    assert!(heads.iter().all(|head| !head.contains("sesame")));
}

#[tokio::test]
async fn other_bytes_than_the_digest_names_are_never_given_to_the_registry_as_a_blob() {
    let registry = Scripted::start(|_, head| match head {
        _ if head.starts_with("PUT") => ("201 Created", String::new(), Vec::new()),
        _ => ("202 Accepted", "Location: /v2/a/blobs/uploads/1\r\n".to_owned(), Vec::new()),
    });
    let client = pusher(http(&[], &[]), &registry);
    for bytes in [&b"other"[..], b"layer and more", b"lay", b""] {
        let bytes = Bytes::from_static(bytes);
        let body = || ready(Ok::<_, Error>(stream::iter([Ok(bytes.clone())])));
        let error = client.push_blob(&registry.address, "a", &blob(b"layer"), body).await.unwrap_err();
        assert!(matches!(error, Error::Damaged(_)), "{error}");
    }
    assert!(registry.heads().iter().all(|head| !head.starts_with("PUT")));
}
