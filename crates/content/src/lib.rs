//! Blobs by digest on disk: written, verified, then linked; and the layer codec. In: bytes. Out: files
//! that are named by their digest, readers that refuse other bytes. Absent: any network.

mod codec;
mod error;
mod store;
mod verify;

pub use codec::{LAYER_CODEC, LayerDigests, LayerWriter, decompress};
pub use error::Error;
pub use store::{Store, StoreReader};
pub use verify::{VerifyingReader, digest_of};
