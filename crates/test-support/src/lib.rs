//! The world that tests live in: databases, registries, git servers, base images. Only tests depend
//! on it; what it starts ends with the test.

mod base_image;
mod database;
mod git;
mod proxy;
mod registry;

pub use base_image::push_busybox;
pub use database::TestDatabase;
pub use git::{Entry, GitRequest, GitServer, TestRepository};
pub use proxy::{Held, Hold, HoldingProxy};
pub use registry::{LocalRegistry, RegistryRequest};
