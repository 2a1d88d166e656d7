//! Layers as folders: unpacked once, stacked by overlayfs, and compared to make the next layer.
//!
//! Everything lies on one file system below one root, `d/<id>/fs` being a layer's files, `m/<id>` a place
//! to mount at, and `layers/<hex>` a link from a diff id to its folder.

mod attributes;
mod beneath;
mod clean;
mod diff;
mod error;
mod folder;
mod hold;
mod lookup;
mod measure;
mod mount;
mod node;
mod remove;
mod snapshots;
mod stack;
mod stubs;
mod sweep;
mod unpack;
mod usage;

pub use clean::{Cleaned, Root, clean};
pub use diff::{Diff, DiffStats, write_diff};
pub use error::Error;
pub use folder::LayerDir;
pub use remove::remove_folder;
pub use snapshots::Snapshots;
pub use stack::{Active, View};
pub use usage::{Usage, usage};
