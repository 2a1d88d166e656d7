//! Blobs by digest on disk: written, verified, then linked; and the layer codec. In: bytes. Out: files
//! that are named by their digest, readers that refuse other bytes. Absent: any network.

mod allowance;
mod codec;
mod error;
mod hold;
mod holes;
mod quota;
mod store;
mod trash;
mod verify;

pub use allowance::{Allowance, Allowed};
pub use codec::{LAYER_CODEC, LayerDigests, LayerWriter, decompress};
pub use error::Error;
pub use hold::{Hold, Holder, Place};
pub use holes::{copy_with_holes, is_in_pieces};
pub use quota::Quota;
pub use store::{Store, StoreReader};
pub use trash::{Discarded, StoredBlob};
pub use verify::{VerifyingReader, digest_of};
