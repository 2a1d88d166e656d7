//! A proxy before a registry that holds a request back until the test lets it go.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Which request to hold.
#[derive(Debug, Clone)]
pub struct Hold {
    method: String,
    path: String,
}

impl Hold {
    /// The first with that method whose path has `part` in it.
    #[must_use]
    pub fn first(method: &str, part: &str) -> Self {
        Self { method: method.to_owned(), path: part.to_owned() }
    }
}

/// A request that is held, or will be.
#[derive(Debug)]
pub struct Held {
    arrived: watch::Receiver<bool>,
    release: watch::Sender<bool>,
}

impl Held {
    /// With the ends that a proxy keeps.
    pub(crate) fn pair() -> (Self, watch::Sender<bool>, watch::Receiver<bool>) {
        let (arrived, arrival) = watch::channel(false);
        let (release, released) = watch::channel(false);
        (Self { arrived: arrival, release }, arrived, released)
    }

    /// Waits until the request is there.
    ///
    /// # Panics
    /// The proxy is gone.
    pub async fn arrived(&mut self) {
        self.arrived.wait_for(|arrived| *arrived).await.expect("the proxy lives");
    }

    /// Lets it go, if its sender is still there.
    pub fn release(self) {
        let _ = self.release.send(true);
    }
}

#[derive(Debug)]
struct Watch {
    hold: Hold,
    arrived: watch::Sender<bool>,
    released: watch::Receiver<bool>,
}

/// The proxy; it ends when it is dropped.
#[derive(Debug)]
pub struct HoldingProxy {
    address: SocketAddr,
    watched: Arc<Mutex<Option<Watch>>>,
    task: tokio::task::JoinHandle<()>,
}

impl HoldingProxy {
    /// Passes everything on to `upstream` (`host:port`). Has to be called within a tokio runtime.
    ///
    /// # Panics
    /// There is no free port.
    #[must_use]
    pub fn start(upstream: String) -> Self {
        let watched = Arc::<Mutex<Option<Watch>>>::default();
        let theirs = Arc::clone(&watched);
        let (address, task) = accept(move |client| pass(client, upstream.clone(), Arc::clone(&theirs)));
        Self { address, watched, task }
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Holds one request; a hold that was set before is forgotten.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn hold(&self, hold: Hold) -> Held {
        let (held, arrived, released) = Held::pair();
        let watch = Watch { hold, arrived, released };
        *self.watched.lock().expect("nobody panics while holding this") = Some(watch);
        held
    }
}

impl Drop for HoldingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes a connection on. Requests of one connection come one after the other (HTTP/1.1 without
/// pipelining), so each one's head begins a read of its own.
/// Serves whoever connects to a free port of loopback, until the task is aborted.
pub(crate) fn accept<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> (SocketAddr, JoinHandle<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("a socket option");
    let listener = TcpListener::from_std(listener).expect("a runtime");
    let task = tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client));
        }
    });
    (address, task)
}

async fn pass(client: TcpStream, upstream: String, watched: Arc<Mutex<Option<Watch>>>) {
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
        let _ = to_client.shutdown().await;
    });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length) = from_client.read(&mut buffer).await {
        if length == 0 {
            break;
        }
        if let Some(watch) = take_if_meant(&watched, &buffer[..length]) {
            let mut released = watch.released;
            let _ = watch.arrived.send(true);
            let _ = released.wait_for(|released| *released).await;
        }
        if to_server.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    let _ = to_server.shutdown().await;
    let _ = answers.await;
}

fn take_if_meant(watched: &Mutex<Option<Watch>>, bytes: &[u8]) -> Option<Watch> {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).ok().filter(|line| line.ends_with("HTTP/1.1"))?;
    let (method, path) = line.split_once(' ')?;
    let mut watched = watched.lock().expect("nobody panics while holding this");
    let meant = |watch: &mut Watch| watch.hold.method == method && path.contains(&watch.hold.path);
    watched.take_if(meant)
}
