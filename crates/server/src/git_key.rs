//! A key for git over ssh and the host keys beside it, before they are kept and before they are used. In: text
//! that a person gave. Out: what is wrong with it, and what to do. Absent: what ssh itself says of them later,
//! and any use of the key.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::SshAddress;
use ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use ssh_key::{Algorithm, PrivateKey};

/// Bytes of all host keys together.
const LARGEST_HOSTS: usize = 64 * 1024;

/// Why a credential of kind `git` is not kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) field: &'static str,
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// A token with no host keys, or a key that ssh can use unattended and the keys of its hosts.
pub(crate) fn check(secret: &str, username: Option<&str>, known_hosts: Option<&str>) -> Result<(), Refusal> {
    let secret = secret.trim();
    let refuse = |field, message: &str, hint: &str| {
        Err(Refusal { field, message: message.to_owned(), hint: hint.to_owned() })
    };
    if secret.starts_with("PuTTY-User-Key-File") {
        let hint = "Convert it: `puttygen KEY.ppk -O private-openssh -o KEY`.";
        return refuse("secret", "The key is in PuTTY's format, which ssh does not read.", hint);
    }
    let first = secret.split_whitespace().next().unwrap_or_default();
    if !secret.starts_with("-----") && matches!(Algorithm::new(first), Ok(known) if !is_other(&known)) {
        return refuse(
            "secret",
            "That is the key's public half.",
            "The private half is in the file without `.pub`.",
        );
    }
    match (secret.starts_with("-----BEGIN "), known_hosts.filter(|hosts| !hosts.trim().is_empty())) {
        (false, None) if known_hosts.is_none() => Ok(()),
        (false, _) => refuse(
            "secret",
            "Host keys are for git over ssh, and the secret is no private key.",
            "Give the private key's file, or leave the host keys out.",
        ),
        (true, None) => {
            refuse("known_hosts", "A key for ssh needs the keys of the hosts it is shown to.", HOW_TO_PIN)
        }
        (true, Some(_)) if username.is_some() => refuse(
            "username",
            "A key has no user: over ssh the user stands in the address.",
            "Leave it out, and write the source's address as ssh://USER@host/path or USER@host:path.",
        ),
        (true, Some(hosts)) => check_key(secret).and_then(|()| check_hosts(hosts)),
    }
}

/// How a host's keys are had, and what has to be done before they are believed.
pub(crate) const HOW_TO_PIN: &str = "`ssh-keyscan HOST` (with `-p PORT` before it) asks for them. Anybody between may answer: compare \
                          their fingerprints (`ssh-keygen -lf FILE`) with those that the host's operator publishes, before \
                          you give them with --known-hosts-file.";

fn is_other(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Other(_))
}

fn check_key(secret: &str) -> Result<(), Refusal> {
    let refuse = |message: &str, hint: &str| {
        Err(Refusal { field: "secret", message: message.to_owned(), hint: hint.to_owned() })
    };
    let encrypted = || {
        refuse(
            "The key is encrypted with a passphrase, and nobody will be there to type it.",
            "Make one for this purpose alone: `ssh-keygen -t ed25519 -N '' -f KEY`; or take the passphrase off a copy: \
             `ssh-keygen -p -N '' -f COPY`. It is encrypted here.",
        )
    };
    let unreadable = || {
        refuse(
            "The private key can't be read.",
            "Give the whole file as ssh-keygen wrote it, from -----BEGIN to -----END.",
        )
    };
    let label =
        secret.strip_prefix("-----BEGIN ").and_then(|rest| rest.split_once("-----")).map(|(label, _)| label);
    let Some(label) = label else { return unreadable() };
    if label == "ENCRYPTED PRIVATE KEY" || secret.contains("Proc-Type: 4,ENCRYPTED") {
        return encrypted();
    }
    let end = format!("-----END {label}-----");
    let lines = secret.lines().skip(1).map(str::trim);
    let body: String = lines.take_while(|line| *line != end).collect();
    let (Ok(body), true) = (STANDARD.decode(body), secret.ends_with(&end)) else { return unreadable() };
    match label {
        "OPENSSH PRIVATE KEY" => match PrivateKey::from_bytes(&body) {
            Ok(key) if key.is_encrypted() => encrypted(),
            Ok(key) => match key.algorithm() {
                Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => refuse(
                    "The key is half of one that lies in a hardware token.",
                    "Make one without: `ssh-keygen -t ed25519 -N '' -f KEY`.",
                ),
                Algorithm::Dsa => {
                    refuse("The key is a DSA key, which no host takes.", "Make one: `ssh-keygen -t ed25519`.")
                }
                _ => Ok(()),
            },
            Err(_) if is_plain_ecdsa(&body) => Ok(()),
            Err(_) => unreadable(),
        },
        // ssh reads these through libcrypto.
        "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "PRIVATE KEY" if !body.is_empty() => Ok(()),
        _ => unreadable(),
    }
}

