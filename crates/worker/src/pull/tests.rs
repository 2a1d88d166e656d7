//! Registries that send what they should not.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use model::MediaType;

use super::*;

/// A registry that answers whatever it is asked with a body of `send`'s.
fn registry(send: impl Fn(TcpStream) + Send + 'static) -> ImageReference {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            connection.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").unwrap();
            send(connection);
        }
    });
    format!("{address}/base/image:1").parse().unwrap()
}

/// A blob of a mebibyte, and what of it is written.
async fn fetch(image: &ImageReference) -> (Failure, u64) {
    let blob = Descriptor {
        media_type: MediaType::OCI_LAYER_GZIP.to_owned(),
        digest: Digest::from_sha256(Sha256::digest(b"x").into()),
        size: 1 << 20,
    };
    let patience = Duration::from_millis(300);
    let options = egress::Options { read_timeout: patience, ..egress::Options::default() };
    let loopback = egress::Policy::new(vec!["127.0.0.0/8".parse().unwrap()], Vec::new());
    let http = egress::Client::new(&options, loopback).unwrap();
    let file = tempfile::tempfile().unwrap();
    let written = file.try_clone().unwrap();
    let registry = registry::Client::anonymous(http, Vec::new());
    let failure = download(&registry, image, &blob, file).await.unwrap_err();
    (failure, written.metadata().unwrap().len())
}

#[tokio::test]
async fn a_body_without_end_is_cut_where_the_blob_should_end() {
    let image = registry(|mut connection| while connection.write_all(&[0; 10_000]).is_ok() {});
    let (failure, written) = fetch(&image).await;
    assert_eq!(failure.kind, "digest_mismatch", "{failure}");
    assert!(written <= 1 << 20, "{written}");
}

#[tokio::test]
async fn a_body_that_stops_coming_is_not_waited_for() {
    let image = registry(|mut connection| {
        connection.write_all(&[0; 1000]).unwrap();
        // Until the other end has had enough.
        let _ = std::io::copy(&mut connection, &mut std::io::sink());
    });
    let (failure, written) = fetch(&image).await;
    assert_eq!(
        (failure.kind.as_str(), failure.blame),
        ("registry_unreachable", model::Blame::Service),
        "{failure}"
    );
    assert_eq!(written, 1000);
}
