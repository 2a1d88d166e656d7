//! A registry's address, `host[:port]`. In: what somebody wrote. Out: nothing, or what is wrong with it and what to
//! write instead. Absent: any question to the network; whether somebody answers there is seen at the first push.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Domains of Azure Container Registry, by cloud: a registry is exactly one label before them.
const AZURE: [&str; 4] = ["azurecr.io", "azurecr.cn", "azurecr.us", "azurecr.de"];

/// What is wrong, and what to do.
type Refused = (String, String);

/// Refuses what can't be a registry's address, or is not all of one.
pub(crate) fn check(address: &str) -> Result<(), Refused> {
    let shown: String = address.chars().take(200).collect();
    only_an_authority(address, &shown)?;
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !address.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    };
    if port.is_some_and(|port| !is_port(port)) {
        return Err((
            format!("`{shown}` has no possible port."),
            "A port is a number from 1 to 65535.".into(),
        ));
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().map(drop).map_err(|_| no_address(&shown));
    }
    if !is_host_name(host) || (looks_numeric(host) && host.parse::<Ipv4Addr>().is_err()) {
        return Err(no_address(&shown));
    }
    whole_name(host, port, &shown)
}

/// Whether it is this machine's loopback.
pub(crate) fn is_loopback(address: &str) -> bool {
    let host = match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => address,
    };
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

fn only_an_authority(address: &str, shown: &str) -> Result<(), Refused> {
    if address.contains('@') {
        let hint =
            "Write a host's name alone; how to sign in is `sign_in`, with a credential that is kept apart.";
        return Err(("The address carries a user or a password.".to_owned(), hint.to_owned()));
    }
    if let Some((scheme, rest)) = address.split_once("://") {
        let host = rest.split('/').next().unwrap_or_default();
        let plain = if scheme == "http" { " with `plain_http: true`" } else { "" };
        return Err((format!("`{shown}` is an address with a scheme."), format!("Write `{host}`{plain}.")));
    }
    if let Some((host, path)) = address.split_once('/') {
        let hint = format!("Write `{host}`; `{path}` belongs to the images' names, as in `{path}/app:1`.");
        return Err((format!("`{shown}` holds a path."), hint));
    }
    Ok(())
}

/// A name that is cut short leads elsewhere, or nowhere.
fn whole_name(host: &str, port: Option<&str>, shown: &str) -> Result<(), Refused> {
    let lower = host.to_ascii_lowercase();
    if !host.contains('.') && lower != "localhost" && port.is_none() {
        let hint = format!(
            "For Azure Container Registry write `{host}.azurecr.io`; else the whole name, or a port behind it."
        );
        return Err((format!("`{shown}` is an incomplete name: it has no domain."), hint));
    }
    if let Some(name) = lower.strip_suffix(".azurecr") {
        let hint = format!("For Azure Container Registry write `{name}.azurecr.io`.");
        return Err((format!("`{shown}` is an incomplete name: its domain is cut short."), hint));
    }
    for domain in AZURE {
        let Some(before) = lower.strip_suffix(domain) else { continue };
        let before = match before {
            "" => "",
            before => match before.strip_suffix('.') {
                Some(before) => before,
                None => continue,
            },
        };
        if before.is_empty() || before.contains('.') {
            let hint = format!("A registry's login server is its name and the domain: `team.{domain}`.");
            return Err((format!("`{shown}` is no registry of Azure's."), hint));
        }
    }
    Ok(())
}

fn no_address(shown: &str) -> Refused {
    let hint = "Write a host's name and, if need be, a port: `team.azurecr.io`, `registry.example.com:5000`.";
    (format!("`{shown}` is not a registry's address."), hint.to_owned())
}

/// Digits as a person writes them: no sign, no zero in front.
fn is_port(port: &str) -> bool {
    let digits = port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
    digits && port.parse::<u16>().is_ok()
}

/// Whether resolvers would take it for an IPv4 address in one of its older forms: the last label decides, as in
/// the WHATWG URL standard.
fn looks_numeric(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let hexadecimal = last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    hexadecimal || last.bytes().all(|b| b.is_ascii_digit())
}

fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_whole_host_and_maybe_a_port() {
        for address in [
            "team.azurecr.io",
            "team-a1b2.azurecr.us",
            "notazurecr.io",
            "1password.example",
            "registry.example.com:5000",
            "reg:5000",
            "localhost",
            "127.0.0.1:5000",
            "[::1]:5000",
            "[2001:db8::1]",
        ] {
            assert_eq!(check(address), Ok(()), "{address}");
        }
    }

    #[test]
    fn what_no_registry_can_have_is_refused_with_what_to_write() {
        for (bad, hint) in [
            ("https://team.azurecr.io/v2", "Write `team.azurecr.io`."),
            ("http://reg:5000", "plain_http: true"),
            ("ghcr.io/team", "`team/app:1`"),
            ("team", "team.azurecr.io"),
            ("team.azurecr", "write `team.azurecr.io`"),
            ("azurecr.io", "`team.azurecr.io`"),
            ("x.team.azurecr.us", "`team.azurecr.us`"),
            ("team.azurecr.io:", "1 to 65535"),
            ("team.azurecr.io:99999", "1 to 65535"),
            ("team.azurecr.io:00443", "1 to 65535"),
            ("team.azurecr.io:+5", "1 to 65535"),
            ("", "host's name"),
            ("-x.example", "host's name"),
            ("a b.example", "host's name"),
            ("a..example", "host's name"),
            ("256.1.1.1", "host's name"),
            ("127.1", "host's name"),
            ("2130706433", "host's name"),
            ("0x7f.1", "host's name"),
            ("registry.0x1f", "host's name"),
            ("[127.0.0.1]", "host's name"),
            ("user@host.example", "host's name"),
            ("https://user:geheim@host.example", "host's name"),
        ] {
            let (message, said) = check(bad).expect_err(bad);
            assert!(said.contains(hint), "{bad}: {message} {said}");
            assert!(!format!("{message}{said}").contains("geheim"), "{message} {said}");
        }
    }
}
