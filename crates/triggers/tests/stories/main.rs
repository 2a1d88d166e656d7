//! What a delivery leads to, host by host.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod addresses;
mod azure_devops;
mod decisions;
mod decisions_for_requests;
mod gitea;
mod github;
mod gitlab;
mod patterns;
mod signatures;
mod signatures_by_host;
mod standard;
mod world;
