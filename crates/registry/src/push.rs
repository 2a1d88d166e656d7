//! Pushing, to one registry. A request that it does not know us for (401) is repeated once with another
//! authorization, one that it has no time for after a pause.

use bytes::Bytes;
use futures_util::Stream;
use model::{Blame, Descriptor, Digest};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;
use crate::get::read_limited;
use crate::request::Ask;
use crate::resolve::{MANIFEST_LIMIT, accept};
use crate::target::Target;
use crate::{Access, Client, Error, Scope};

/// The digest of what an answer holds.
const DIGEST: &str = "docker-content-digest";

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
            let asked = target.has(digest).await;
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
            let mounted = target.mount(digest, from).await;
            if let Some(again) = target.again(&mounted).await? {
                target = again;
                continue;
            }
            return match mounted {
                Ok(mounted) => Ok(mounted),
                Err(Fault::Answer { status, .. }) if matches!(status.as_u16(), 401 | 403..=405) => Ok(false),
                Err(error) => Err(target.failed(error)),
            };
        }
    }

    /// Uploads a blob in pieces, and from the beginning if the registry wants another authorization.
    ///
    /// # Errors
    /// The registry is unreachable or refuses, the body can't be opened or breaks off; or it is not the blob's
    /// ([`Error::Damaged`]).
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
            let pushed = target.upload(blob, open().await?).await;
            match target.again(&pushed).await? {
                Some(again) => target = again,
                None => return pushed.map_err(|error| target.failed(error).into()),
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
            let pushed = target.put_manifest(name, manifest.clone(), media_type.clone()).await;
            match target.again(&pushed).await? {
                Some(again) => target = again,
                None => return pushed.map(|()| digest).map_err(|error| target.failed(error)),
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
        loop {
            let found = target.manifest_digest(name).await;
            match target.again(&found).await? {
                Some(again) => target = again,
                None => return found.map_err(|error| target.failed(error)),
            }
        }
    }
}

impl Target<'_> {
    async fn has(&self, digest: &Digest) -> Result<bool, Fault> {
        let url = self.at(&format!("{}/blobs/{digest}", self.repository()))?;
        Ok(self.found(Ask::new(Method::HEAD, url)).await?.is_some())
    }

    /// The answer, if what was asked for is there.
    async fn found(&self, ask: Ask) -> Result<Option<Response>, Fault> {
        match self.send(ask).await {
            Ok(response) => Ok(Some(response)),
            Err(Fault::Answer { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn mount(&self, digest: &Digest, from: &str) -> Result<bool, Fault> {
        let mut url = self.at(&format!("{}/blobs/uploads/", self.repository()))?;
        url.query_pairs_mut().append_pair("mount", digest.as_str()).append_pair("from", from);
        let response = self.send(Ask::new(Method::POST, url)).await?;
        // 202: it has begun an upload instead, which it forgets when nothing comes.
        Ok(response.status() == StatusCode::CREATED)
    }

    async fn put_manifest(&self, name: &str, manifest: Bytes, media_type: HeaderValue) -> Result<(), Fault> {
        let url = self.at(&format!("{}/manifests/{name}", self.repository()))?;
        let mut ask = Ask { body: vec![manifest], ..Ask::new(Method::PUT, url) };
        ask.headers.insert(CONTENT_TYPE, media_type);
        match self.send(ask).await?.status() {
            StatusCode::CREATED => Ok(()),
            status => Err(self.protocol(&format!("it answers {status} to a manifest"))),
        }
    }

    async fn manifest_digest(&self, name: &str) -> Result<Option<Digest>, Fault> {
        let url = self.at(&format!("{}/manifests/{name}", self.repository()))?;
        let accept = HeaderValue::from_str(&accept()).map_err(|_| self.protocol("it can't be asked"))?;
        let ask = |method| {
            let mut ask = Ask::new(method, url.clone());
            ask.headers.insert(ACCEPT, accept.clone());
            ask
        };
        let Some(response) = self.found(ask(Method::HEAD)).await? else { return Ok(None) };
        if let Some(digest) = response.headers().get(DIGEST) {
            let digest = digest.to_str().ok().and_then(|digest| digest.parse().ok());
            return digest.map(Some).ok_or_else(|| self.protocol("it names a digest that is none"));
        }
        let Some(response) = self.found(ask(Method::GET)).await? else { return Ok(None) };
        let bytes = read_limited(response, MANIFEST_LIMIT, self.host()).await.map_err(Fault::Silent)?;
        Ok(Some(Digest::from_sha256(Sha256::digest(&bytes).into())))
    }
}
