//! Addresses of repositories: two ways to write one in, whether they mean the same out.
//!
//! Absent: asking anybody. A host that moved, or a name that is an alias, is another repository.

use crate::Repository;

/// Whether a task's source is that repository.
///
/// Scheme, user, the scheme's own port, `.git`, a `/` at the end and the case of the host do not
/// matter; paths are compared exactly, except at github.com, where case does not count.
#[must_use]
pub fn same_repository(source_url: &str, repository: &Repository) -> bool {
    let Some(source) = Address::parse(source_url) else { return false };
    repository.addresses.iter().filter_map(|address| Address::parse(address)).any(|other| other == source)
}

#[derive(PartialEq, Eq, Debug)]
struct Address {
    host: String,
    /// Absent when it is the scheme's own.
    port: Option<u16>,
    path: String,
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        let (authority, path, own_port) = match text.split_once("://") {
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_once('/')?;
                (authority, path, own_port(scheme)?)
            }
            None => scp_like(text)?,
        };
        let (host, port) = host_and_port(authority)?;
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let path = path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/');
        if host.is_empty() || path.is_empty() {
            return None;
        }
        let path = if host == "github.com" { path.to_ascii_lowercase() } else { path.to_owned() };
        Some(Self { host, port: port.filter(|port| *port != own_port), path })
    }
}

fn own_port(scheme: &str) -> Option<u16> {
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Some(443),
        "http" => Some(80),
        "ssh" | "git+ssh" => Some(22),
        "git" => Some(9418),
        _ => None,
    }
}

/// `user@host:path`. git-clone(1), "GIT URLS": only when no slash comes before the colon.
fn scp_like(text: &str) -> Option<(&str, &str, u16)> {
    let end_of_host = text.find(']').map_or(0, |bracket| bracket + 1);
    let colon = end_of_host + text.get(end_of_host..)?.find(':')?;
    let (authority, path) = (&text[..colon], &text[colon + 1..]);
    (!authority.contains('/')).then_some((authority, path, 22))
}

fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // A colon within the brackets of an IPv6 address divides no port.
    let bracket = host.rfind(']').map_or(0, |at| at + 1);
    match host[bracket..].find(':') {
        Some(colon) if host[bracket + colon + 1..].is_empty() => Some((&host[..bracket + colon], None)),
        Some(colon) => {
            let port = host[bracket + colon + 1..].parse().ok()?;
            Some((&host[..bracket + colon], Some(port)))
        }
        None => Some((host, None)),
    }
}
