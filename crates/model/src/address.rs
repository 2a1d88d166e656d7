//! Addresses that people paste, with whatever was in them. In: text. Out: whether it is an address without a secret
//! in it. Nothing of what is refused is repeated: it would end up in an answer, a log, a terminal.
//!
//! Absent: refs and folders behind the `#` of a source, and what a host is asked for.

use crate::InvalidSource;
use crate::limits::MAX_ADDRESS;
use crate::source::repository_of;

const NOT_REPEATED: &str = "Take it out: a credential of kind `git` is kept apart, and named. \
                            An `@` that belongs to a path is written %40.";
const FORMS: &str = "Write it as https://host/owner/repository.git.";

/// Refuses an http(s) address of a repository that is none, or in which a user, a password or a token may be.
/// Whoever pastes a password may have a `/` in it, so that an `@` is refused wherever it is.
///
/// # Errors
/// Says what, and nothing of it.
pub(crate) fn check_http(address: &str) -> Result<(), InvalidSource> {
    let is_http = |scheme: &&str| matches!(*scheme, "http" | "https");
    let Some((_, rest)) = address.split_once("://").filter(|(scheme, _)| is_http(scheme)) else {
        let hint = "Write it as https://host/owner/repository.git, ssh://git@host/owner/repository.git or git@host:owner/repository.git.";
        return refuse("That is not a git address this service can fetch.", hint);
    };
    if rest.contains('@') {
        return refuse("The address carries a user or a password.", NOT_REPEATED);
    }
    if rest.contains(['?', '#']) {
        return refuse("The address of a repository has no `?` and no `#` in it.", NOT_REPEATED);
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if path.trim_matches('/').is_empty() {
        return refuse("The address has no path.", FORMS);
    }
    if !is_authority(authority) {
        return refuse("The address has no host, or one that is none.", "Write host or host:port.");
    }
    if path.split('/').any(|part| part.starts_with('-')) || rest.chars().any(|c| c.is_control() || c == ' ') {
        return refuse(
            "The address has a forbidden path.",
            "No part of it may hold blanks or begin with `-`; a blank is written %20.",
        );
    }
    Ok(())
}

/// Refuses what names no repository, in any of the ways that git hosts write one: http(s), `ssh://user@host/path`,
/// `user@host:path`. The user of ssh is no secret; anything else before an `@` may be.
///
/// # Errors
/// As [`check_http`].
pub fn check_repository(address: &str) -> Result<(), InvalidSource> {
    if address.len() > MAX_ADDRESS {
        return refuse("The address is too long.", "At most 2000 bytes.");
    }
    let ssh = address.strip_prefix("ssh://");
    if ssh.is_none() && address.contains("://") {
        return check_http(address);
    }
    let refused = || refuse("That is no repository's address.", FORMS);
    let (user, place) = ssh.unwrap_or(address).split_once('@').unwrap_or(("git", ssh.unwrap_or(address)));
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    if !user.chars().all(plain) || place.contains(['@', '?', '#']) {
        return refuse("The address carries a password.", NOT_REPEATED);
    }
    match repository_of(address) {
        Some(_) if !address.chars().any(char::is_control) => Ok(()),
        _ => refused(),
    }
}

/// `host[:port]`
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse::<u16>().ok()),
        _ => (text, Some(0)),
    };
    let letter = |c: char| c.is_alphanumeric() || "._-".contains(c);
    let right = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.starts_with('-') && host.chars().all(letter),
    };
    right && port.is_some()
}

fn refuse(message: &str, hint: &str) -> Result<(), InvalidSource> {
    Err(InvalidSource { message: message.to_owned(), hint: hint.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SourceSpec;

    #[test]
    fn what_may_be_a_secret_is_refused_and_not_repeated() {
        for address in [
            "https://u:geheim@host/a.git",
            "https://geheim@host/a.git",
            "https://u:ge/heim@host/a.git",
            "https://u:12/geheim@host/a.git",
            "https://gehe/im@host/a.git",
            "https://u:geheim/a.git",
            "https://host/a.git?private_token=geheim",
            "ftp://u:geheim@host/a",
            "HTTPS://u:geheim@host/a",
            "ssh://u:geheim@host/a.git",
            "u:geheim@host:a.git",
            "geheim",
        ] {
            for refused in [check_repository(address), SourceSpec::parse_git(address).map(drop)] {
                let refused = format!("{:?}", refused.expect_err(address));
                assert!(!refused.contains("heim"), "{address}: {refused}");
            }
        }
        let fragment = "https://host/a.git#geheim".to_owned();
        let spec = SourceSpec::Git { url: fragment, reference: None, subdirectory: None };
        assert!(!format!("{:?}", spec.validate().expect_err("it is refused")).contains("geheim"));
    }

    #[test]
    fn what_names_a_repository_is_taken_in_every_way_to_write_it() {
        for address in [
            "https://example.com/team/app.git",
            "http://[::1]:3000/team/app",
            "https://dev.azure.com/team/a%20project/_git/app",
            "https://größe.example/app",
            "ssh://git@example.com:2222/team/app",
            "ssh://example.com/team/app",
            "git@example.com:team/app.git",
            "example.com:team/app.git",
        ] {
            assert_eq!(check_repository(address), Ok(()), "{address}");
        }
        for wrong in
            ["", "/srv/app", "https://", "https://host", "https://host/", "https://host:x/a", "git@host"]
        {
            assert!(check_repository(wrong).is_err(), "{wrong}");
        }
    }
}
