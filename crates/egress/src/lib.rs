//! The only place that opens connections to where strangers point: git hosts, base images' registries, files
//! that an ADD names, receivers of webhooks. In: an administrator's two lists, requests. Out: answers, and
//! connections to addresses that were checked when they were made. Deliberately absent: credentials, redirects
//! (whoever asks follows them knowingly), proxies from the environment.

mod address;
mod authorities;
mod client;
mod connect;
mod error;
mod lookup;
mod origin;
mod policy;

pub use authorities::{CaBundle, CaBundleError};
pub use client::{Client, Options};
pub use error::{Denied, Error, innermost};
pub use ipnet::IpNet;
pub use origin::{Allowed, Malformed, Origin};
pub use policy::{ALLOW_VARIABLE, ORIGINS_VARIABLE, Policy};
