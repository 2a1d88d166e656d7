//! Where connections may go. In: the two lists of an administrator. Out: yes or no for an address or an
//! origin, a checked connection, and the networks that a build's own network must not reach.
//!
//! The lists: `allow` is what strangers' input may reach although it would be denied, for RUN and ADD as well;
//! `origins` are what an administrator configured, reached by worker, publisher and server only, whatever the
//! address, and they open nothing for a build itself.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};

use crate::address::{denied_networks, embedded, forms, is_denied, own, without};
use crate::{Allowed, Error, Origin};

/// Variables of the environment that hold the lists, with commas between.
pub const ORIGINS_VARIABLE: &str = "SLIPWAY_ORIGINS";
pub const ALLOW_VARIABLE: &str = "SLIPWAY_EGRESS_ALLOW";

/// The lists. Cloning it is cheap. By default both are empty.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    allow: Arc<[Allowed]>,
    origins: Arc<[Origin]>,
    /// What it speaks of is a stranger's: refusals advise `--egress-allow`.
    for_strangers: bool,
}

impl Policy {
    /// Denies everything that is private but what the lists say.
    #[must_use]
    pub fn new(allow: Vec<Allowed>, origins: Vec<Origin>) -> Self {
        Self { allow: allow.into(), origins: origins.into(), for_strangers: false }
    }

    /// The same, with one more configured origin.
    #[must_use]
    pub fn with_origin(&self, origin: Origin) -> Self {
        let origins = self.origins.iter().cloned().chain([origin]).collect();
        Self { origins, ..self.clone() }
    }

    /// The same without its origins: for what a stranger's file names.
    #[must_use]
    pub fn for_strangers(&self) -> Self {
        Self { allow: Arc::clone(&self.allow), origins: Arc::default(), for_strangers: true }
    }

    /// The same for what a stranger's file names, with this one origin where an administrator configured it. Where that
    /// one leads to, a redirect or a token server, is no other origin's to answer.
    #[must_use]
    pub fn for_strangers_at(&self, origin: &Origin) -> Self {
        let origins = self.origins.iter().filter(|configured| *configured == origin).cloned().collect();
        Self { origins, ..self.for_strangers() }
    }

