//! What a stranger's build reaches of the networks around it, in a network of the test's own that has the
//! addresses which must not be reached, and a host that answers on all of them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use support::{Identity, World};
use test_support::{GitServer, Network, TestRepository};

const PORT: u16 = 8080;
/// Private, of carriers, of Azure's agent, link-local, in the network of slirp4netns, unique local; and one that
/// is public and this host's own.
const DENIED: [&str; 8] = [
    "10.9.0.1",
    "100.64.0.1",
    "168.63.129.16",
    "169.254.169.254",
    "192.168.7.7",
    "10.0.2.50",
    "fd00:ec2::254",
    "203.0.113.10",
];
/// Private as well, and in a network that the administrator opened.
const ALLOWED: &str = "10.1.0.5";
const OPEN_NETWORK: &str = "10.1.0.0/16";
/// A git host on a private address that is a configured origin.
const GIT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const NAMESERVER: &str = "10.9.0.53";
const ADDRESSES: [&str; 11] = [
    "10.9.0.1/32",
    "100.64.0.1/32",
    "168.63.129.16/32",
    "169.254.169.254/32",
    "192.168.7.7/32",
    "10.0.2.50/32",
    "fd00:ec2::254/128",
    "203.0.113.10/32",
    "10.1.0.5/32",
    "10.9.0.2/32",
    "10.9.0.53/32",
];

/// Answers on every address of this network: `reached`, or a redirect to what follows `/to/`. Keeps on which of
/// its addresses it was asked.
struct Everywhere {
    asked: Arc<Mutex<BTreeSet<IpAddr>>>,
}

impl Everywhere {
    fn start() -> Self {
        let listener = TcpListener::bind(("::", PORT)).unwrap();
        let asked: Arc<Mutex<BTreeSet<IpAddr>>> = Arc::default();
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || answer(connection, &seen));
            }
        });
        Self { asked }
    }

    /// Since the last look.
    fn asked(&self) -> BTreeSet<IpAddr> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn answer(mut connection: TcpStream, seen: &Mutex<BTreeSet<IpAddr>>) {
    let Ok(local) = connection.local_addr() else { return };
    seen.lock().unwrap().insert(local.ip().to_canonical());
    let mut line = String::new();
    let _ = BufReader::new(&connection).read_line(&mut line);
    let path = line.split(' ').nth(1).unwrap_or_default();
    let head = match path.strip_prefix("/to/") {
        Some(target) => format!("302 Found\r\nLocation: http://{target}"),
        None => "200 OK".to_owned(),
    };
    let _ = write!(connection, "HTTP/1.1 {head}\r\nContent-Length: 8\r\nConnection: close\r\n\r\nreached\n");
}

/// Knows `ADDRESS.example` in words: `n10-9-0-1.example` is 10.9.0.1.
fn serve_names() {
    let socket = UdpSocket::bind((NAMESERVER, 53)).unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            let _ = socket.send_to(&named(&query[..length]), from);
        }
    });
}

/// The answer to one question (RFC 1035): an A record, or none.
fn named(query: &[u8]) -> Vec<u8> {
    let label = &query[13..13 + usize::from(query[12])];
    let label = String::from_utf8_lossy(label).trim_start_matches('n').replace('-', ".");
    let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let address = label.parse::<Ipv4Addr>().ok().filter(|_| query[end - 4..end - 2] == [0, 1]);
    let mut answer = query[..end].to_vec();
    answer[2..4].copy_from_slice(&[0x81, 0x80]);
    answer[6..12].copy_from_slice(&[0, u8::from(address.is_some()), 0, 0, 0, 0]);
    if let Some(address) = address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(address.octets());
    }
    answer
}

