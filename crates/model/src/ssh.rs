//! Addresses of git repositories over ssh, in both ways that git writes them. Text in; user, host, port, path
//! and the one command that is ever sent there out. Absent: keys, and any connection.

use crate::InvalidSource;

/// Where a repository is had over ssh. Made by [`SshAddress::parse`] alone: no part can pass for an option.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SshAddress {
    /// `git` where the address names nobody.
    pub user: String,
    /// A name in lower case, or an IP address without brackets.
    pub host: String,
    pub port: u16,
    /// As the host is asked for it: absolute, below a home (`~user/…`), or relative to the user's own.
    pub path: String,
}

/// Whom git hosts call their users.
const DEFAULT_USER: &str = "git";
const DEFAULT_PORT: u16 = 22;
/// Bytes of a whole address.
const LONGEST: usize = 2048;

impl SshAddress {
    /// Reads `ssh://[user@]host[:port]/path` or `user@host:path` as git does (git-clone(1), "GIT URLS").
    ///
    /// # Errors
    /// A password; a host, user or port that is none; a part that begins with `-`; control characters.
    pub fn parse(address: &str) -> Result<Self, InvalidSource> {
        if address.len() > LONGEST {
            return Err(refused("The address is too long.".into(), "At most 2048 bytes."));
        }
        if address.chars().any(char::is_control) {
            return Err(refused("The address holds control characters.".into(), HINT));
        }
        match address.strip_prefix("ssh://") {
            Some(rest) => Self::parse_url(rest),
            None => Self::parse_short(address),
        }
    }

    fn parse_url(rest: &str) -> Result<Self, InvalidSource> {
        let (authority, path) =
            rest.split_once('/').ok_or_else(|| refused("The ssh address has no path.".into(), HINT))?;
        let (user, place) = split_user(authority)?;
        let (host, port) = match place.rsplit_once(':') {
            // The colons of an IPv6 address are inside its brackets.
            Some((host, port)) if !port.ends_with(']') => (host, port_of(port)?),
            _ => (place, DEFAULT_PORT),
        };
        let path =
            decoded(path).ok_or_else(|| refused("The path's `%` codes can't be read.".into(), HINT))?;
        // git-clone(1): `ssh://host/~user/path`.
        let path = if path.starts_with('~') { path } else { format!("/{path}") };
        Self::of(user, host, port, path)
    }

    fn parse_short(address: &str) -> Result<Self, InvalidSource> {
        // A password may be anywhere in what can't be read: nothing of it is repeated.
        let unreadable = || refused("This is no git address that can be read.".into(), HINT);
        if !is_short(address) {
            return Err(unreadable());
        }
        let end_of_host = address.find(']').unwrap_or(0);
        let colon = address[end_of_host..].find(':').ok_or_else(unreadable)? + end_of_host;
        let (user, host) = split_user(&address[..colon])?;
        Self::of(user, host, DEFAULT_PORT, address[colon + 1..].to_owned())
    }

    fn of(user: &str, host: &str, port: u16, path: String) -> Result<Self, InvalidSource> {
        let letters = |text: &str, more: &[u8]| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
        };
        if user.is_empty() || user.starts_with('-') || !letters(user, b"._+-") {
            return Err(refused("The ssh address has a user that is none.".into(), HINT));
        }
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().ok().map(|address| address.to_string()),
            None => (!host.is_empty() && !host.starts_with(['-', '.']) && letters(host, b"._-"))
                .then(|| host.to_ascii_lowercase()),
        };
        let host = host.ok_or_else(|| refused("The ssh address has a host that is none.".into(), HINT))?;
        let begins_with_dash = path.split('/').any(|part| part.starts_with('-'));
        let is_empty = path.trim_matches('/').is_empty();
        if is_empty || begins_with_dash || path.starts_with(':') || path.chars().any(char::is_control) {
            return Err(refused(
                "The ssh address has a missing or forbidden path.".into(),
                "It may not be empty, hold control characters, or have a part that begins with `-`.",
            ));
        }
        Ok(Self { user: user.to_owned(), host, port, path })
    }

    /// The only command that is sent, its path quoted for a shell as git quotes it.
    #[must_use]
    pub fn upload_pack(&self) -> String {
        let quoted = self.path.replace('\'', r"'\''").replace('!', r"'\!'");
        format!("git-upload-pack '{quoted}'")
    }

    /// The host as known_hosts(5) names it: `host`, or `[host]:port` where the port is another one than 22.
    #[must_use]
    pub fn known_as(&self) -> String {
        match self.port {
            DEFAULT_PORT => self.host.clone(),
            port => format!("[{}]:{port}", self.host),
        }
    }
}

const HINT: &str = "Write it as ssh://git@host[:port]/owner/repository.git or git@host:owner/repository.git.";

fn refused(message: String, hint: &str) -> InvalidSource {
    InvalidSource { message, hint: hint.to_owned() }
}

/// Whether an address is meant as `user@host:path`.
pub(crate) fn is_short(address: &str) -> bool {
    let authority = address.split(['/', ':']).next().unwrap_or_default();
    authority.contains('@') && address.contains(':') && !address.contains("://")
}

