//! Users and passwords, and nobody: at token servers, at registries with basic authentication, at open ones.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use identity::{Access, Authorization, Identity, Options, SignIn};
use support::{World, failure, loopback, token};
use test_support::{LocalRegistry, TokenRegistry, TokenTrust};

fn basic(password: &str) -> SignIn {
    SignIn::Basic { username: "ci".into(), password: password.into() }
}

fn identity(address: &str, sign_in: SignIn) -> Identity {
    let options = Options { policy: loopback(), ..Options::default() };
    Identity::new(address, false, sign_in, options).unwrap()
}

/// A server that gives each request the same answer. Out: its address, and the heads it got.
fn scripted(answer: Vec<u8>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heads = Arc::<Mutex<Vec<String>>>::default();
    let theirs = Arc::clone(&heads);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = vec![0; 65536];
            let length = stream.read(&mut head).unwrap_or(0);
            theirs.lock().unwrap().push(String::from_utf8_lossy(&head[..length]).into_owned());
            let _ = stream.write_all(&answer);
        }
    });
    (address, heads)
}

#[tokio::test]
async fn a_robot_account_gets_tokens_of_the_registrys_server() {
    let registry = TokenRegistry::start(None).await;
    registry.user("ci", "hunter2");
    registry.allow("ci", "app", &["pull", "push"]);
    let robot = identity(&registry.address(), basic("hunter2"));
    let first = token(robot.authorization(&["app", "app"], Access::Push).await.unwrap());
    assert_eq!(first, token(robot.authorization(&["app"], Access::Push).await.unwrap()));
    assert_eq!(registry.asked(), [["repository:app:pull,push"]]);
    robot.preflight(&["app"]).await.unwrap();
    let missing = failure(&robot.preflight(&["app", "other"]).await.unwrap_err());
    assert!(missing.0 == "registry_denied" && missing.2.contains("push to other"), "{}", missing.2);

    let wrong = identity(&registry.address(), basic("hunter3")).authorization(&["app"], Access::Push).await;
    let (kind, blame, words) = failure(&wrong.unwrap_err());
    assert_eq!((kind.as_str(), blame), ("registry_denied", "user"), "{words}");
    assert!(!words.contains("hunter3") && words.contains("Check user and password"), "{words}");
}

#[tokio::test]
async fn nobody_may_pull_where_everybody_may() {
    let registry = TokenRegistry::start(None).await;
    registry.allow("", "public", &["pull"]);
    let nobody = identity(&registry.address(), SignIn::Anonymous);
    token(nobody.authorization(&["public"], Access::Pull).await.unwrap());
    let (kind, _, words) = failure(&nobody.preflight(&["public"]).await.unwrap_err());
    assert!(kind == "registry_denied" && words.contains("Declare a sign-in"), "{words}");
}

#[tokio::test]
async fn a_registry_without_tokens_gets_user_and_password_or_nothing() {
    let registry = LocalRegistry::start_with_password("ci", "hunter2");
    let right = identity(&registry.address(), basic("hunter2"));
    let expected = Authorization::Basic { username: "ci".into(), password: "hunter2".into() };
    assert_eq!(right.authorization(&["app"], Access::Push).await.unwrap(), expected);
    right.preflight(&["app"]).await.unwrap();
    let asked = registry.requests().len();
    right.authorization(&["app"], Access::Push).await.unwrap();
    assert_eq!(registry.requests().len(), asked, "it is known by now");
    for other in [basic("hunter3"), SignIn::Anonymous] {
        let refused = identity(&registry.address(), other).preflight(&["app"]).await.unwrap_err();
        assert_eq!(failure(&refused).0, "registry_denied", "{refused}");
    }
    let open = LocalRegistry::start();
    let nobody = identity(&open.address(), SignIn::Anonymous);
    assert_eq!(nobody.authorization(&["app"], Access::Push).await.unwrap(), Authorization::Anonymous);
    nobody.preflight(&["app"]).await.unwrap();
}

