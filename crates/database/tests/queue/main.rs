//! The queue, the journal and their walls, against a real Postgres with the roles' own rights.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod cancelling;
mod claims;
mod functions;
mod leasing;
mod logs;
mod making;
mod moves;
mod publishing;
mod rescuing;
mod secrets;
mod sources;
mod walls;
mod world;
