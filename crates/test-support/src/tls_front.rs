//! TLS in front of a server that has none, signed by an authority that no system knows.

use std::net::SocketAddr;

use axum::serve::Listener;
use tokio::net::TcpStream;

use crate::tls::TlsListener;

/// The front; it ends when it is dropped.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    root: String,
    task: tokio::task::JoinHandle<()>,
}

impl TlsFront {
    /// Passes everything on to `upstream` (`host:port`).
    ///
    /// # Panics
    /// There is no free port.
    pub async fn start(upstream: String) -> Self {
        let mut listener = TlsListener::bind().await;
        let (address, root) = (listener.address(), listener.root());
        let task = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await;
                let upstream = upstream.clone();
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(upstream).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { address, root, task }
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The authority's certificate in PEM.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.task.abort();
    }
}
