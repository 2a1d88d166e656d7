//! Against hosts on loopback that answer as hosts do, and as they should not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use egress::{Options, Policy};
use futures_util::TryStreamExt;
use model::Blame;

use super::*;

/// Answers each request with the next of its answers, and keeps what it was asked.
struct Host {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Host {
    fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let asked_here = Arc::clone(&asked);
        std::thread::spawn(move || {
            for answer in answers {
                let (mut connection, _) = listener.accept().unwrap();
                let lines = BufReader::new(connection.try_clone().unwrap()).lines();
                let lines: Vec<String> =
                    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                asked_here.lock().unwrap().push(lines.join("\n").to_lowercase());
                let _ = connection.write_all(answer.as_bytes());
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn redirect(to: &str) -> String {
    answer(&format!("302 Found\r\nLocation: {to}"), "")
}

/// Reaches the hosts that are given, as an administrator allowed.
fn client(hosts: &[&Host]) -> Client {
    let allow = hosts.iter().map(|host| host.address.parse().unwrap()).collect();
    Client::new(&Options::default(), Policy::new(allow, Vec::new())).unwrap()
}

async fn read(fetched: Fetched) -> Result<Vec<u8>, Failure> {
    Ok(fetched.content.try_collect::<Vec<Bytes>>().await?.concat())
}

async fn refused(http: &Client, url: &str) -> Failure {
    get(http, url).await.err().unwrap()
}

#[tokio::test]
async fn a_file_comes_with_its_time_and_without_a_credential() {
    let ok = answer("200 OK\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT", "hello");
    let host = Host::start(vec![redirect("/b?token=1"), ok, answer("200 OK", "")]);
    let http = client(&[&host]);
    let file = get(&http, &format!("http://{}/a", host.address)).await.unwrap();
    assert_eq!(file.last_modified, Some(1_445_412_480));
    assert_eq!(read(file).await.unwrap(), b"hello");
    let empty = get(&http, &format!("http://{}/c", host.address)).await.unwrap();
    assert_eq!((empty.last_modified, read(empty).await.unwrap().len()), (None, 0));
    let asked = host.asked();
    assert!(asked[0].starts_with("get /a ") && asked[1].starts_with("get /b?token=1 "), "{asked:?}");
    for request in asked {
        assert!(!request.contains("authorization") && !request.contains("cookie"), "{request}");
        assert!(!request.contains("accept-encoding"), "the bytes are wanted as they are: {request}");
    }
}

#[tokio::test]
async fn a_redirect_to_a_denied_address_is_refused_and_not_asked() {
    let inner = Host::start(vec![answer("200 OK", "secret")]);
    let host = Host::start(vec![redirect(&format!("http://{}/x", inner.address)); 2]);
    let configured = client(&[&host]).with_origin(format!("http://{}", inner.address).parse().unwrap());
    for http in [client(&[&host]), configured] {
        let failure = refused(&http, &format!("http://{}/a", host.address)).await;
        assert_eq!((failure.kind.as_str(), failure.blame), ("address_denied", Blame::User));
        assert!(failure.hint.contains(&format!("--egress-allow {}`", inner.address)), "{failure}");
    }
    assert!(inner.asked().is_empty());
}

#[tokio::test]
async fn only_plain_addresses_are_fetched() {
    let host = Host::start(vec![redirect("file:///etc/passwd"), redirect("http://u:p@127.0.0.1/")]);
    let http = client(&[&host]);
    for url in
        ["", "/etc/passwd", "file:///etc/passwd", "ftp://a/b", "gopher://a", "http://u:p@a/b", "http://u@a"]
    {
        let failure = refused(&http, url).await;
        assert_eq!((failure.kind.as_str(), failure.blame), ("url_invalid", Blame::User), "{url}");
        assert!(!failure.to_string().contains("u:p"), "{failure}");
    }
    for _ in 0..2 {
        assert_eq!(refused(&http, &format!("http://{}/a", host.address)).await.kind, "url_invalid");
    }
}

#[tokio::test]
async fn what_a_host_answers_says_whose_it_is_to_mend() {
    for (head, kind, blame) in [
        ("404 Not Found", "url_refused", Blame::User),
        ("401 Unauthorized", "url_refused", Blame::User),
        ("304 Not Modified", "url_refused", Blame::User),
        ("302 Found", "url_refused", Blame::User),
        ("503 Busy", "url_unreachable", Blame::Service),
        ("429 Too Many Requests", "url_unreachable", Blame::Service),
    ] {
        let host = Host::start(vec![answer(head, "")]);
        let failure = refused(&client(&[&host]), &format!("http://{}/a?token=hunter2", host.address)).await;
        assert_eq!((failure.kind.as_str(), failure.blame), (kind, blame), "{head}");
        assert!(!failure.to_string().contains("hunter2"), "{failure}");
    }
    let endless = Host::start(vec![redirect("/a"); 11]);
    let failure = refused(&client(&[&endless]), &format!("http://{}/a", endless.address)).await;
    assert!(failure.message.contains("without end"), "{failure}");
}

#[tokio::test]
async fn a_file_that_breaks_off_or_is_too_large_fails() {
    let cut =
        Host::start(vec!["HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nabc".into()]);
    let file = get(&client(&[&cut]), &format!("http://{}/a", cut.address)).await.unwrap();
    assert_eq!(read(file).await.unwrap_err().kind, "url_unreachable");
    let huge = Host::start(vec![format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MAX_FILE + 1)]);
    let failure = refused(&client(&[&huge]), &format!("http://{}/a", huge.address)).await;
    assert_eq!((failure.kind.as_str(), failure.blame), ("file_too_large", Blame::Limits));
    let endless =
        Host::start(vec![format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", "x".repeat(100))]);
    let http = client(&[&endless]);
    let url = Url::parse(&format!("http://{}/a", endless.address)).unwrap();
    let response = http.execute(Request::new(Method::GET, url.clone())).await.unwrap();
    let failure = body(response, url, 99).try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(failure.kind, "file_too_large");
}