/// A registry with basic authentication that lets its user push to `app` alone; or, with a token of its own kind,
/// likewise. Out: its address, and method and path of what it was asked.
fn picky(challenge: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (asked, here) = (Arc::<Mutex<Vec<String>>>::default(), address.clone());
    let theirs = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = vec![0; 65536];
            let length = stream.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let request = head.split(" HTTP").next().unwrap().to_owned();
            let signed = head.to_lowercase().contains("authorization: ");
            let is_sized =
                request.starts_with("GET") || head.to_lowercase().contains("content-length: 0\r\n");
            let (status, more, body) = match request.as_str() {
                "GET /v2/" if !signed => {
                    ("401 No", format!("WWW-Authenticate: {}\r\n", challenge.replace("HERE", &here)), "{}")
                }
                "GET /v2/" => ("200 Yes", String::new(), "{}"),
                "POST /v2/app/blobs/uploads/" if signed && is_sized => {
                    ("202 Begun", "Location: /v2/app/blobs/uploads/7?state=x\r\n".to_owned(), "")
                }
                "POST /v2/elsewhere/blobs/uploads/" if signed => {
                    ("202 Begun", "Location: http://evil.invalid/upload\r\n".to_owned(), "")
                }
                "POST /v2/gone/blobs/uploads/" => ("404 None", String::new(), "{}"),
                "DELETE /v2/app/blobs/uploads/7?state=x" if signed => ("204 Gone", String::new(), ""),
                request if request.starts_with("GET /token") => {
                    ("200 Yes", String::new(), r#"{"token":"opaque"}"#)
                }
                _ => ("403 No", String::new(), r#"{"errors":[{"code":"DENIED","message":"denied"}]}"#),
            };
            theirs.lock().unwrap().push(request);
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, asked)
}

#[tokio::test]
async fn where_nothing_tells_of_the_right_an_upload_is_begun_and_cancelled() {
    for challenge in ["Basic realm=\"x\"", "Bearer realm=\"http://HERE/token\",service=\"s\""] {
        let (address, asked) = picky(challenge);
        let robot = identity(&address, basic("hunter2"));
        robot.preflight(&["app"]).await.unwrap();
        let begun = asked.lock().unwrap().clone();
        let last = ["POST /v2/app/blobs/uploads/", "DELETE /v2/app/blobs/uploads/7?state=x"];
        assert_eq!(begun[begun.len() - 2..], last, "{challenge}: nothing stays behind");
        let (kind, blame, words) = failure(&robot.preflight(&["app", "other", "gone"]).await.unwrap_err());
        assert_eq!((kind.as_str(), blame), ("registry_denied", "user"), "{challenge}: {words}");
        assert!(words.contains("push to other, gone") && !words.contains("hunter2"), "{words}");
        robot
            .preflight(&["elsewhere"])
            .await
            .expect("our right goes to no other host, and the upload ends by itself");
    }
}

#[tokio::test]
async fn an_open_registry_is_tried_too_and_keeps_nothing() {
    let registry = LocalRegistry::start();
    identity(&registry.address(), SignIn::Anonymous).preflight(&["app"]).await.unwrap();
    let tried = async {
        loop {
            let requests = registry.requests();
            let seen = |method: &str, status: u16| {
                requests
                    .iter()
                    .any(|r| r.method == method && r.status == status && r.path.contains("/uploads/"))
            };
            if seen("POST", 202) && seen("DELETE", 204) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), tried).await.expect("begun and cancelled");
}

#[tokio::test]
async fn a_password_goes_to_no_server_in_clear_text_elsewhere() {
    let trust = |realm: &str| TokenTrust {
        realm: realm.into(),
        service: "s".into(),
        issuer: "i".into(),
        roots: String::new(),
    };
    let roots = {
        let registry = TokenRegistry::start(None).await;
        registry.certificate()
    };
    let registry =
        LocalRegistry::start_with_tokens(&TokenTrust { roots, ..trust("http://auth.invalid/token") });
    let refused = identity(&registry.address(), basic("hunter2")).authorization(&["app"], Access::Push).await;
    let (kind, _, words) = failure(&refused.unwrap_err());
    assert!(kind == "registry_denied" && words.contains("may go to"), "{words}");
}

#[tokio::test]
async fn what_a_registry_repeats_of_a_password_is_not_shown() {
    // ci:hunter2
    let body =
        r#"{"errors":[{"code":"UNAUTHORIZED","message":"bad auth Basic Y2k6aHVudGVyMg== (hunter2)"}]}"#;
    let length = body.len();
    let (registry, _) = scripted(
        format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: {length}\r\n\r\n{body}")
            .into_bytes(),
    );
    let error = identity(&registry, basic("hunter2")).preflight(&["app"]).await.unwrap_err();
    let (kind, _, words) = failure(&error);
    assert!(kind == "registry_denied" && words.contains("bad auth Basic ***"), "{words}");
    assert!(!words.contains("hunter2") && !words.contains("Y2k6aHVu"), "{words}");
}

/// One that an administrator declared may still be a stranger's: it names somebody else's address as its token server.
#[tokio::test]
async fn a_token_server_is_asked_where_the_registry_is_or_a_stranger_may_go() {
    let (origin, heads) =
        scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"token\":\"t\"}".to_vec());
    let challenge = format!(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"http://{origin}/any\"\r\nContent-Length: 0\r\n\r\n"
    );
    let (hostile, _) = scripted(challenge.into_bytes());
    let ask = async |policy: egress::Policy| {
        let options = Options { policy, ..Options::default() };
        Identity::new(&hostile, false, basic("hunter2"), options).unwrap().preflight(&["app"]).await
    };
    let configured = egress::Policy::new(Vec::new(), vec![format!("http://{origin}").parse().unwrap()]);
    for policy in [egress::Policy::default(), configured] {
        let (kind, blame, words) = failure(&ask(policy).await.unwrap_err());
        assert_eq!((kind.as_str(), blame), ("address_denied", "user"), "{words}");
    }
    assert!(heads.lock().unwrap().is_empty());
    let _ = ask(loopback()).await;
    assert_eq!(heads.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_a_credential() {
    let (elsewhere, gone) = scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_vec());
    let moved = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{elsewhere}/oauth2/exchange\r\nContent-Length: 0\r\n\r\n"
    );
    let (address, asked) = scripted(moved.into_bytes());
    let world = World::new().await;
    let principal = Identity::new(&address, false, world.service_principal(), world.options()).unwrap();
    let error = principal.authorization(&["app"], Access::Push).await.unwrap_err();
    assert_eq!(failure(&error).0, "registry_unreachable", "{error}");
    assert_eq!((asked.lock().unwrap().len(), gone.lock().unwrap().len()), (1, 0));
}

#[tokio::test]
async fn an_answer_that_is_too_large_or_no_answer_is_none() {
    let world = World::new().await;
    let mut large = b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n".to_vec();
    large.extend(vec![b' '; 2_000_000]);
    for (answer, words) in [
        (large, "larger than 1 MiB"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx".to_vec(), "not what"),
    ] {
        let (address, _) = scripted(answer);
        let principal = Identity::new(&address, false, world.service_principal(), world.options()).unwrap();
        let error = principal.authorization(&["app"], Access::Push).await.unwrap_err();
        assert!(failure(&error).0 == "registry_unreachable" && error.to_string().contains(words), "{error}");
    }
    let nobody = identity("127.0.0.1:1", SignIn::Anonymous).preflight(&["app"]).await.unwrap_err();
    assert_eq!((failure(&nobody).0.as_str(), failure(&nobody).1), ("registry_unreachable", "service"));
}
