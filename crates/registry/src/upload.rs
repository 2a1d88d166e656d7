//! An upload in pieces (distribution specification, "Pushing a blob in chunks"). In: a blob's bytes. Out: the blob in
//! the registry, if they are its bytes: they are hashed as they go, and with others the upload is never closed.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use model::{Descriptor, Digest};
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::fault::Fault;
use crate::request::{Ask, PIECE_PATIENCE};
use crate::target::Target;

/// Bytes in a request, or a little more: what comes in smaller parts is gathered.
const PIECE: usize = 1 << 20;
/// Bytes a second, at which a registry is trusted to check a blob's digest at the end.
const CHECKED: u64 = 16 << 20;

impl Target<'_> {
    pub(crate) async fn upload(
        &self,
        blob: &Descriptor,
        body: impl Stream<Item = std::io::Result<Bytes>> + Send,
    ) -> Result<(), Fault> {
        let begin = self.at(&format!("{}/blobs/uploads/", self.repository()))?;
        let mut url = self.accepted(Ask::new(Method::POST, begin)).await?;
        let (mut body, mut hash, mut sent) = (pin!(body), Sha256::default(), 0);
        loop {
            let piece = next_piece(&mut body).await.map_err(|error| self.broke_off(&error))?;
            let length: u64 = piece.iter().map(|part| part.len() as u64).sum();
            if length == 0 {
                break;
            }
            // On another core, while the piece is on its way: the digest costs no time.
            let parts = piece.clone();
            let hashing = tokio::task::spawn_blocking(move || {
                parts.iter().for_each(|part| hash.update(part));
                hash
            });
            url = self.accepted(patch(url, sent, piece, length)).await?;
            hash = hashing.await.map_err(|error| self.broke_off(&std::io::Error::other(error)))?;
            sent += length;
        }
        if sent != blob.size || Digest::from_sha256(hash.finalize().into()) != blob.digest {
            return Err(Fault::Final(Error::Damaged(blob.digest.clone())));
        }
        url.query_pairs_mut().append_pair("digest", blob.digest.as_str());
        let patience = PIECE_PATIENCE + Duration::from_secs(blob.size / CHECKED);
        let closed = self.send(Ask { patience, ..Ask::new(Method::PUT, url) }).await?;
        match closed.status() {
            StatusCode::CREATED => Ok(()),
            status => Err(self.protocol(&format!("it answers {status} at the end of an upload"))),
        }
    }

    /// Where an upload goes on.
    async fn accepted(&self, ask: Ask) -> Result<Url, Fault> {
        let response = self.send(ask).await?;
        match response.status() {
            StatusCode::ACCEPTED => self.location(&response),
            status => Err(self.protocol(&format!("it answers {status} to a part of an upload"))),
        }
    }

    fn broke_off(&self, error: &std::io::Error) -> Fault {
        Fault::Final(Error::Unreachable { host: self.host().to_owned(), cause: error.to_string() })
    }
}

fn patch(url: Url, sent: u64, body: Vec<Bytes>, length: u64) -> Ask {
    let mut ask = Ask { body, patience: PIECE_PATIENCE, ..Ask::new(Method::PATCH, url) };
    ask.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(range) = HeaderValue::from_str(&format!("{sent}-{}", sent + length - 1)) {
        ask.headers.insert(CONTENT_RANGE, range);
    }
    ask
}

async fn next_piece(
    body: &mut (impl Stream<Item = std::io::Result<Bytes>> + Unpin),
) -> std::io::Result<Vec<Bytes>> {
    let (mut parts, mut length) = (Vec::new(), 0);
    while length < PIECE
        && let Some(part) = body.next().await.transpose()?
    {
        length += part.len();
        parts.push(part);
    }
    Ok(parts)
}
