//! A real registry: Debian's `docker-registry`, with a folder and a port of its own.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

/// A running registry; it ends when it is dropped.
#[derive(Debug)]
pub struct LocalRegistry {
    port: u16,
    process: Child,
    requests: Arc<Mutex<Vec<RegistryRequest>>>,
    folder: TempDir,
}

/// A line of the registry's access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryRequest {
    pub method: String,
    pub path: String,
    pub status: u16,
}

/// Whose tokens a registry takes.
#[derive(Debug, Clone)]
pub struct TokenTrust {
    /// Address of the token server.
    pub realm: String,
    /// Whom tokens are for.
    pub service: String,
    pub issuer: String,
    /// Certificates in PEM, of the keys that sign tokens.
    pub roots: String,
}

enum Auth<'a> {
    None,
    Password(&'a str, &'a str),
    Tokens(&'a TokenTrust),
}

impl LocalRegistry {
    /// One that everybody may push to.
    ///
    /// # Panics
    /// `docker-registry` is missing or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&Auth::None)
    }

    /// One that wants a user and a password.
    ///
    /// # Panics
    /// As [`LocalRegistry::start`]; or `htpasswd` (Debian's `apache2-utils`) is missing.
    #[must_use]
    pub fn start_with_password(user: &str, password: &str) -> Self {
        Self::start_with(&Auth::Password(user, password))
    }

    /// One that takes tokens alone, as it is told.
    ///
    /// # Panics
    /// As [`LocalRegistry::start`].
    #[must_use]
    pub fn start_with_tokens(trust: &TokenTrust) -> Self {
        Self::start_with(&Auth::Tokens(trust))
    }

    fn start_with(account: &Auth<'_>) -> Self {
        // Somebody else may take the port between our look and the registry's start.
        for _ in 0..5 {
            if let Some(registry) = Self::try_start(account) {
                return registry;
            }
        }
        panic!("docker-registry (Debian's package `docker-registry`) does not start");
    }

    fn try_start(account: &Auth<'_>) -> Option<Self> {
        let folder = TempDir::with_prefix("registry-").expect("a temporary folder");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let config = folder.path().join("config.yml");
        std::fs::write(&config, configuration(&folder, port, account)).expect("writing the configuration");
        let (process, requests) = start_process(&config);
        let mut registry = Self { port, process, requests, folder };
        registry.comes_up().then_some(registry)
    }

    fn comes_up(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline && matches!(self.process.try_wait(), Ok(None)) {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its process.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).expect("a process id")
    }

    /// kill -9, and the same registry once more.
    ///
    /// # Panics
    /// It does not come up.
    pub fn kill_and_start(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        (self.process, self.requests) = start_process(&self.folder.path().join("config.yml"));
        assert!(self.comes_up(), "docker-registry does not start again");
    }

    /// Where it keeps its files.
    #[must_use]
    pub fn files(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// What it was asked so far, oldest first.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn requests(&self) -> Vec<RegistryRequest> {
        self.requests.lock().expect("no test panics while it holds this").clone()
    }

    /// The digest that a tag names, read from the registry's own files.
    ///
    /// # Panics
    /// There is no such tag.
    #[must_use]
    pub fn manifest_digest(&self, repository: &str, tag: &str) -> String {
        let link = format!("docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}/current/link");
        let text = std::fs::read_to_string(self.folder.path().join(link));
        text.expect("the registry has that tag").trim().to_owned()
    }
}

impl Drop for LocalRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

type Requests = Arc<Mutex<Vec<RegistryRequest>>>;

fn start_process(config: &std::path::Path) -> (Child, Requests) {
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(config).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.env("OTEL_TRACES_EXPORTER", "none");
    die_with_parent(&mut command);
    let mut process = command.spawn().expect("docker-registry (Debian's package `docker-registry`)");
    let requests = Requests::default();
    let (lines, theirs) =
        (BufReader::new(process.stdout.take().expect("it is piped")), Arc::clone(&requests));
    std::thread::spawn(move || {
        for request in lines.lines().map_while(Result::ok).filter_map(|line| parse(&line)) {
            theirs.lock().expect("no test panics while it holds this").push(request);
        }
    });
    (process, requests)
}

fn configuration(folder: &TempDir, port: u16, auth: &Auth<'_>) -> String {
    let path = folder.path().display();
    let auth = match auth {
        Auth::None => String::new(),
        Auth::Password(user, password) => {
            let output = Command::new("htpasswd").args(["-Bbn", user, password]).output();
            let output = output.expect("htpasswd (Debian's package `apache2-utils`)");
            std::fs::write(folder.path().join("htpasswd"), output.stdout).expect("writing the password");
            format!("auth:\n  htpasswd:\n    realm: test\n    path: {path}/htpasswd\n")
        }
        Auth::Tokens(trust) => {
            std::fs::write(folder.path().join("roots.pem"), &trust.roots).expect("writing a certificate");
            let TokenTrust { realm, service, issuer, .. } = trust;
            format!(
                "auth:\n  token:\n    realm: {realm}\n    service: {service}\n    issuer: {issuer}\n    \
                 rootcertbundle: {path}/roots.pem\n"
            )
        }
    };
    format!(
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: false\nstorage:\n  filesystem:\n    \
         rootdirectory: {path}\n  delete:\n    enabled: true\n  maintenance:\n    uploadpurging:\n      enabled: false\n\
         http:\n  addr: 127.0.0.1:{port}\n  relativeurls: true\n{auth}"
    )
}

/// `127.0.0.1 - - [date] "GET /v2/ HTTP/1.1" 200 2 "" "agent"`
fn parse(line: &str) -> Option<RegistryRequest> {
    let mut quoted = line.split('"');
    let mut request = quoted.nth(1)?.split(' ');
    let status = quoted.next()?.split_whitespace().next()?.parse().ok()?;
    let method = request.next()?.to_owned();
    Some(RegistryRequest { method, path: request.next()?.to_owned(), status })
}

/// A test that is killed leaves nothing running.
#[expect(unsafe_code, reason = "pre_exec runs between fork and exec")]
pub(crate) fn die_with_parent(command: &mut Command) {
    // SAFETY: a single system call, nothing is allocated.
    unsafe {
        command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?));
    }
}
