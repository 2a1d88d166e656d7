//! Against hosts that answer on loopback, and a resolver that changes its mind.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A host that answers each connection so, and counts them.
struct Host {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Host {
    async fn start(answer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let (count, answer) = (Arc::clone(&asked), answer.to_owned());
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut buffer = [0; 4096];
                let _ = connection.read(&mut buffer).await;
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        });
        Self { port, asked }
    }

    async fn saying_ok() -> Self {
        Self::start("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn policy(allow: &[&str], origins: &[&str]) -> Policy {
    let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
    Policy::new(allow, origins.iter().map(|text| text.parse().unwrap()).collect())
}

fn client(policy: Policy) -> Client {
    Client::new(&Options::default(), policy).unwrap()
}

async fn get(client: &Client, url: &str) -> Result<Response, Error> {
    client.send(client.request(Method::GET, url)).await
}

async fn is_denied(client: &Client, url: &str) -> bool {
    get(client, url).await.is_err_and(|error| error.denied().is_some())
}

/// Answers each lookup with the next of its answers, and the last one for ever.
struct Rebinding(Mutex<Vec<Vec<IpAddr>>>);

impl Lookup for Rebinding {
    fn lookup(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        std::future::ready(Ok(answer)).boxed()
    }
}

#[tokio::test]
async fn loopback_is_denied_however_it_is_written_and_nothing_is_connected() {
    let host = Host::saying_ok().await;
    let client = client(Policy::default());
    for name in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "127.9.9.9",
        "0",
        "0.0.0.0",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
    ] {
        let url = format!("http://{name}:{}/", host.port);
        assert!(is_denied(&client, &url).await, "{name}: {:?}", get(&client, &url).await);
    }
    assert_eq!(host.asked(), 0);
}

#[tokio::test]
async fn a_refusal_names_what_was_asked_for_and_how_it_is_let() {
    let client = client(Policy::default());
    let failure = get(&client, "http://localhost:3000/a.git").await.unwrap_err().failure();
    assert_eq!((failure.kind.as_str(), failure.blame), ("address_denied", model::Blame::User));
    assert!(failure.message.starts_with("The address of localhost:3000 is not"), "{failure}");
    assert!(failure.hint.contains("--origin http://localhost:3000`"), "{failure}");
    // Which address a name has is not a stranger's to know.
    assert!(!failure.to_string().contains("127.0.0.1"), "{failure}");
    let strangers = get(&client.for_strangers(), "http://localhost/a").await.unwrap_err().failure();
    assert!(strangers.hint.contains("--egress-allow localhost`"), "{strangers}");
}

#[tokio::test]
async fn a_configured_origin_is_reached_and_no_other_port_scheme_or_name_of_it() {
    let (host, other) = (Host::saying_ok().await, Host::saying_ok().await);
    let client = client(policy(&[], &[&format!("http://127.0.0.1:{}", host.port)]));
    assert!(get(&client, &format!("http://127.0.0.1:{}/x", host.port)).await.is_ok());
    let port = host.port;
    for url in [
        format!("http://127.0.0.1:{}/", other.port),
        format!("https://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
    ] {
        assert!(is_denied(&client, &url).await, "{url}");
    }
    assert_eq!((host.asked(), other.asked()), (1, 0));
    // What a stranger's file names is not what the administrator named.
    assert!(is_denied(&client.for_strangers(), &format!("http://127.0.0.1:{port}/x")).await);
    assert_eq!(host.asked(), 1);
}

#[tokio::test]
async fn what_is_allowed_is_open_to_strangers_too() {
    let host = Host::saying_ok().await;
    let port = host.port;
    for allowed in ["127.0.0.0/8".to_owned(), "127.0.0.1".to_owned(), format!("127.0.0.1:{port}")] {
        let client = client(policy(&[&allowed], &[])).for_strangers();
        assert!(get(&client, &format!("http://127.0.0.1:{port}/")).await.is_ok(), "{allowed}");
    }
    let by_name = client(policy(&[&format!("localhost:{port}")], &[]));
    assert!(get(&by_name, &format!("http://localhost:{port}/")).await.is_ok());
    assert!(is_denied(&by_name, &format!("http://127.0.0.1:{port}/")).await);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_its_target_is_checked_like_any_other() {
    let inner = Host::saying_ok().await;
    let answer = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        inner.port
    );
    let outer = Host::start(&answer).await;
    let client = client(policy(&[], &[&format!("http://127.0.0.1:{}", outer.port)]));
    let answer = get(&client, &format!("http://127.0.0.1:{}/", outer.port)).await.unwrap();
    assert_eq!(answer.status(), 302);
    let target = answer.headers()["location"].to_str().unwrap().to_owned();
    assert!(is_denied(&client, &target).await);
    assert_eq!(inner.asked(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_checked_at_each_connection() {
    let host = Host::saying_ok().await;
    let (good, bad): (IpAddr, IpAddr) = ("127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap());
    let answers = Rebinding(Mutex::new(vec![vec![good], vec![bad], vec![good, bad], vec![bad, good]]));
    let open = policy(&["127.0.0.1"], &[]);
    let client = Client::looking_up(&Options::default(), open, Arc::new(answers)).unwrap();
    let url = format!("http://rebinding.example:{}/", host.port);
    assert!(get(&client, &url).await.is_ok());
    assert!(is_denied(&client, &url).await);
    // Of several addresses only those that may be reached are tried; 127.0.0.2 would refuse.
    assert!(get(&client, &url).await.is_ok());
    assert!(get(&client, &url).await.is_ok());
    assert_eq!(host.asked(), 3);
}

#[tokio::test]
async fn a_dot_at_the_end_of_a_name_opens_nothing() {
    let host = Host::saying_ok().await;
    let answers = Rebinding(Mutex::new(vec![vec!["127.0.0.1".parse().unwrap()]]));
    let named = policy(&[], &[&format!("http://git.example:{}", host.port)]);
    let client = Client::looking_up(&Options::default(), named, Arc::new(answers)).unwrap();
    assert!(is_denied(&client, &format!("http://git.example.:{}/", host.port)).await);
    assert!(get(&client, &format!("http://git.example:{}/", host.port)).await.is_ok());
}

#[tokio::test]
async fn a_request_that_is_only_written_reaches_nothing() {
    let host = Host::saying_ok().await;
    let client = client(policy(&["127.0.0.0/8"], &[]));
    let url = format!("http://127.0.0.1:{}/", host.port);
    assert!(client.request(Method::GET, &url).send().await.is_err());
    assert_eq!(host.asked(), 0);
}

#[tokio::test]
async fn other_schemes_are_refused() {
    let client = client(policy(&["0.0.0.0/0", "::/0"], &["ssh://127.0.0.1"]));
    for url in ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "ssh://127.0.0.1/"] {
        assert!(get(&client, url).await.is_err(), "{url}");
    }
}
