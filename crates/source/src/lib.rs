//! From a [`model::SourceSpec`] to a [`model::SourceTree`] on disk: git over the port, uploaded
//! archives, and what `.dockerignore` leaves out. Runs inside a cell, for everything it reads is a
//! stranger's. Deliberately absent: any network (the port carries the bytes), hooks, filters,
//! submodules, and the git configuration of the machine.

mod beneath;
mod error;
mod file;
mod git;
mod ignore;
mod measure;
mod near;
mod pattern;
mod unpack;
mod upload;
mod watched;

pub use file::{MAX_FILE_BYTES, read_file};
pub use git::fetch_git;
pub use ignore::Ignore;
pub use upload::unpack_upload;

/// How large a source may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Files, folders and links.
    pub entries: u64,
    /// Bytes of all files together.
    pub bytes: u64,
    /// Folders within each other.
    pub depth: usize,
}

/// What every source is held to.
pub const LIMITS: Limits = Limits { entries: 1_000_000, bytes: 32 << 30, depth: 512 };
