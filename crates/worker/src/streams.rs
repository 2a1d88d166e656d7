//! Byte streams for cells: a pipe, pumped by a task, and a last word about how it ended.

use std::os::fd::OwnedFd;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use model::{Digest, Failure};
use port::{Sent, StreamEnd};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;

/// Opens a pipe, pumps `bytes` into it and then calls `ended`, with a digest if `hash` counts them. The reading
/// end goes to the cell.
///
/// # Errors
/// No descriptors are left.
pub(crate) fn pump(
    stream: u64,
    bytes: impl Stream<Item = Result<Bytes, Failure>> + Send + 'static,
    hash: Option<Sha256>,
    ended: impl FnOnce(StreamEnd) + Send + 'static,
) -> std::io::Result<OwnedFd> {
    let (reader, writer) = std::io::pipe()?;
    let writer = pipe::Sender::from_owned_fd(non_blocking(writer.into())?)?;
    tokio::spawn(async move {
        let outcome = copy(bytes, writer, hash).await;
        ended(StreamEnd { stream, outcome });
    });
    Ok(reader.into())
}

async fn copy(
    bytes: impl Stream<Item = Result<Bytes, Failure>>,
    mut writer: pipe::Sender,
    mut hash: Option<Sha256>,
) -> Result<Sent, Failure> {
    let mut bytes = std::pin::pin!(bytes);
    let mut length = 0;
    while let Some(part) = bytes.next().await {
        let part = part?;
        writer.write_all(&part).await.map_err(|error| {
            let message = format!("The cell stopped reading a stream: {error}.");
            Failure::service(
                "port_protocol",
                message,
                "It mostly was ended meanwhile; the run is tried again.",
            )
        })?;
        length += part.len() as u64;
        if let Some(hash) = &mut hash {
            hash.update(&part);
        }
    }
    let digest = hash.map(|hash| Digest::from_sha256(hash.finalize().into()));
    Ok(Sent { length, digest })
}

fn non_blocking(descriptor: OwnedFd) -> std::io::Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    fcntl(&descriptor, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(descriptor)
}
