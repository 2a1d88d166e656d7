//! A hostile build beside planted secrets: it looks in memory, environments, files, /proc, sockets and at the
//! addresses of the cloud, and finds none. The same search, run as the machine's root, finds every one.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{Identity, World, residue};
use test_support::{FakeAzure, GitServer, LocalRegistry, Network, Principal, TestRepository, TokenRegistry};

const SEARCH: &str = include_str!("canary/search.sh");
const GIT_TOKEN: &str = "planted-git-token-5d1c0a77e2b94f36";
/// `Basic` of `ci:` and the token.
const GIT_BASIC: &str = "Basic Y2k6cGxhbnRlZC1naXQtdG9rZW4tNWQxYzBhNzdlMmI5NGYzNg==";
const REGISTRY_PASSWORD: &str = "planted-registry-password-93be41c6d0f2";
const SOCKET: &str = "planted-abstract-socket";
const WIRE_SERVER: &str = "168.63.129.16:80";

/// Name and value.
type Secrets = Vec<(&'static str, String)>;

/// As much of Azure's agent as to be known again.
fn serve_goal_state() {
    let listener = TcpListener::bind(WIRE_SERVER).unwrap();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let _ = connection.read(&mut [0; 512]);
            let _ = connection.write_all(b"HTTP/1.0 200 OK\r\n\r\n<GoalState>planted</GoalState>\n");
        }
    });
}

/// What root reads of a file.
fn read(path: &Path) -> String {
    let output = Identity::Root.command(Path::new("cat")).arg(path).output().unwrap();
    assert!(output.status.success(), "{}: {output:?}", path.display());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What the service itself made and keeps in files.
fn of_the_service(world: &World) -> Secrets {
    let secret = |name: &str| read(&world.data.join("secrets").join(name));
    let password = |role: &str| {
        let url = secret(&format!("{role}.database-url"));
        let (_, rest) = url.split_once("://").unwrap();
        rest.split_once('@').unwrap().0.split_once(':').unwrap().1.to_owned()
    };
    vec![
        ("server's database password", password("server")),
        ("worker's database password", password("worker")),
        ("publisher's database password", password("publisher")),
        ("vault key", secret("encryption.key").lines().last().unwrap().to_owned()),
        ("administrator's token", secret("administrator.token")),
    ]
}

fn patterns(secrets: &Secrets) -> String {
    let line = |(name, secret): &(&str, String)| {
        assert!(secret.len() >= 8 && !secret.contains(char::is_whitespace), "{name}: {secret}");
        format!("{}\t{}\n", name.replace(' ', "-"), secret.chars().rev().collect::<String>())
    };
    secrets.iter().map(line).collect()
}

/// What a search said it found: `what in where`.
fn found(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.contains("RUN "));
    lines.filter_map(|line| line.split_once("canary: found ")).map(|(_, found)| found.to_owned()).collect()
}

async fn post(world: &World, path: &str, body: Value) -> Value {
    let answer = world.http.post(format!("{}{path}", world.server)).json(&body).send().await.unwrap();
    let status = answer.status();
    let body: Value = answer.json().await.unwrap();
    assert!(status.is_success(), "{path}: {body}");
    body
}

async fn put_credential(world: &World, registry: &str, name: &str, credential: Value) {
    let address = format!("{}/v1/registries/{registry}/credentials/{name}", world.server);
    let put = world.http.put(address).json(&credential).send().await.unwrap();
    assert!(put.status().is_success(), "{}", put.text().await.unwrap());
}

/// A run of a registry that ends well.
async fn succeeds(world: &World, registry: &str, spec: Value) {
    let run = post(world, &format!("/v1/registries/{registry}/runs"), spec).await;
    let run = format!("{}/v1/registries/{registry}/runs/{}", world.server, run["id"].as_str().unwrap());
    let ended = world.ended(&run).await;
    assert_eq!(ended["status"], "succeeded", "{ended}\n{}", world.run_log(&run).await);
}

