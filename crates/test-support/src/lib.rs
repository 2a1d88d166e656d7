//! The world that tests live in: databases, registries, git servers, base images, a cloud to sign in to. Only tests depend
//! on it; what it starts ends with the test.

mod azure;
mod base_image;
mod database;
mod fault_proxy;
mod forged_packs;
mod git;
mod git_host;
mod hostile_archives;
mod namespace;
mod proxy;
mod registry;
mod tls;
mod tls_front;
mod token_registry;

pub use azure::{FakeAzure, IDENTITY_HEADER, Principal};
pub use base_image::{push_busybox, push_busybox_as, push_busybox_with};
pub use database::TestDatabase;
pub use fault_proxy::{Asked, FaultProxy, JournalEntry, Phase, RegistryFault, Trouble};
pub use forged_packs::{ForgedPack, ForgingHost, Talk};
pub use git::{Entry, GIT_HOSTS, GitRequest, GitServer, SshServer, TestRepository};
pub use git_host::{FakeGitHost, GitState};
pub use hostile_archives::{Canary, HostileArchive};
pub use namespace::{Network, in_its_own_network};
pub use proxy::{Held, Hold, HoldingProxy};
pub use registry::{LocalRegistry, RegistryRequest, TokenTrust};
pub use tls_front::TlsFront;
pub use token_registry::TokenRegistry;
