//! Certificates: spoken with, and renewed while the server runs.

use std::path::Path;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use server::{Config, TlsFiles};

use crate::world::World;

/// A certificate for loopback that vouches for itself, with its key, in the two files. In PEM.
fn write(files: &TlsFiles) -> String {
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap().pem();
    std::fs::write(&files.certificate, &certificate).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    certificate
}

/// A new connection that trusts this certificate alone.
async fn asks(address: &str, trusted: &str) -> Result<u16, reqwest::Error> {
    let root = reqwest::Certificate::from_pem(trusted.as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
    Ok(client.get(format!("{address}/healthz")).send().await?.status().as_u16())
}

fn files(folder: &Path) -> TlsFiles {
    TlsFiles { certificate: folder.join("tls.cert"), key: folder.join("tls.key") }
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let first = write(&files);
    let look = Duration::from_millis(20);
    let world = World::with(Config { tls: Some(files.clone()), tls_look: look, ..Config::default() }).await;
    let address = world.address.replace("http://", "https://");
    assert_eq!(asks(&address, &first).await.unwrap(), 200);
    assert!(world.get("/healthz").send().await.is_err(), "nothing is said in the clear");

    std::fs::write(&files.certificate, "half a certif").unwrap();
    tokio::time::sleep(5 * look).await;
    assert_eq!(asks(&address, &first).await.unwrap(), 200, "the old one stays meanwhile");
    let second = write(&files);
    let renewed = async { while asks(&address, &second).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(30), renewed).await.expect("the new one is used");
    assert!(asks(&address, &first).await.is_err(), "and the old one no more");
}
