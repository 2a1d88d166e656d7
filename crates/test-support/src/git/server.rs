//! `git http-backend` (a CGI program) behind a small HTTP/1.1 server: one request a connection, a
//! thread each. It ends when dropped.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::repository::{TestRepository, isolate};

/// A request as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRequest {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl GitRequest {
    /// The first header of that (lower-case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Where [`GitServer`]s are: on loopback like all that tests start, and apart from everything else of it, so
/// that it can be let as an administrator lets the network of the git hosts.
pub const GIT_HOSTS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// A git server on loopback.
#[derive(Debug)]
pub struct GitServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// `Authorization` that every request must carry.
    authorization: Option<String>,
    requests: Mutex<Vec<GitRequest>>,
    stopped: AtomicBool,
}

impl GitServer {
    /// Serves a repository to anybody.
    #[must_use]
    pub fn start(repository: &TestRepository) -> Self {
        Self::serve(repository.project_root(), None)
    }

    /// Serves every bare repository directly below a folder to anybody.
    #[must_use]
    pub fn start_folder(root: &Path) -> Self {
        Self::serve(root, None)
    }

    /// Serves a repository to whoever sends this value of `Authorization`, for instance
    /// `Basic dXNlcjpwYXNzd29yZA==`; answers others with 401.
    #[must_use]
    pub fn start_private(repository: &TestRepository, authorization: &str) -> Self {
        Self::serve(repository.project_root(), Some(authorization.to_owned()))
    }

    /// As [`GitServer::start`], at another address of this network.
    #[must_use]
    pub fn start_at(repository: &TestRepository, address: Ipv4Addr) -> Self {
        Self::serve_at(address, repository.project_root(), None)
    }

    fn serve(root: &Path, authorization: Option<String>) -> Self {
        Self::serve_at(GIT_HOSTS, root, authorization)
    }

    fn serve_at(address: Ipv4Addr, root: &Path, authorization: Option<String>) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a port");
        let address = listener.local_addr().expect("the port's number");
        let (requests, stopped) = (Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { root: root.to_owned(), authorization, requests, stopped });
        let accepting = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    /// Address of the [`TestRepository`].
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("repository.git")
    }

    /// Address of a repository by the name of its folder.
    #[must_use]
    pub fn url_of(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// What was asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<GitRequest> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for connection in listener.incoming() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(connection) = connection else { continue };
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A client that hangs up early is its own business.
            let _ = answer(&connection, &shared);
        });
    }
}

fn answer(connection: &TcpStream, shared: &Shared) -> io::Result<()> {
    let request = read_request(&mut BufReader::new(connection))?;
    let allowed =
        shared.authorization.is_none() || request.header("authorization") == shared.authorization.as_deref();
    shared.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    if !allowed {
        let refusal = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return (&*connection).write_all(refusal.as_bytes());
    }
    if request.target.starts_with("/api/") {
        // What a git host's own API does with a commit status: it takes it.
        let taken = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        return (&*connection).write_all(taken.as_bytes());
    }
    run_backend(&request, &shared.root, connection)
}

fn read_request(reader: &mut impl BufRead) -> io::Result<GitRequest> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = GitRequest { method, target, headers, body: Vec::new() };
    request.body = read_body(&request, reader)?;
    Ok(request)
}

fn read_body(request: &GitRequest, reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if request.header("transfer-encoding") != Some("chunked") {
        let length = request.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
        reader.take(length).read_to_end(&mut body)?;
        return Ok(body);
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        reader.take(length).read_to_end(&mut body)?;
        reader.read_line(&mut line)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

/// RFC 3875, as far as git-http-backend(1) needs it.
fn run_backend(request: &GitRequest, root: &Path, mut connection: &TcpStream) -> io::Result<()> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut command = Command::new("git");
    isolate(&mut command).arg("http-backend").env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1");
    command.env("REQUEST_METHOD", &request.method).env("PATH_INFO", path).env("QUERY_STRING", query);
    command.env("CONTENT_LENGTH", request.body.len().to_string());
    for (header, variable) in [
        ("content-type", "CONTENT_TYPE"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ] {
        if let Some(value) = request.header(header) {
            command.env(variable, value);
        }
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let (mut input, output) = (child.stdin.take(), child.stdout.take());
    std::thread::scope(|scope| {
        scope.spawn(|| input.take().map(|mut input| input.write_all(&request.body)));
        let mut output = BufReader::new(output.ok_or_else(|| io::Error::other("no pipe"))?);
        connection.write_all(response_head(&mut output)?.as_bytes())?;
        io::copy(&mut output, &mut connection).map(|_| ())
    })?;
    child.wait().map(|_| ())
}

/// CGI's head becomes HTTP's.
fn response_head(output: &mut impl BufRead) -> io::Result<String> {
    let (mut status, mut headers) = ("200 OK".to_owned(), String::new());
    loop {
        let mut line = String::new();
        output.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some(("Status", value)) => value.clone_into(&mut status),
            Some(_) => headers.push_str(&format!("{}\r\n", line.trim_end())),
            None => return Ok(format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n")),
        }
    }
}
