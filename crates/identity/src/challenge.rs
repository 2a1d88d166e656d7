//! How a registry wants to be asked. In: its `WWW-Authenticate` headers. Out: the scheme, and where a token
//! is to be had. Absent: requests.

use std::collections::HashMap;

use reqwest::Url;

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    /// The best of several: a token where there is a server for it.
    pub(crate) fn best<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let known: Vec<Self> = headers.filter_map(Self::parse).collect();
        let bearer = known.iter().position(|challenge| matches!(challenge, Self::Bearer { .. }));
        known.into_iter().nth(bearer.unwrap_or(0))
    }

    /// Reads a header (RFC 9110, section 11.6.1), as far as registries write it.
    fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        let mut parameters = parameters(rest)?;
        let realm = parameters.remove("realm").filter(|_| scheme.eq_ignore_ascii_case("bearer"))?;
        Some(Self::Bearer { realm, service: parameters.remove("service") })
    }
}

fn parameters(mut rest: &str) -> Option<HashMap<String, String>> {
    let mut parameters = HashMap::new();
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_start_matches([',', ' ']).to_ascii_lowercase();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        parameters.insert(name, value.trim().to_owned());
        rest = after;
    }
    Some(parameters)
}

/// The token server's address, if a credential may go there. As Docker has it, a registry may name any
/// server with TLS: Docker Hub, GitLab and Harbor do. But the name has to come from the registry itself, over
/// TLS or loopback; one that is spoken to in clear text elsewhere may only name its own host.
pub(crate) fn token_server(realm: &str, registry: &Url) -> Option<Url> {
    let url: Url = realm.parse().ok()?;
    let same_host = url.host_str().is_some() && url.host_str() == registry.host_str();
    let heard_from_itself = registry.scheme() == "https" || is_loopback(registry);
    let meant = match url.scheme() {
        "https" => heard_from_itself || same_host,
        "http" => registry.scheme() == "http" && (same_host || (is_loopback(registry) && is_loopback(&url))),
        _ => false,
    };
    let bare = url.username().is_empty() && url.password().is_none();
    (meant && bare).then_some(url)
}

/// As Docker has it: http is fine where nobody else can listen.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenges_that_registries_send_are_read() {
        let realm = "https://auth.example/token".to_owned();
        let bearer = Challenge::Bearer { realm, service: Some("r.example".into()) };
        let header =
            "Bearer realm=\"https://auth.example/token\",service=\"r.example\",error=\"invalid_token\"";
        assert_eq!(Challenge::best([header].into_iter()), Some(bearer));
        let both = ["Basic realm=\"x\"", "bearer realm=https://a.example"];
        assert!(matches!(Challenge::best(both.into_iter()), Some(Challenge::Bearer { .. })));
        assert_eq!(Challenge::best(["Basic"].into_iter()), Some(Challenge::Basic));
        for other in ["", "Bearer", "Bearer service=\"x\"", "Bearer realm=\"x", "Negotiate realm=x"] {
            assert_eq!(Challenge::best([other].into_iter()), None, "{other}");
        }
    }

    #[test]
    fn a_credential_goes_only_where_the_registry_itself_sends_it() {
        let goes = |registry: &str, realm: &str| {
            token_server(realm, &registry.parse().expect("an address")).is_some()
        };
        for (registry, realm) in [
            ("https://r.example", "https://r.example/token"),
            ("https://r.example", "https://auth.elsewhere.example/token"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token"),
            ("http://localhost:5000", "http://127.0.0.1:5001/token"),
            ("http://127.0.0.1:5000", "https://auth.example/token"),
            ("http://r.internal:5000", "http://r.internal:5001/token"),
            ("http://r.internal:5000", "https://r.internal/token"),
        ] {
            assert!(goes(registry, realm), "{registry} {realm}");
        }
        for (registry, realm) in [
            ("https://r.example", "http://r.example/token"),
            ("https://r.example", "http://127.0.0.1/token"),
            ("https://r.example", "https://user:word@r.example/token"),
            ("http://r.internal:5000", "https://auth.example/token"),
            ("http://r.internal:5000", "http://127.0.0.1/token"),
            ("http://127.0.0.1:5000", "http://auth.example/token"),
            ("https://r.example", "file:///token"),
            ("https://r.example", "/token"),
        ] {
            assert!(!goes(registry, realm), "{registry} {realm}");
        }
    }
}
