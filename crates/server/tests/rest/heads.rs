//! Requests that never come to a handler: what can't be parsed, and heads without measure. They are answered in the
//! same words as everything else.

use reqwest::Response;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{World, problem};

/// Everything that is answered to these bytes.
async fn answer_to(world: &World, bytes: &[u8]) -> String {
    let mut connection = TcpStream::connect(world.address.strip_prefix("http://").unwrap()).await.unwrap();
    let (mut reading, mut writing) = connection.split();
    let mut answer = Vec::new();
    // The refusal may come before everything is sent.
    let send = async { drop(writing.write_all(bytes).await) };
    let (_, read) = tokio::join!(send, reading.read_to_end(&mut answer));
    assert!(read.is_ok() || !answer.is_empty(), "{read:?}");
    String::from_utf8(answer).unwrap()
}

/// Status and kind of a refusal.
fn refusal(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    assert!(head.contains("content-type: application/problem+json"), "{answer}");
    let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    let id = body["request_id"].as_str().unwrap();
    assert!(
        head.contains(&format!("x-request-id: {id}")) && !body["detail"].as_str().unwrap().is_empty(),
        "{answer}"
    );
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(body["status"], status);
    (status, body["kind"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_can_not_be_read_is_refused_as_a_problem() {
    let world = World::new().await;
    let long = |length: usize| "x".repeat(length);
    for (bytes, status, kind) in [
        ("\u{16}\u{3}\u{1} a TLS client hello\r\n\r\n".to_owned(), 400, "request_invalid"),
        ("GET /healthz HTTP/9.9\r\n\r\n".to_owned(), 400, "request_invalid"),
        ("GET /healthz HTTP/1.1\r\nhost: x\r\nno header\r\n\r\n".to_owned(), 400, "request_invalid"),
        (
            "GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: many\r\n\r\n".to_owned(),
            400,
            "request_invalid",
        ),
        (format!("GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n", long(100_000)), 431, "headers_too_large"),
        (format!("GET /healthz?{} HTTP/1.1\r\n\r\n", long(1_000_000)), 431, "headers_too_large"),
        (format!("GET /healthz HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200)), 431, "headers_too_large"),
        (
            format!("GET /healthz HTTP/1.1\r\nconnection: close\r\nx: {}\r\n\r\n", long(40_000)),
            431,
            "headers_too_large",
        ),
        (
            format!("GET /healthz?{} HTTP/1.1\r\nconnection: close\r\n\r\n", long(20_000)),
            414,
            "address_too_long",
        ),
    ] {
        let answer = answer_to(&world, bytes.as_bytes()).await;
        assert_eq!(
            refusal(&answer),
            (status, kind.to_owned()),
            "{}: {answer}",
            &bytes[..40.min(bytes.len())]
        );
    }
}

#[tokio::test]
async fn a_good_request_before_a_broken_one_is_answered() {
    let world = World::new().await;
    let answer = answer_to(&world, b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\nnonsense\r\n\r\n").await;
    let (good, broken) = answer.split_at(answer.rfind("HTTP/1.1").unwrap());
    assert!(good.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(refusal(broken), (400, "request_invalid".to_owned()));
}

#[tokio::test]
async fn http_2_has_the_same_measures() {
    let world = World::new().await;
    let http = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let ask = async |query: usize, header: usize| -> Response {
        let address = format!("{}/healthz?{}", world.address, "x".repeat(query));
        http.get(address).header("x", "x".repeat(header)).send().await.unwrap()
    };
    assert_eq!(ask(1000, 1000).await.status(), 200);
    assert_eq!(problem(ask(20_000, 1).await).await.1, "address_too_long");
    assert_eq!(problem(ask(1, 60_000).await).await.1, "headers_too_large");
}
