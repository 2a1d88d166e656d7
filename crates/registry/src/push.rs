//! Pushing, by `oci-client`, with the credential of one registry.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use model::{Descriptor, Digest};
use oci_client::Reference;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use sha2::{Digest as _, Sha256};

use crate::{Client, Credentials, Error};

const CONNECT: Duration = Duration::from_secs(10);
/// A registry that checks a large blob's digest takes a while.
const ANSWER: Duration = Duration::from_secs(300);
const AGENT: &str = concat!("slipway/", env!("CARGO_PKG_VERSION"));

#[derive(Clone)]
pub(crate) struct Pusher {
    registry: String,
    auth: RegistryAuth,
    client: Arc<oci_client::Client>,
}

impl Pusher {
    pub(crate) fn new(registry: &str, plain_http: bool, credentials: Credentials) -> Self {
        let protocol = if plain_http { ClientProtocol::Http } else { ClientProtocol::Https };
        let config = ClientConfig {
            protocol,
            connect_timeout: Some(CONNECT),
            read_timeout: Some(ANSWER),
            user_agent: AGENT,
            ..ClientConfig::default()
        };
        let auth = match credentials {
            Credentials::Anonymous => RegistryAuth::Anonymous,
            Credentials::Basic { username, password } => RegistryAuth::Basic(username, password),
        };
        Self { registry: registry.to_owned(), auth, client: Arc::new(oci_client::Client::new(config)) }
    }
}

/// A repository of the one registry that may be pushed to.
struct Target<'a> {
    pusher: &'a Pusher,
    repository: &'a str,
}

impl Target<'_> {
    fn named(&self, name: &str) -> Reference {
        let (registry, repository) = (self.pusher.registry.clone(), self.repository.to_owned());
        match name.contains(':') {
            true => Reference::with_digest(registry, repository, name.to_owned()),
            false => Reference::with_tag(registry, repository, name.to_owned()),
        }
    }

    /// The repository alone; the tag is never sent.
    fn reference(&self) -> Reference {
        self.named("latest")
    }

    fn failed(&self, error: OciDistributionError) -> Error {
        let (host, repository) = (self.pusher.registry.clone(), self.repository.to_owned());
        match error {
            OciDistributionError::UnauthorizedError { .. } => Error::Denied {
                host,
                repository,
                said: "the credential is wrong, or not good for that".to_owned(),
            },
            OciDistributionError::AuthenticationFailure(said) => {
                Error::Denied { host, repository, said: crate::error::said(said.as_bytes()) }
            }
            OciDistributionError::ServerError { code: 401 | 403, message, .. } => {
                Error::Denied { host, repository, said: crate::error::said(message.as_bytes()) }
            }
            // The bytes were not those of the digest: ours are damaged, or broken on the way.
            OciDistributionError::ServerError { message, .. } if message.contains("DIGEST_INVALID") => {
                Error::DigestMismatch { what: format!("a blob pushed to {host}/{repository}") }
            }
            OciDistributionError::ServerError { code, message, .. } => {
                Error::refused(&host, code, message.as_bytes())
            }
            OciDistributionError::RegistryError { envelope, .. } => {
                let denied =
                    |code: &OciErrorCode| matches!(code, OciErrorCode::Denied | OciErrorCode::Unauthorized);
                let is_denied = envelope.errors.iter().any(|error| denied(&error.code));
                // The status itself is lost in `oci-client`.
                let is_busy = envelope.errors.iter().any(|error| error.code == OciErrorCode::Toomanyrequests);
                let status = if is_busy { 429 } else { 400 };
                let said: String = envelope.to_string().chars().take(300).collect();
                match is_denied {
                    true => Error::Denied { host, repository, said },
                    false => Error::Refused { host, status, said },
                }
            }
            OciDistributionError::RequestError(error) => match error.status().map(|status| status.as_u16()) {
                Some(401 | 403) => Error::Denied {
                    host,
                    repository,
                    said: "the credential is wrong, or not good for that".to_owned(),
                },
                Some(status) => Error::Refused { host, status, said: "without a word".to_owned() },
                None => Error::unreachable(&host, &error),
            },
            OciDistributionError::IoError(error) => Error::Unreachable { host, cause: error.to_string() },
            other => Error::Protocol { host, reason: other.to_string() },
        }
    }
}

