//! One file an address: its handler, its refusals, its documentation.

pub(crate) mod cancel_run;
pub(crate) mod create_run;
pub(crate) mod credentials;
pub(crate) mod cursor;
pub(crate) mod deliveries;
pub(crate) mod follow;
pub(crate) mod front;
pub(crate) mod get_run;
pub(crate) mod health;
pub(crate) mod hooks;
pub(crate) mod idempotency;
pub(crate) mod list_runs;
pub(crate) mod logs;
pub(crate) mod lookup;
pub(crate) mod metrics;
mod names;
mod patch;
pub(crate) mod problems;
pub(crate) mod receive;
pub(crate) mod registries;
pub(crate) mod run_task;
pub(crate) mod steps;
pub(crate) mod tasks;
pub(crate) mod tokens;
pub(crate) mod upload_source;
pub(crate) mod workers;