/// Whether it is an ECDSA key without a passphrase (OpenSSH, PROTOCOL.key), as far as its public half says so. `ssh-key`
/// does not read a private number that begins with zeros: every second one of nistp521 does.
fn is_plain_ecdsa(body: &[u8]) -> bool {
    const PLAIN: &[u8] = b"openssh-key-v1\0\0\0\0\x04none\0\0\0\x04none\0\0\0\0\0\0\0\x01";
    let public = body.strip_prefix(PLAIN).and_then(|rest| rest.get(8..));
    public.is_some_and(|kind| kind.starts_with(b"ecdsa-sha2-nistp"))
}

fn check_hosts(known_hosts: &str) -> Result<(), Refusal> {
    let refuse =
        |message: String, hint: &str| Err(Refusal { field: "known_hosts", message, hint: hint.to_owned() });
    if known_hosts.len() > LARGEST_HOSTS || known_hosts.contains('\0') {
        return refuse("The host keys are too long, or hold a NUL.".to_owned(), "At most 64 KiB of text.");
    }
    let wrong = lines(known_hosts).find(|(_, line)| entry(line).is_none());
    if let Some((number, _)) = wrong {
        let hint = "Lines of known_hosts: `host key-type key`, as ssh-keyscan prints them.";
        return refuse(format!("Line {number} of the host keys is none."), hint);
    }
    match lines(known_hosts).filter_map(|(_, line)| entry(line)).any(|entry| pins(&entry)) {
        true => Ok(()),
        false => refuse("There is no host key.".to_owned(), HOW_TO_PIN),
    }
}

/// Whether a host is known by one of these keys, as ssh would find it.
pub(crate) fn knows(known_hosts: &str, address: &SshAddress) -> bool {
    let names = [address.known_as(), address.host.clone()];
    let entries = lines(known_hosts).filter_map(|(_, line)| entry(line));
    entries.filter(pins).any(|entry| names.iter().any(|name| is_for(entry.host_patterns(), name)))
}

/// Lines that say something, and their numbers.
fn lines(known_hosts: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = known_hosts.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn entry(line: &str) -> Option<Entry> {
    line.split_whitespace().collect::<Vec<_>>().join(" ").parse().ok()
}

fn pins(entry: &Entry) -> bool {
    entry.marker() != Some(&Marker::Revoked)
}

fn is_for(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::Patterns(patterns) => {
            let matching = |pattern: &str| is_like(name.as_bytes(), pattern.to_ascii_lowercase().as_bytes());
            let excluded = patterns.iter().filter_map(|pattern| pattern.strip_prefix('!')).any(matching);
            !excluded && patterns.iter().any(|pattern| matching(pattern))
        }
        HostPatterns::HashedName { salt, hash } => {
            // known_hosts(5): HMAC-SHA1, so that the file does not tell where somebody signs in.
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
            hmac::verify(&key, name.as_bytes(), hash).is_ok()
        }
    }
}

/// `*` and `?`, as ssh_config(5) has them.
fn is_like(name: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut in_pattern, mut star) = (0, 0, None);
    while at < name.len() {
        match pattern.get(in_pattern) {
            Some(b'*') => {
                star = Some((at, in_pattern));
                in_pattern += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[at] => (at, in_pattern) = (at + 1, in_pattern + 1),
            _ => match star {
                // The last star takes one more.
                Some((from, back)) => {
                    star = Some((from + 1, back));
                    (at, in_pattern) = (from + 1, back + 1);
                }
                None => return false,
            },
        }
    }
    pattern[in_pattern..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests;
