//! TLS by rustls. The certificate's files are read again when they change, so that a renewed one is
//! used without a restart; while the new files are no good the old certificate stays.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::Error;

/// For a client that does not get on with the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Where certificate and key lie.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// PEM: the certificate first, then those it is signed by.
    pub certificate: PathBuf,
    /// PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    files: TlsFiles,
    current: Arc<Current>,
}

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// They are missing, no PEM, or do not belong together.
    pub(crate) fn load(files: &TlsFiles) -> Result<Self, Error> {
        let current = Arc::new(Current(RwLock::new(Arc::new(read(files)?))));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Tls(error.to_string()))?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&current) as _;
        let mut config = config.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), files: files.clone(), current })
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        tokio::time::timeout(HANDSHAKE, self.acceptor.accept(stream)).await?
    }

    /// Takes new files as they come; looks for them every `look`.
    pub(crate) async fn reload_until(&self, look: Duration, stop: CancellationToken) {
        let mut seen = self.modified();
        loop {
            tokio::select! {
                () = tokio::time::sleep(look) => {}
                () = stop.cancelled() => return,
            }
            let now = self.modified();
            if now == seen {
                continue;
            }
            match read(&self.files) {
                Ok(key) => {
                    *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                    seen = now;
                    tracing::info!(certificate = %self.files.certificate.display(), "a new certificate is used");
                }
                // Half written, perhaps: it is looked at again.
                Err(error) => tracing::warn!(%error, "the old certificate stays"),
            }
        }
    }

    fn modified(&self) -> [Option<SystemTime>; 2] {
        [&self.files.certificate, &self.files.key]
            .map(|path| path.metadata().and_then(|meta| meta.modified()).ok())
    }
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, Error> {
    let wrong = |path: &PathBuf, why: String| Error::Tls(format!("{}: {why}", path.display()));
    let certificates = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(&files.certificate, error.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong(&files.certificate, "it holds no certificate".to_owned()));
    }
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, error.to_string()))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(certificates, key, &provider).map_err(|error| wrong(&files.key, error.to_string()))
}