    /// The lists as the environment of another process has them.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 2] {
        let origins: Vec<_> = self.origins.iter().map(ToString::to_string).collect();
        let allow: Vec<_> = self.allow.iter().map(ToString::to_string).collect();
        [(ORIGINS_VARIABLE, origins.join(",")), (ALLOW_VARIABLE, allow.join(","))]
    }

    /// Whether an origin may be reached whatever its address.
    pub(crate) fn is_named(&self, origin: &Origin) -> bool {
        self.origins.contains(origin) || self.allow.iter().any(|allowed| allowed.names(origin))
    }

    pub(crate) fn is_for_strangers(&self) -> bool {
        self.for_strangers
    }

    /// Whether this address may be connected to, whoever it is by name.
    ///
    /// # Errors
    /// This host's own addresses can't be read.
    pub(crate) fn permits(&self, address: IpAddr) -> Result<bool, Error> {
        Ok(self.judge(address, &own().map_err(Error::Interfaces)?))
    }

    fn judge(&self, address: IpAddr, own: &[IpAddr]) -> bool {
        let real = embedded(address);
        let is_in = |network: &IpNet| network.contains(&address) || network.contains(&real);
        let is_own = || own.iter().any(|own| embedded(*own) == real);
        self.allowed_networks().any(is_in) || !(is_denied(address) || is_own())
    }

    fn allowed_networks(&self) -> impl Iterator<Item = &IpNet> {
        self.allow.iter().filter_map(|allowed| match allowed {
            Allowed::Network(network) => Some(network),
            Allowed::Host { .. } => None,
        })
    }

    /// The networks that a build's own network may not reach, this host's addresses among them. Hosts that are
    /// allowed by name are for the worker's own fetches: a route knows no names and no ports.
    ///
    /// # Errors
    /// This host's own addresses can't be read.
    pub fn unreachable(&self) -> Result<Vec<IpNet>, Error> {
        Ok(self.closed(&own().map_err(Error::Interfaces)?))
    }

    fn closed(&self, own: &[IpAddr]) -> Vec<IpNet> {
        let own = own.iter().filter(|address| !is_denied(**address)).flat_map(|address| match address {
            IpAddr::V4(address) => forms(Ipv4Net::from(*address)).to_vec(),
            IpAddr::V6(_) => vec![IpNet::from(*address)],
        });
        let mut networks: Vec<IpNet> = denied_networks().into_iter().chain(own).collect();
        for allowed in self.allowed_networks() {
            let holes = match allowed {
                IpNet::V4(network) => forms(*network).to_vec(),
                IpNet::V6(_) => vec![*allowed],
            };
            for hole in &holes {
                networks = networks.into_iter().flat_map(|network| without(network, hole)).collect();
            }
        }
        networks.sort();
        networks.dedup();
        networks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str]) -> Policy {
        Policy::new(allow.iter().map(|text| text.parse().expect(text)).collect(), Vec::new())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn an_allowed_network_is_open_in_each_of_its_forms_and_nothing_beside_it() {
        let policy = policy(&["10.1.0.0/16", "fd00:1::/32"]);
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd00:1::5", "8.8.8.8"] {
            assert!(policy.judge(ip(address), &[]), "{address}");
        }
        for address in ["10.2.0.1", "::ffff:10.2.0.1", "169.254.169.254", "fd00:2::1", "127.0.0.1"] {
            assert!(!policy.judge(ip(address), &[]), "{address}");
        }
    }

    #[test]
    fn this_hosts_own_addresses_are_denied_though_they_are_public() {
        let own = [ip("198.51.100.7"), ip("2001:db8::7")];
        for address in ["198.51.100.7", "::ffff:198.51.100.7", "2001:db8::7"] {
            assert!(!policy(&[]).judge(ip(address), &own), "{address}");
            assert!(policy(&[]).judge(ip(address), &[]), "{address}");
            assert!(policy(&["198.51.100.7", "2001:db8::7"]).judge(ip(address), &own), "{address}");
        }
        let closed = policy(&[]).closed(&own);
        for address in own {
            assert!(closed.iter().any(|network| network.contains(&address)), "{address}");
        }
        assert!(super::own().expect("interfaces").contains(&ip("127.0.0.1")), "they are read at all");
    }

    #[test]
    fn routes_leave_out_what_is_allowed() {
        let closed = policy(&["10.1.0.0/16", "169.254.169.254", "db.example:5432"]).closed(&[]);
        let is_closed = |address: &str| closed.iter().any(|network| network.contains(&ip(address)));
        for address in ["10.0.255.255", "10.2.0.0", "169.254.169.253", "169.254.169.255", "fd00::1", "::1"] {
            assert!(is_closed(address), "{address}");
        }
        for address in
            ["10.1.0.0", "10.1.255.255", "169.254.169.254", "8.8.8.8", "203.0.113.9", "64:ff9b::10.1.0.1"]
        {
            assert!(!is_closed(address), "{address}");
        }
        assert!(policy(&["0.0.0.0/0", "::/0"]).closed(&[ip("198.51.100.7")]).is_empty());
    }

    #[test]
    fn an_origin_is_named_exactly_and_never_for_strangers() {
        let origin = |text: &str| text.parse::<Origin>().expect(text);
        let policy =
            policy(&["db.example:5432", "files.example"]).with_origin(origin("http://127.0.0.1:3000"));
        assert!(policy.is_named(&origin("http://127.0.0.1:3000")));
        for other in
            ["https://127.0.0.1:3000", "http://127.0.0.1:3001", "http://127.0.0.1", "http://localhost:3000"]
        {
            assert!(!policy.is_named(&origin(other)), "{other}");
        }
        let strangers = policy.for_strangers();
        assert!(!strangers.is_named(&origin("http://127.0.0.1:3000")));
        for open in ["http://db.example:5432", "https://files.example", "http://files.example:81"] {
            assert!(strangers.is_named(&origin(open)), "{open}");
        }
        assert!(!strangers.is_named(&origin("http://db.example:5433")));
        let two = policy.with_origin(origin("http://127.0.0.1:5000"));
        let at = |named: &str| two.for_strangers_at(&origin(named));
        assert!(at("http://127.0.0.1:5000").is_named(&origin("http://127.0.0.1:5000")));
        assert!(!at("http://127.0.0.1:5000").is_named(&origin("http://127.0.0.1:3000")));
        assert!(!at("http://127.0.0.1:5001").is_named(&origin("http://127.0.0.1:5001")));
    }
}
