//! The language: what each instruction becomes, and how each mistake is shown.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod mistakes;
mod odd;
mod plans;
mod variables;
mod world;
