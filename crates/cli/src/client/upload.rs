//! Sends a folder to the service.

use std::path::Path;

use server::api::SourceUpload;
use tokio_stream::wrappers::ReceiverStream;

use super::error::ClientError;
use super::pack::{Packed, pack};
use super::service::Service;

/// Packs and uploads at the same time.
///
/// # Errors
/// A file can't be read, or the service refuses.
pub(crate) async fn upload(
    service: &Service,
    context: &Path,
    dockerfile: &str,
) -> Result<(SourceUpload, Packed), ClientError> {
    let packing = pack(context.to_owned(), dockerfile.to_owned());
    let body = reqwest::Body::wrap_stream(ReceiverStream::new(packing.pieces));
    let uploaded = service.upload(body).await;
    match packing.result.await {
        // The reason that the request broke off, when that was here.
        Ok(Err(failure)) if uploaded.is_err() && !broke_off(&failure) => {
            Err(ClientError::Context(Box::new(failure)))
        }
        Ok(Ok(packed)) => Ok((uploaded?, packed)),
        _ => Ok((uploaded?, Packed::default())),
    }
}

/// Packing that failed because the service did not read on.
fn broke_off(failure: &model::Failure) -> bool {
    failure.message.contains("the upload broke off")
}
