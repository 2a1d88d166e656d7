//! Against git's own http-backend, and against hosts that answer what they should not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use futures_util::TryStreamExt;
use model::Blame;
use test_support::{GitServer, TestRepository};

use super::*;

fn client() -> Client {
    let loopback = egress::Policy::new(vec!["127.0.0.0/8".parse().unwrap()], Vec::new());
    Client::new(&egress::Options::default(), loopback).unwrap()
}

async fn read(answered: Answered) -> Vec<u8> {
    answered.try_collect::<Vec<Bytes>>().await.unwrap().concat()
}

async fn refused(repository: &str) -> (String, Blame, String) {
    let failure = refs(&client(), repository, None).await.err().unwrap();
    (failure.kind.clone(), failure.blame, failure.to_string())
}

/// A host that answers each request with the next of `answers`, without looking at it.
fn host_that_answers(answers: Vec<String>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut connection, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            connection.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 301 Moved\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn refs_and_pack_come_as_git_sends_them() {
    let repository = TestRepository::new();
    let tip = repository.commit(&[("word", "hello")]);
    let server = GitServer::start(&repository);
    let advertisement = read(refs(&client(), &server.url(), None).await.unwrap()).await;
    assert!(advertisement.starts_with(b"001e# service=git-upload-pack\n0000"));
    assert!(String::from_utf8_lossy(&advertisement).contains(&tip));

    let body = format!("0032want {tip}\n00000009done\n");
    let pack = read(upload_pack(&client(), &server.url(), None, body.clone()).await.unwrap()).await;
    assert!(pack.starts_with(b"0008NAK\nPACK"), "{:?}", String::from_utf8_lossy(&pack));

    let requests = server.requests();
    let seen: Vec<(&str, &str)> = requests.iter().map(|r| (r.method.as_str(), r.target.as_str())).collect();
    let expected = [
        ("GET", "/repository.git/info/refs?service=git-upload-pack"),
        ("POST", "/repository.git/git-upload-pack"),
    ];
    assert_eq!(seen, expected);
    assert_eq!(requests[1].body, body.as_bytes());
    assert_eq!(requests[1].header("content-type"), Some("application/x-git-upload-pack-request"));
    for request in &requests {
        assert_eq!((request.header("git-protocol"), request.header("authorization")), (None, None));
    }
}

#[tokio::test]
async fn a_private_or_missing_repository_is_the_persons_to_mend() {
    let repository = TestRepository::new();
    repository.commit(&[("word", "hello")]);
    let private = GitServer::start_private(&repository, "Basic dTpw");
    let public = GitServer::start(&repository);
    // A credential in the address is not sent.
    let with_password = private.url().replace("http://", "http://u:p@");
    for url in [private.url(), with_password, public.url_of("other.git")] {
        let (kind, blame, text) = refused(&url).await;
        assert_eq!((kind.as_str(), blame), ("repository_not_found_or_private", Blame::User));
        assert!(!text.contains("u:p@"), "{text}");
    }
    assert!(private.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn a_host_that_does_not_listen_is_unreachable() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (kind, blame, text) = refused(&format!("http://{address}/a.git")).await;
    assert_eq!((kind.as_str(), blame), ("repository_unreachable", Blame::Service));
    assert!(text.contains("refused"), "{text}");
    let busy = host_that_answers(vec!["HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".into()]);
    assert_eq!(refused(&format!("http://{busy}/a.git")).await.0, "repository_unreachable");
}

#[tokio::test]
async fn a_denied_host_is_not_asked_and_the_refusal_says_how_it_is_let() {
    let repository = TestRepository::new();
    repository.commit(&[("word", "hello")]);
    let server = GitServer::start(&repository);
    let closed = Client::new(&egress::Options::default(), egress::Policy::default()).unwrap();
    let failure = refs(&closed, &server.url(), None).await.err().unwrap();
    assert_eq!((failure.kind.as_str(), failure.blame), ("address_denied", Blame::User));
    let origin = server.url().replace("/repository.git", "");
    assert!(failure.hint.contains(&format!("--origin {origin}`")), "{failure}");
    assert!(server.requests().is_empty());
    let open = closed.with_origin(origin.parse().unwrap());
    assert!(!read(refs(&open, &server.url(), None).await.unwrap()).await.is_empty());
}

#[tokio::test]
async fn what_is_no_git_host_is_said_to_be_none() {
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi";
    let host = host_that_answers(vec![page.into()]);
    assert_eq!(refused(&format!("http://{host}/a.git")).await.0, "not_a_git_repository");
    let nowhere = host_that_answers(vec!["HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".into()]);
    assert_eq!(refused(&format!("http://{nowhere}/a.git")).await.0, "not_a_git_repository");
    let endless = host_that_answers(vec![redirect("/a.git/info/refs?service=git-upload-pack"); 6]);
    assert_eq!(refused(&format!("http://{endless}/a.git")).await.0, "not_a_git_repository");
}

#[tokio::test]
async fn a_redirect_is_followed_within_its_origin_only() {
    let repository = TestRepository::new();
    repository.commit(&[("word", "hello")]);
    let server = GitServer::start(&repository);
    let away = format!("{}/info/refs?service=git-upload-pack", server.url());
    let host = host_that_answers(vec![redirect(&away)]);
    let (kind, _, text) = refused(&format!("http://{host}/a.git")).await;
    assert_eq!(kind, "repository_moved");
    assert!(text.contains(&format!("write its address as {}.", server.url())), "{text}");
    assert!(server.requests().is_empty());

    let login = host_that_answers(vec![redirect("/login?next=/a.git")]);
    assert_eq!(refused(&format!("http://{login}/a.git")).await.0, "repository_not_found_or_private");
    let push = host_that_answers(vec![redirect("/a.git/info/refs?service=git-receive-pack")]);
    assert_eq!(refused(&format!("http://{push}/a.git")).await.0, "repository_not_found_or_private");

    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nContent-Length: 4\r\nConnection: close\r\n\r\n0000";
    let renamed =
        host_that_answers(vec![redirect("/new.git/info/refs?service=git-upload-pack"), answer.to_owned()]);
    assert_eq!(read(refs(&client(), &format!("http://{renamed}/a.git"), None).await.unwrap()).await, b"0000");
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_has_no_end_fails() {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-result\r\nConnection: close\r\n";
    let cut = host_that_answers(vec![format!("{head}Content-Length: 100\r\n\r\n0008NAK")]);
    let answered = upload_pack(&client(), &format!("http://{cut}/a.git"), None, "0000").await.unwrap();
    let failure = answered.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.blame), ("repository_unreachable", Blame::Service));

    let long = host_that_answers(vec![format!("{head}Content-Length: 100\r\n\r\n{}", "x".repeat(100))]);
    let url = Url::parse(&format!("http://{long}/a.git/git-upload-pack")).unwrap();
    let client = client();
    let response = client.send(client.request(Method::POST, url.clone())).await.unwrap();
    let failure = body(response, url, 99).try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.blame), ("source_too_large", Blame::Limits));
}
