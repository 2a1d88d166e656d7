//! Names to addresses, once for each connection: what is checked here is what is connected to. In: a name.
//! Out: its addresses that may be reached.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::{Error, Policy};

/// Who knows names.
pub(crate) trait Lookup: Send + Sync {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// As the host does.
pub(crate) struct System;

impl Lookup for System {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        }
        .boxed()
    }
}

/// The name has no address that may be reached.
#[derive(Debug, thiserror::Error)]
#[error("its address is denied")]
pub(crate) struct NameDenied;

/// A client's resolver; without a policy it answers everything.
#[derive(Clone)]
pub(crate) struct Resolver {
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) policy: Option<Policy>,
}

impl Resolver {
    /// The addresses of `host` that may be reached.
    ///
    /// # Errors
    /// There is no such name; or [`NameDenied`], when none of its addresses may.
    pub(crate) async fn addresses(
        &self,
        host: String,
    ) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let mut addresses = self.lookup.lookup(host).await?;
        if let Some(policy) = &self.policy {
            addresses = permitted(policy, addresses)?;
            if addresses.is_empty() {
                return Err(NameDenied.into());
            }
        }
        Ok(addresses)
    }
}

fn permitted(policy: &Policy, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, Error> {
    let judged = addresses.into_iter().map(|address| Ok(policy.permits(address)?.then_some(address)));
    Ok(judged.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect())
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.addresses(name.as_str().to_owned()).await?;
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}