fn host_of(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

fn reached_from_here(address: &str) -> bool {
    let address = SocketAddr::new(address.parse().unwrap(), PORT);
    let Ok(mut connection) = TcpStream::connect_timeout(&address, Duration::from_secs(5)) else {
        return false;
    };
    let mut said = String::new();
    let asked =
        connection.write_all(b"GET / HTTP/1.0\r\n\r\n").and_then(|()| connection.read_to_string(&mut said));
    asked.is_ok() && said.contains("reached")
}

/// A network, a Slipway in it, and a repository that is reached as a configured origin.
struct Story {
    world: World,
    everywhere: Everywhere,
    repository: TestRepository,
    git: GitServer,
    base: String,
}

impl Story {
    async fn begin(identity: Identity) -> Self {
        serve_names();
        let everywhere = Everywhere::start();
        for address in DENIED.into_iter().chain([ALLOWED]) {
            assert!(reached_from_here(address), "the host answers at {address}");
        }
        assert_eq!(everywhere.asked().len(), DENIED.len() + 1);
        let repository = TestRepository::new();
        let git = GitServer::start_at(&repository, GIT);
        let origin = format!("--origin={}", git.url().trim_end_matches("/repository.git"));
        let world = World::start_with(identity, &[&format!("--egress-allow={OPEN_NETWORK}"), &origin]).await;
        let base = world.base_image();
        Self { world, everywhere, repository, git, base }
    }

    async fn build(&self, dockerfile: &str) -> (Value, String) {
        self.repository.commit_to("main", &[("Dockerfile", dockerfile)]);
        let source = json!({ "type": "git", "url": self.git.url(), "ref": "main" });
        let run = self.world.submit(json!({ "source": source, "images": [] })).await;
        let ended = self.world.ended(&run).await;
        (ended, self.world.run_log(&run).await)
    }

    async fn is_denied(&self, what: &str, spec: Value) {
        let run = self.world.build(spec).await;
        assert_eq!(run["failure"]["kind"], "address_denied", "{what}: {run}");
        assert_eq!(run["failure"]["blame"], "user", "{run}");
        assert_eq!(run["attempt"], 1, "nobody tries again what was refused: {run}");
    }

    async fn dockerfile_is_denied(&self, dockerfile: &str) {
        self.repository.commit_to("denied", &[("Dockerfile", dockerfile)]);
        let source = json!({ "type": "git", "url": self.git.url(), "ref": "denied" });
        self.is_denied(dockerfile, json!({ "source": source, "images": [] })).await;
    }
}

/// A RUN that tries each, however it is named, and undoes what it can first.
fn tries() -> String {
    let undo = "for word in 'route flush table all' 'route del unreachable 10.0.0.0/8' 'route del 10.0.0.0/8' \
                'route add 10.9.0.1 via 10.0.2.2' 'link set tap0 down' 'address add 10.9.0.9/16 dev tap0' \
                'rule add from all lookup 99'; do busybox ip $word 2>/dev/null && echo undone $word; done; ";
    let names = DENIED
        .iter()
        .filter(|address| !address.contains(':'))
        .map(|address| format!("n{}.example", address.replace('.', "-")));
    let hosts: Vec<String> = DENIED.into_iter().map(str::to_owned).chain(names).chain(odd()).collect();
    // Not wget, which looks services up, and that kills a static busybox.
    let get = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 4 $host 8080 2>/dev/null | busybox grep -q reached && echo reached $host";
    let allowed = format!("{ALLOWED} n{}.example", ALLOWED.replace('.', "-"));
    format!(
        "{undo} for host in {}; do {get} & done; wait; for host in {allowed}; do {get}; done; \
         busybox ping -c 1 -W 2 10.9.0.1 >/dev/null 2>&1 && echo reached by ping; echo tried",
        hosts.join(" ")
    )
}

/// Forms of denied addresses, the forwarder at another port than its own, the machine's loopback.
fn odd() -> impl Iterator<Item = String> {
    [
        "0xa090001",
        "168361985",
        "012.9.0.1",
        "10.0.2.2",
        "10.0.2.3",
        "127.0.0.1",
        "::ffff:10.9.0.1",
        "0.0.0.0",
        "::1",
    ]
    .into_iter()
    .map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_reaches_what_is_allowed_and_nothing_private() {
    let network = Network { addresses: &ADDRESSES, nameserver: Some(NAMESERVER), as_root: true };
    if !network.is_inside("a_run_reaches_what_is_allowed_and_nothing_private", &[]) {
        return;
    }
    let story = Story::begin(Identity::Root).await;
    story.everywhere.asked();
    let (run, log) = story.build(&format!("FROM {}\nRUN {}\n", story.base, tries())).await;
    assert_eq!(run["status"], "succeeded", "{run}\n{log}");
    let printed: BTreeSet<&str> = log
        .lines()
        .filter(|line| !line.contains("RUN "))
        .filter_map(|line| line.split("  ").last())
        .collect();
    let reached: Vec<&str> =
        printed.iter().copied().filter(|line| line.contains("reached") || line.contains("undone")).collect();
    let expected = [format!("reached {ALLOWED}"), "reached n10-1-0-5.example".to_owned()];
    let ends = |line: &&str| expected.iter().any(|end| line.ends_with(end.as_str()));
    assert!(reached.len() == 2 && reached.iter().all(ends), "{log}");
    assert!(log.lines().any(|line| line.ends_with("tried")), "{log}");
    assert_eq!(story.everywhere.asked(), [ALLOWED.parse().unwrap()].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_build_names_is_fetched_where_it_is_allowed() {
    let network = Network { addresses: &ADDRESSES, nameserver: Some(NAMESERVER), as_root: true };
    if !network.is_inside("what_a_build_names_is_fetched_where_it_is_allowed", &[]) {
        return;
    }
    let story = Story::begin(Identity::Root).await;
    story.everywhere.asked();
    let base = &story.base;
    let metadata = "n169-254-169-254.example";
    for host in DENIED.map(host_of).into_iter().chain([metadata.to_owned(), "2852039166".to_owned()]) {
        story.dockerfile_is_denied(&format!("FROM {base}\nADD http://{host}:{PORT}/x /x\n")).await;
        let source = json!({ "type": "git", "url": format!("http://{host}:{PORT}/a.git"), "ref": "main" });
        story.is_denied(&host, json!({ "source": source, "images": [] })).await;
    }
    for image in ["10.9.0.1", "169.254.169.254", "192.168.7.7", metadata] {
        story.dockerfile_is_denied(&format!("FROM {image}:{PORT}/library/x:1\n")).await;
    }
    // By way of a host that is allowed; and the origin, which is the git source's alone.
    let to = |target: &str| format!("FROM {base}\nADD http://{ALLOWED}:{PORT}/to/{target} /x\n");
    story.dockerfile_is_denied(&to("169.254.169.254:8080/x")).await;
    story.dockerfile_is_denied(&to(&format!("{metadata}:8080/x"))).await;
    let origin = story.git.url();
    story
        .dockerfile_is_denied(&format!(
            "FROM {base}\nADD {}/HEAD /x\n",
            origin.replace("repository.git", "repository")
        ))
        .await;
    assert_eq!(
        story.everywhere.asked(),
        [ALLOWED.parse().unwrap()].into(),
        "nothing else was so much as asked"
    );

    for url in [
        format!("http://{ALLOWED}:{PORT}/x"),
        format!("http://n10-1-0-5.example:{PORT}/to/{ALLOWED}:{PORT}/y"),
    ] {
        let (run, log) =
            story.build(&format!("FROM {base}\nADD {url} /x\nRUN busybox grep -q reached /x\n")).await;
        assert_eq!(run["status"], "succeeded", "{url}: {run}\n{log}");
    }
}
