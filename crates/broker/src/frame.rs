//! A message on a stream: its length as four bytes, the most significant first, and that much JSON.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

/// The largest message, in bytes: a hundred secrets of the largest size.
const LIMIT: u32 = 8 << 20;

pub(crate) async fn write<T: Serialize>(mut to: impl AsyncWrite + Unpin, message: &T) -> io::Result<()> {
    let json = Zeroizing::new(serde_json::to_vec(message)?);
    let length = u32::try_from(json.len()).ok().filter(|length| *length <= LIMIT).ok_or_else(too_large)?;
    to.write_all(&length.to_be_bytes()).await?;
    to.write_all(&json).await?;
    to.flush().await
}

pub(crate) async fn read<T: DeserializeOwned>(mut from: impl AsyncRead + Unpin) -> io::Result<T> {
    let length = from.read_u32().await?;
    if length > LIMIT {
        return Err(too_large());
    }
    let mut json = Zeroizing::new(vec![0; length as usize]);
    from.read_exact(&mut json).await?;
    Ok(serde_json::from_slice(&json)?)
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the message is too large")
}
