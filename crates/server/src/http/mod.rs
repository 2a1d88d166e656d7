//! What every request passes, whatever its route: its id, who may call, errors as problems.

pub(crate) mod auth;
pub(crate) mod bare;
pub(crate) mod extract;
pub(crate) mod head;
pub(crate) mod host;
pub(crate) mod intake;
pub(crate) mod kind;
pub(crate) mod limit;
pub(crate) mod problem;
pub(crate) mod request_id;
