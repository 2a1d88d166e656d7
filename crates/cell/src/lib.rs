//! The box that one run is executed in: the same binary started again in its own user, mount, pid,
//! ipc, uts and network namespaces. Worker's side: [`Spawner`] and [`Maps`]. Cell's side: [`enter`],
//! which never returns. Inside: source → plan → build. Deliberately absent: any socket but the port.

mod enter;
mod ids;
mod job;
mod lock;
mod maps;
mod measure;
mod mounts;
pub mod porch;
mod recipe;
mod routes;
mod spawn;
mod sweep;

pub use enter::enter;
pub use ids::{Ids, IdsError, Range};
pub use job::{Attempt, BuildJob, Job, UnpackJob};
pub use maps::{Maps, MapsError};
pub use measure::{Taken, measure};
pub use spawn::{CellProcess, SpawnError, Spawner};

/// The descriptor at which a cell finds its end of the port.
pub const PORT_DESCRIPTOR: i32 = 3;
/// How many ids a cell has: 0 to 65,535.
pub const CELL_IDS: u32 = 65_536;