/// The same search as the machine's root, over the service's processes and folders.
fn search_as_root(world: &World, secrets: &Secrets, folders: &[&Path]) -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let (script, list) = (folder.path().join("search.sh"), folder.path().join("patterns"));
    std::fs::write(&script, SEARCH).unwrap();
    std::fs::write(&list, patterns(secrets)).unwrap();
    let roles = ["server", "worker", "publisher"].map(|role| world.role(role)[0].to_string());
    let work = format!("work={}", folder.path().display());
    let mut command = Identity::Root.command(Path::new("env"));
    command
        .args([&work, "b=/bin/busybox", "/bin/busybox", "sh"])
        .arg(&script)
        .arg(&list)
        .arg(roles.join(" "));
    let output = command.args(folders).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("canary: searched 3 processes"), "{text} {output:?}");
    found(&text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_build_finds_no_secret_and_root_finds_every_one() {
    let network =
        Network { addresses: &["169.254.169.254/32", "168.63.129.16/32"], nameserver: None, as_root: true };
    let acr = [("SLIPWAY_ACR_SUFFIXES", "127.0.0.1")];
    if !network.is_inside("a_hostile_build_finds_no_secret_and_root_finds_every_one", &acr) {
        return;
    }
    serve_goal_state();
    let abstract_name = SocketAddr::from_abstract_name(SOCKET).unwrap();
    let _socket = UnixListener::bind_addr(&abstract_name).unwrap();
    let azure = FakeAzure::start_at("169.254.169.254:80").await;
    azure.knows(Principal {
        client_id: "machine".into(),
        is_assigned: true,
        is_system: true,
        ..Principal::default()
    });
    let cloud = TokenRegistry::start(Some(&azure)).await;
    cloud.user("ci", REGISTRY_PASSWORD);
    for who in ["machine", "ci"] {
        cloud.allow(who, "app", &["pull", "push"]);
    }
    let elsewhere = LocalRegistry::start();
    test_support::push_busybox(&elsewhere.address(), "library/busybox:1");
    let base = format!("{}/library/busybox:1", elsewhere.address());
    let origin = format!("--origin=http://{}", elsewhere.address());
    let world = World::start_with(Identity::Root, &[&origin]).await;
    let repository = TestRepository::new();
    let git = GitServer::start_private(&repository, GIT_BASIC);
    let origin = json!({ "type": "git", "url": git.url(), "ref": "main" });
    let spec = |branch: &str, images: &[&str]| {
        let mut source = origin.clone();
        source["ref"] = branch.into();
        json!({ "source": source, "source_credential": "git", "images": images })
    };
    repository.commit_to("main", &[("Dockerfile", &format!("FROM {base}\nRUN echo built > /built\n"))]);
    let machine = json!({ "type": "managed_identity" });
    for (name, sign_in) in [("cloud", machine), ("by-hand", json!({ "type": "anonymous" }))] {
        let body =
            json!({ "name": name, "address": cloud.address(), "plain_http": true, "sign_in": sign_in });
        post(&world, "/v1/registries", body).await;
    }
    for registry in ["local", "cloud", "by-hand"] {
        put_credential(
            &world,
            registry,
            "git",
            json!({ "kind": "git", "username": "ci", "secret": GIT_TOKEN }),
        )
        .await;
    }
    let password = json!({ "kind": "registry", "username": "ci", "secret": REGISTRY_PASSWORD });
    put_credential(&world, "by-hand", "ci", password).await;
    let basic = json!({ "sign_in": { "type": "basic", "credential": "ci" } });
    let address = format!("{}/v1/registries/by-hand", world.server);
    let changed = world.http.patch(address).json(&basic).send().await.unwrap();
    assert!(changed.status().is_success(), "{}", changed.text().await.unwrap());
    // The publisher signs in, both ways, so that it holds what there is to hold.
    succeeds(&world, "cloud", spec("main", &["app:1"])).await;
    succeeds(&world, "by-hand", spec("main", &["app:2"])).await;

    let mut secrets = of_the_service(&world);
    secrets.push(("git credential", GIT_TOKEN.to_owned()));
    secrets.push(("registry password", REGISTRY_PASSWORD.to_owned()));
    secrets.push(("identity token", azure.issued().last().unwrap().clone()));
    let planted: Vec<&str> = secrets.iter().map(|(name, _)| *name).collect();
    let hostile = format!(
        "FROM {base}\nCOPY search.sh patterns /look/\nRUN work=/look b=/bin/busybox sh /look/search.sh /look/patterns all /; \
         echo looked for $((3 * 4)); sleep 600\n"
    );
    let lines = patterns(&secrets);
    repository.commit_to("hostile", &[("Dockerfile", &hostile), ("search.sh", SEARCH), ("patterns", &lines)]);
    let asked = azure.count("imds");
    let run = world.submit(spec("hostile", &["hostile:1"])).await;
    world.wait_for_log(&run, "looked for 12").await;
    let log = world.run_log(&run).await;
    assert!(log.lines().any(|line| line.contains("canary: searched ") && !line.contains(" 0 ")), "{log}");
    assert_eq!(found(&log), BTreeSet::new(), "{log}");
    assert_eq!(azure.count("imds"), asked, "the metadata service was not so much as asked");

    // While that run still holds its credential.
    let folders: [PathBuf; 2] = [world.data.join("secrets"), world.runtime.clone()];
    let control = search_as_root(&world, &secrets, &folders.each_ref().map(PathBuf::as_path));
    for name in planted {
        let name = name.replace(' ', "-");
        assert!(control.iter().any(|found| found.starts_with(&format!("{name} in "))), "{name}: {control:?}");
    }
    for (what, place) in [
        ("identity-token", "memory"),
        ("git-credential", "memory"),
        ("registry-password", "memory"),
        ("vault-key", "files"),
        ("worker's-database-password", "files"),
    ] {
        assert!(control.contains(&format!("{what} in {place}")), "{what} in {place}: {control:?}");
    }
    for found in ["access_token at 169.254.169.254", "GoalState at 168.63.129.16"] {
        assert!(control.contains(found), "{found}: {control:?}");
    }
    let socket =
        |name: &str| control.iter().any(|found| found.starts_with("socket ") && found.contains(name));
    assert!(socket(&format!("@{SOCKET}")) && socket("publisher.sock"), "{control:?}");
    assert!(!residue::children_of(world.role("worker")[0]).is_empty(), "the hostile run still runs");
    world.http.post(format!("{run}/cancel")).send().await.unwrap();
    assert_eq!(world.ended(&run).await["status"], "cancelled");
}
