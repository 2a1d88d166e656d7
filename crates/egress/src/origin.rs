//! What an administrator writes: origins, and what is open to strangers. In: text. Out: values that compare.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use reqwest::Url;

/// The schemes an origin may have, with their ports.
const SCHEMES: [(&str, u16); 3] = [("http", 80), ("https", 443), ("ssh", 22)];

/// Scheme, host and port, exactly: `https://git.example:8443`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: &'static str,
    /// As in a URL: lower case, IPv6 in brackets.
    host: String,
    port: u16,
}

/// What strangers' input may reach although it would be denied: a network, or a host with or without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    Network(IpNet),
    /// By the name that is asked for, whatever its address.
    Host {
        host: String,
        port: Option<u16>,
    },
}

/// What can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);

impl Origin {
    /// The origin of an address that is asked for, where it has one.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        let (scheme, _) = SCHEMES.into_iter().find(|(scheme, _)| *scheme == url.scheme())?;
        Some(Self { scheme, host: url.host_str()?.to_owned(), port: url.port_or_known_default()? })
    }

    /// A plain connection that is not HTTP is ssh's.
    pub(crate) fn ssh(host: &str, port: u16) -> Self {
        let host = parts(&bracketed(host)).map_or_else(|| host.to_owned(), |(host, _)| host);
        Self { scheme: "ssh", host, port }
    }

    /// `host[:port]`, as it is written in an address.
    pub(crate) fn host_and_port(&self) -> String {
        match SCHEMES.contains(&(self.scheme, self.port)) {
            true => self.host.clone(),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host_and_port())
    }
}

impl FromStr for Origin {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let shape = Malformed("write SCHEME://HOST[:PORT] and nothing more, with http, https or ssh");
        let (scheme, rest) = text.trim().split_once("://").ok_or_else(|| shape.clone())?;
        let known = SCHEMES.into_iter().find(|(known, _)| scheme.eq_ignore_ascii_case(known));
        let ((scheme, usual), (host, port)) =
            known.zip(parts(rest.strip_suffix('/').unwrap_or(rest))).ok_or(shape)?;
        Ok(Self { scheme, host, port: port.unwrap_or(usual) })
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => write!(f, "{network}"),
            Self::Host { host, port: None } => f.write_str(host),
            Self::Host { host, port: Some(port) } => write!(f, "{host}:{port}"),
        }
    }
}

impl Allowed {
    /// Whether it opens this host and port by their name.
    pub(crate) fn names(&self, origin: &Origin) -> bool {
        match self {
            Self::Network(_) => false,
            Self::Host { host, port } => *host == origin.host && port.is_none_or(|port| port == origin.port),
        }
    }
}

impl FromStr for Allowed {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let text = text.trim();
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::Network(network.trunc()));
        }
        let shape = Malformed("write a network (10.1.0.0/16), an address, or HOST[:PORT] without a scheme");
        let (host, port) = parts(&bracketed(text)).ok_or(shape)?;
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        Ok(match (literal, port) {
            (Ok(address), None) => Self::Network(IpNet::from(address)),
            _ => Self::Host { host, port },
        })
    }
}

/// A bare IPv6 address as a URL writes it.
fn bracketed(host: &str) -> String {
    match host.parse::<std::net::Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => host.to_owned(),
    }
}

/// Host and port as a URL's parser reads them (WHATWG), so that decimal, octal and hexadecimal addresses mean
/// here what they mean in an address that is asked for.
fn parts(text: &str) -> Option<(String, Option<u16>)> {
    let url = Url::parse(&format!("http://{text}")).ok()?;
    let is_bare = url.path() == "/" && !text.contains(['/', '?', '#', '@', '\\']) && url.query().is_none();
    // The parser leaves http's own port out.
    let port = url.port().or_else(|| text.ends_with(":80").then_some(80));
    let host = url.host_str().filter(|host| is_bare && !host.is_empty())?;
    Some((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> String {
        text.parse::<Origin>().map_or_else(|error| error.to_string(), |origin| format!("{origin:?}"))
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin("http://git.example"), origin("HTTP://GIT.example:80/"));
        assert_eq!(origin("https://git.example"), origin("https://git.example:443"));
        assert_eq!(origin("ssh://git.example"), origin("ssh://git.example:22"));
        assert_eq!(origin("http://127.0.0.1:3000"), origin("http://2130706433:3000"));
        let all =
            ["http://a", "https://a", "http://a:8080", "http://b", "https://a:80", "ssh://a:80", "http://a."];
        for (index, one) in all.iter().enumerate() {
            for other in &all[index + 1..] {
                assert_ne!(origin(one), origin(other), "{one} {other}");
            }
        }
        assert_eq!(
            "https://[fd00::1]:8443".parse::<Origin>().expect("read").to_string(),
            "https://[fd00::1]:8443"
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "git.example",
            "ftp://a",
            "http://",
            "http://a/b",
            "http://a?b",
            "http://u:p@a",
            "http://a b",
            "http://a:0x50",
            "http://a#b",
            "file:///etc/passwd",
            "http://*.example.com/",
        ] {
            let read = text.parse::<Origin>();
            assert!(read.is_err() || text.contains('*'), "{text}: {read:?}");
        }
    }

    #[test]
    fn strangers_are_let_to_networks_and_hosts() {
        let allowed = |text: &str| text.parse::<Allowed>().expect(text);
        assert_eq!(allowed("10.1.2.3/8"), Allowed::Network("10.0.0.0/8".parse().expect("a network")));
        assert_eq!(allowed("10.1.2.3"), Allowed::Network("10.1.2.3/32".parse().expect("a network")));
        for text in ["fd00::1", "[fd00::1]"] {
            assert_eq!(allowed(text), Allowed::Network("fd00::1/128".parse().expect("a network")), "{text}");
        }
        let host = |host: &str, port| Allowed::Host { host: host.to_owned(), port };
        assert_eq!(allowed("Git.Example"), host("git.example", None));
        assert_eq!(allowed("git.example:80"), host("git.example", Some(80)));
        assert_eq!(allowed("10.1.2.3:8080"), host("10.1.2.3", Some(8080)));
        for text in ["10.0.0.0/8", "fd00::1", "git.example", "git.example:80", "10.1.2.3:8080"] {
            assert_eq!(allowed(&allowed(text).to_string()), allowed(text));
        }
        for text in ["", "http://a", "a/b", "10.0.0.0/33", "u@a", "a:b"] {
            assert!(text.parse::<Allowed>().is_err(), "{text}");
        }
    }
}
