//! The page for operators: what its answers carry, and what a person does with it in a real Chromium.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod answers;
mod browser;
mod forms;
mod furnish;
mod keyboard;
mod links;
mod live;
mod log;
mod manage;
mod sight;
#[expect(dead_code, reason = "the stories of REST need all of it")]
#[path = "../rest/world.rs"]
mod world;