/// The password is not repeated: what is said here ends up in logs.
fn split_user(authority: &str) -> Result<(&str, &str), InvalidSource> {
    let Some((user, place)) = authority.rsplit_once('@') else { return Ok((DEFAULT_USER, authority)) };
    if user.contains(':') {
        return Err(refused(
            format!("The address at host `{place}` carries a password."),
            "Take it out: git over ssh signs in with the key of a credential of kind `git`.",
        ));
    }
    Ok((user, place))
}

fn port_of(text: &str) -> Result<u16, InvalidSource> {
    let port = text.parse().ok().filter(|port| *port != 0 && text.bytes().all(|byte| byte.is_ascii_digit()));
    port.ok_or_else(|| refused("The ssh address has a port that is none.".into(), "Write 1 to 65535."))
}

/// git decodes `%20` and the like in an address with a scheme, and only there.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            let digits = digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(digits)?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> (String, String, u16, String) {
        let read = SshAddress::parse(address).map_err(|error| error.message);
        let SshAddress { user, host, port, path } = read.expect(address);
        (user, host, port, path)
    }

    #[test]
    fn both_forms_are_read_as_git_reads_them() {
        for (address, user, host, port, path) in [
            ("ssh://git@Host.example/team/app.git", "git", "host.example", 22, "/team/app.git"),
            ("ssh://host/a.git", "git", "host", 22, "/a.git"),
            ("ssh://me@host:2222/~you/a%20b's%25.git", "me", "host", 2222, "~you/a b's%.git"),
            ("ssh://git@[::1]:2222/a", "git", "::1", 2222, "/a"),
            ("ssh://git@[2001:DB8::1]/a", "git", "2001:db8::1", 22, "/a"),
            ("git@host:team/app.git", "git", "host", 22, "team/app.git"),
            ("git@host:/srv/a b%20c.git", "git", "host", 22, "/srv/a b%20c.git"),
            ("git@[::1]:a:b", "git", "::1", 22, "a:b"),
        ] {
            let expected = (user.to_owned(), host.to_owned(), port, path.to_owned());
            assert_eq!(read(address), expected, "{address}");
        }
    }

    #[test]
    fn the_command_is_one_word_to_a_shell_whatever_the_path_is() {
        for (address, command) in [
            ("git@host:a.git", "git-upload-pack 'a.git'"),
            ("git@host:it's `id` $(id) \"x\"!;&|\\", r#"git-upload-pack 'it'\''s `id` $(id) "x"'\!';&|\'"#),
            ("ssh://host/a%27;touch%20x", r"git-upload-pack '/a'\'';touch x'"),
        ] {
            let address = SshAddress::parse(address).expect("it is one");
            assert_eq!(address.upload_pack(), command);
        }
    }

    #[test]
    fn no_part_passes_for_an_option_or_hides_anything() {
        for bad in [
            "ssh://-oProxyCommand=id/a",
            "ssh://-oProxyCommand=id@host/a",
            "ssh://git@-oProxyCommand=id/a",
            "ssh://host/-x",
            "ssh://host/a/--upload-pack=x",
            "ssh://host/%2dx",
            "git@-host:a",
            "-git@host:a",
            "git@host:-a",
            "git@host:",
            "git@host:/",
            "git@host::sh -c id",
            "ssh://host",
            "ssh://host/",
            "ssh:///a",
            "ssh://host:0/a",
            "ssh://host:65536/a",
            "ssh://host:+22/a",
            "ssh://host:22x/a",
            "ssh://ho st/a",
            "ssh://host;id/a",
            "ssh://$(id)/a",
            "ssh://%68ost/a",
            "ssh://host\n/a",
            "ssh://host/a%0ab",
            "ssh://host/a%00b",
            "ssh://host/a%zz",
            "ssh://host/a%",
            "ssh://host/a%ff",
            "ssh://[::1/a",
            "ssh://[fe80::1%25eth0]/a",
            "ssh://us er@host/a",
            "ssh://`id`@host/a",
            "a@b@host:c",
            "host:a",
            "[git@host:22]:a",
        ] {
            assert!(SshAddress::parse(bad).is_err(), "{bad:?}: {:?}", SshAddress::parse(bad));
        }
        for with_password in ["ssh://git:geheim@host/a", "git:geheim@host:a"] {
            let error = SshAddress::parse(with_password).expect_err("it is refused");
            assert!(!format!("{error:?}").contains("geheim"), "{error:?}");
        }
        let long = format!("git@host:{}", "a".repeat(2048));
        assert!(SshAddress::parse(&long).is_err());
    }

    #[test]
    fn a_host_is_known_by_its_port_too() {
        let known = |address| SshAddress::parse(address).map(|address| address.known_as());
        assert_eq!(known("git@Host:a").as_deref(), Ok("host"));
        assert_eq!(known("ssh://host:2222/a").as_deref(), Ok("[host]:2222"));
        assert_eq!(known("ssh://[::1]:2222/a").as_deref(), Ok("[::1]:2222"));
    }
}
