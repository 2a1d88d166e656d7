//! Pushing, by `oci-client`, to one registry. A request that it does not know us for (401) is repeated once
//! with another authorization, one that it has no time for after a pause.

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use model::{Blame, Descriptor, Digest};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use reqwest::header::HeaderValue;
use sha2::{Digest as _, Sha256};

use crate::patience::{Moved, quick};
use crate::{Access, Client, Error, Scope};

/// What a push asks for, also to look: so that one token does for all of it.
fn push(repository: &str) -> Scope<'_> {
    Scope { repository, access: Access::Push }
}

impl Client {
    /// Whether a repository has a blob.
    ///
    /// # Errors
    /// The registry is unreachable or refuses.
    pub async fn has_blob(&self, registry: &str, repository: &str, digest: &Digest) -> Result<bool, Error> {
        let scopes = [push(repository)];
        let mut target = self.target(registry, &scopes).await?;
        loop {
            let asked = quick(target.client.blob_exists(&target.reference(), digest.as_str())).await;
            match target.again(&asked).await? {
                Some(again) => target = again,
                None => return asked.map_err(|error| target.failed(error)),
            }
        }
    }

    /// Makes a blob of another repository of the same registry this one's too. False: the registry
    /// won't; upload it.
    ///
    /// # Errors
    /// The registry is unreachable, or breaks the protocol.
    pub async fn mount(
        &self,
        registry: &str,
        repository: &str,
        digest: &Digest,
        from: &str,
    ) -> Result<bool, Error> {
        let scopes = [push(repository), Scope { repository: from, access: Access::Pull }];
        let mut target = match self.target(registry, &scopes).await {
            // There may be no right to read the other one.
            Err(Error::SignIn(failure)) if failure.blame == Blame::User => return Ok(false),
            target => target?,
        };
        loop {
            let (here, there) = (target.reference(), target.reference_of(from));
            let mounted = quick(target.client.mount_blob(&here, &there, digest.as_str())).await;
            if let Some(again) = target.again(&mounted).await? {
                target = again;
                continue;
            }
            return match mounted {
                Ok(()) => Ok(true),
                // 202: it has begun an upload instead, which it forgets when nothing comes.
                Err(OciDistributionError::SpecViolationError(_)) => Ok(false),
                Err(OciDistributionError::ServerError { code: 401 | 403 | 404 | 405, .. }) => Ok(false),
                Err(error) => Err(target.failed(error)),
            };
        }
    }

    /// Uploads a blob in pieces, and from the beginning if the registry wants another authorization. It
    /// checks the digest at the end.
    ///
    /// # Errors
    /// The registry is unreachable or refuses, the body can't be opened or breaks off.
    pub async fn push_blob<S, E, F>(
        &self,
        registry: &str,
        repository: &str,
        blob: &Descriptor,
        mut open: impl FnMut() -> F + Send,
    ) -> Result<(), E>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
        E: From<Error>,
        F: Future<Output = Result<S, E>> + Send,
    {
        let scopes = [push(repository)];
        let mut target = self.target(registry, &scopes).await?;
        loop {
            let moved = Moved::now();
            let moves = moved.clone();
            let body = open().await?.map(move |part| {
                moves.again();
                part.map_err(OciDistributionError::IoError)
            });
            let (reference, digest) = (target.reference(), blob.digest.as_str());
            let pushed = target.client.push_blob_stream(&reference, body, digest, Some(blob.size));
            let pushed = moved.while_moving(blob.size, pushed).await;
            match target.again(&pushed).await? {
                Some(again) => target = again,
                None => return pushed.map(drop).map_err(|error| target.failed(error).into()),
            }
        }
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
        let digest = Digest::from_sha256(Sha256::digest(&manifest).into());
        let media_type: HeaderValue = media_type.parse().map_err(|_| Error::Protocol {
            host: registry.to_owned(),
            reason: format!("`{media_type}` is no media type"),
        })?;
        let scopes = [push(repository)];
        let mut target = self.target(registry, &scopes).await?;
        loop {
            let (bytes, media_type) = (manifest.clone(), media_type.clone());
            let pushed = quick(target.client.push_manifest_raw(&target.named(name), bytes, media_type)).await;
            match target.again(&pushed).await? {
                Some(again) => target = again,
                None => return pushed.map(|_| digest).map_err(|error| target.failed(error)),
            }
        }
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
        let scopes = [push(repository)];
        let mut target = self.target(registry, &scopes).await?;
        let found = loop {
            let found = quick(target.client.fetch_manifest_digest(&target.named(name), &target.auth())).await;
            match target.again(&found).await? {
                Some(again) => target = again,
                None => break found,
            }
        };
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
