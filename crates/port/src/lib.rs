//! The one channel between a cell and its worker: small typed questions and answers, byte streams as
//! passed descriptors. In code it is one trait, [`Outside`]: over a Unix socketpair in a cell, in
//! memory for tests and for a build without a service. Deliberately absent: any network.

mod codec;
mod message;
mod outside;
mod socket;
mod stream;

pub use codec::{Channel, MAX_MESSAGE, Packet, read_sealed_file, sealed_file};
pub use message::{Answer, Cleaned, Finish, Question, Sent, StreamEnd, ToCell, ToWorker};
pub use outside::{
    BaseLayer, BlobReady, CacheHit, CacheKey, CacheLayer, CacheRecord, Fetched, NewBlob, Outside, Progress,
    Secret, VertexEvent, VertexStart,
};
pub use socket::SocketOutside;
pub use stream::ByteStream;
