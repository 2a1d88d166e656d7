//! REST v1 as a client sees it: the service on a loopback port, with a database of its own.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod denied_receivers;
mod heads;
mod hooks;
mod lists;
mod logs;
mod nouns;
mod operation;
mod order;
mod refusals;
mod reporter;
mod reports;
mod runs;
mod steps;
mod strangers;
mod tls;
mod told;
mod uploads;
mod versions;
mod world;
