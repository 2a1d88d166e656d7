//! Git repositories and a git server for tests: git's own `http-backend` with its default settings,
//! behind just enough of HTTP/1.1 on loopback; and over ssh.

mod repository;
mod server;
mod ssh_server;

pub use repository::{Entry, TestRepository};
pub use server::{GIT_HOSTS, GitRequest, GitServer};
pub use ssh_server::SshServer;
