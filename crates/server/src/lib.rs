//! The role that answers REST v1 and keeps the queue healthy. In: requests on a loopback address, the
//! database. Out: JSON, log streams, metrics, problems (RFC 9457), and the page
//! for operators over the same answers. Absent: SQL, builds, pushes, and any credential but its own database
//! role's.

pub mod api;
mod app;
mod duties;
mod error;
mod git_key;
mod http;
mod listen;
mod new_run;
mod openapi;
mod page;
mod reports;
mod router;
mod routes;
mod serve;
mod tls;

pub(crate) use app::App;
pub use app::Config;
pub use error::Error;
pub use http::limit::Rate;
pub use listen::check_listen_address;
pub use openapi::document;
pub use serve::serve;
pub use tls::TlsFiles;
