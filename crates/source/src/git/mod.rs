//! A git repository's commit as a folder: which ref, one shallow fetch over the port, a checkout of
//! our own.

mod advertised;
mod checkout;
mod fetch;
mod packets;
mod subdirectory;
mod transport;
mod wanted;

pub use fetch::fetch_git;
