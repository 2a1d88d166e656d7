//! What starts a task: a git host's webhook in, a decision with its reason out.
//!
//! [`verify`] says who sent a delivery, [`read`] what it tells, [`decide`] whether a task starts.
//! Absent: the network, the disk, the clock and chance. Whatever these functions need is an argument.

mod address;
mod changes;
mod decide;
mod delivery;
mod event;
mod fields;
mod hosts;
mod pattern;
mod refused;
mod signature;
mod verify;

pub use address::same_repository;
pub use decide::{Decision, decide};
pub use delivery::Delivery;
pub use event::{Event, PullRequest, Push, Repository};
pub use fields::Unreadable;
pub use hosts::read;
pub use pattern::{InvalidPattern, Pattern, validate};
pub use refused::Refused;
pub use verify::{Verified, verify};
