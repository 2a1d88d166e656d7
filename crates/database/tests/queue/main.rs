//! The queue, the journal and their walls, against a real Postgres with the roles' own rights.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod backup;
mod cancelling;
mod claims;
mod forgetting;
mod functions;
mod inbox;
mod leasing;
mod lists;
mod logs;
mod making;
mod migrating;
mod moves;
mod promises;
mod publishing;
mod reports;
mod rescuing;
mod secrets;
mod sources;
mod steps;
mod walls;
mod world;
