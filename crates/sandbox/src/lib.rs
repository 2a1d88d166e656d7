//! One confined process from an OCI runtime bundle. In: a root folder, a command, a user, a network
//! choice. Out: its output as it comes, and how it ended. Deliberately absent: images, layers,
//! limits (they belong to the run's cgroup, which the runtime is told to leave alone).

mod bundle;
mod error;
mod host;
mod idmap;
mod memory;
mod probe;
mod process;
mod runtime;
mod seccomp;
mod stop;

pub use bundle::Shown;
pub use error::Error;
pub use host::prepare_host;
pub use memory::MemoryFolder;
pub use process::{Exit, Network, Process, Stream, run};
pub use runtime::{Runtime, RuntimeKind};
pub use stop::Stop;
