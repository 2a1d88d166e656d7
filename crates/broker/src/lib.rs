//! What a worker may ask of the publisher beside it, for a run that it holds: over a Unix socket, one
//! question a connection. In: run, epoch, lease token and one of three questions. Out: a yes, a token that
//! only pulls, or the run's own secrets. Deliberately absent: what the answers are (the publisher decides),
//! and any question that a lease does not prove.

mod ask;
mod frame;
mod listen;
mod message;

pub use ask::Broker;
pub use listen::{Answers, bind, serve};
pub use message::{Answer, Ask, GitSecret, Question, RunSecrets, Secret};
