//! Whole builds in a world of their own: a store in memory, a base image with busybox, real mounts and a
//! real runtime.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod caching;
mod copying;
mod fetching;
mod network;
mod running;
mod telling;
mod world;