impl Client {
    /// The credential goes to the registry it is for; a client without one pushes nowhere.
    async fn target<'a>(&'a self, registry: &str, repository: &'a str) -> Result<Target<'a>, Error> {
        let pusher = self.pusher.as_ref().filter(|pusher| pusher.registry == registry);
        let pusher = pusher.ok_or_else(|| Error::Denied {
            host: registry.to_owned(),
            repository: repository.to_owned(),
            said: "this client holds no credential for it".to_owned(),
        })?;
        pusher.client.store_auth_if_needed(registry, &pusher.auth).await;
        Ok(Target { pusher, repository })
    }

    /// Whether a repository has a blob.
    ///
    /// # Errors
    /// The registry is unreachable or refuses.
    pub async fn has_blob(&self, registry: &str, repository: &str, digest: &Digest) -> Result<bool, Error> {
        let target = self.target(registry, repository).await?;
        let asked = target.pusher.client.blob_exists(&target.reference(), digest.as_str()).await;
        asked.map_err(|error| target.failed(error))
    }

    /// Makes a blob of another repository of the same registry this one's too. False: the registry
    /// won't; upload it.
    ///
    /// # Errors
    /// The registry is unreachable, or refuses pushes at all.
    pub async fn mount(
        &self,
        registry: &str,
        repository: &str,
        digest: &Digest,
        from: &str,
    ) -> Result<bool, Error> {
        let target = self.target(registry, repository).await?;
        let source = Target { pusher: target.pusher, repository: from };
        match target.pusher.client.mount_blob(&target.reference(), &source.reference(), digest.as_str()).await
        {
            Ok(()) => Ok(true),
            // 202: it has begun an upload instead, which it forgets when nothing comes.
            Err(OciDistributionError::SpecViolationError(_)) => Ok(false),
            Err(OciDistributionError::ServerError { code: 404 | 405, .. }) => Ok(false),
            Err(error) => Err(target.failed(error)),
        }
    }

    /// Uploads a blob in pieces. The registry checks its digest at the end.
    ///
    /// # Errors
    /// The registry is unreachable or refuses, or the body breaks off.
    pub async fn push_blob(
        &self,
        registry: &str,
        repository: &str,
        blob: &Descriptor,
        body: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    ) -> Result<(), Error> {
        let target = self.target(registry, repository).await?;
        let body = body.map(|part| part.map_err(OciDistributionError::IoError));
        let reference = target.reference();
        let pushed = target
            .pusher
            .client
            .push_blob_stream(&reference, body, blob.digest.as_str(), Some(blob.size))
            .await;
        pushed.map(drop).map_err(|error| target.failed(error))
    }

    /// Puts a manifest under a tag or its digest. Answers the digest of what was sent.
    ///
    /// # Errors
    /// The registry is unreachable or refuses.
    pub async fn push_manifest(
        &self,
        registry: &str,
        repository: &str,
        name: &str,
        media_type: &str,
        manifest: Bytes,
    ) -> Result<Digest, Error> {
        let target = self.target(registry, repository).await?;
        let digest = Digest::from_sha256(Sha256::digest(&manifest).into());
        let media_type = media_type.parse().map_err(|_| Error::Protocol {
            host: registry.to_owned(),
            reason: format!("`{media_type}` is no media type"),
        })?;
        let pushed = target.pusher.client.push_manifest_raw(&target.named(name), manifest, media_type).await;
        pushed.map(|_| digest).map_err(|error| target.failed(error))
    }

    /// The digest of the manifest that a tag (or a digest) names; none where there is no such.
    ///
    /// # Errors
    /// The registry is unreachable or refuses.
    pub async fn manifest_digest(
        &self,
        registry: &str,
        repository: &str,
        name: &str,
    ) -> Result<Option<Digest>, Error> {
        let target = self.target(registry, repository).await?;
        let found =
            target.pusher.client.fetch_manifest_digest(&target.named(name), &target.pusher.auth).await;
        match found {
            Ok(digest) => digest.parse().map(Some).map_err(|_| Error::Protocol {
                host: registry.to_owned(),
                reason: format!("`{digest}` is no digest"),
            }),
            Err(
                OciDistributionError::ServerError { code: 404, .. }
                | OciDistributionError::ImageManifestNotFoundError(_),
            ) => Ok(None),
            Err(OciDistributionError::RegistryError { envelope, .. })
                if envelope.errors.iter().any(|error| {
                    matches!(
                        error.code,
                        OciErrorCode::ManifestUnknown | OciErrorCode::NotFound | OciErrorCode::NameUnknown
                    )
                }) =>
            {
                Ok(None)
            }
            Err(error) => Err(target.failed(error)),
        }
    }
}
