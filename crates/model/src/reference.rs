//! Image references (distribution specification; the grammar of `distribution/reference`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// `registry/repository[:tag][@digest]`, with every default written out: `debian` is
/// `docker.io/library/debian:latest`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageReference {
    /// `host[:port]`.
    pub registry: String,
    /// Path components joined by `/`.
    pub repository: String,
    /// Absent only where a digest is given.
    pub tag: Option<String>,
    /// Pins the manifest.
    pub digest: Option<Digest>,
}

/// Text that is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image reference: {reason}")]
pub struct InvalidReference {
    /// What was read, cut to 200 characters.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl ImageReference {
    /// Reads a push target: `repository[:tag]` below a registry that is known already, so no digest is allowed, and
    /// no host: every other tool would read it as one. Answers repository and tag.
    ///
    /// # Errors
    /// A name, tag or digest that the distribution specification does not allow there.
    pub fn parse_target(text: &str) -> Result<(String, String), InvalidReference> {
        let refuse = |reason| Err(InvalidReference { text: text.chars().take(200).collect(), reason });
        if text.contains('@') {
            return refuse("a push target can't carry a digest");
        }
        if text.split_once('/').is_some_and(|(first, _)| is_host(first)) {
            return refuse("its first part is a registry's address, and not that of the run's registry");
        }
        let (repository, tag) = split_tag(text);
        if !is_repository(repository) {
            return refuse("a repository is lower-case letters, digits and `._-`, in parts joined by `/`");
        }
        let tag = tag.unwrap_or("latest");
        if !is_tag(tag) {
            return refuse("a tag is at most 128 letters, digits and `._-`, not beginning with `.` or `-`");
        }
        Ok((repository.to_owned(), tag.to_owned()))
    }

    /// A push target without the address of its own registry, which may stand before it: as such, or as
    /// `{{.Run.Registry}}`.
    #[must_use]
    pub fn without_registry<'a>(target: &'a str, address: &str) -> &'a str {
        let Some((first, rest)) = target.split_once('/') else { return target };
        let field = first.strip_prefix("{{").and_then(|first| first.strip_suffix("}}"));
        let is_own =
            first.eq_ignore_ascii_case(address) || field.is_some_and(|f| f.trim() == ".Run.Registry");
        if is_own { rest } else { target }
    }

    /// What a registry is asked for: the digest where there is one, else the tag.
    #[must_use]
    pub fn manifest_name(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }
}

/// The tag is what follows the last `:` behind the last `/`.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}

fn is_host(part: &str) -> bool {
    part.contains('.') || part.contains(':') || part == "localhost"
}

fn is_repository(text: &str) -> bool {
    let component = |c: &str| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let bytes = c.as_bytes();
        bytes.iter().all(|b| allowed(*b)) && edge(bytes.first()) && edge(bytes.last()) && !c.contains("..")
    };
    text.len() <= 255 && text.split('/').all(component)
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_address(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "0"));
    let letter = |b: u8| b.is_ascii_alphanumeric() || b".-[]:".contains(&b);
    !host.is_empty() && !host.starts_with('-') && host.bytes().all(letter) && port.parse::<u16>().is_ok()
}

impl FromStr for ImageReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| Err(InvalidReference { text: text.chars().take(200).collect(), reason });
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => match digest.parse() {
                Ok(digest) => (name, Some(digest)),
                Err(_) => return refuse("what follows `@` is not a sha256 digest"),
            },
            None => (text, None),
        };
        let (registry, rest) = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => (first, rest),
            _ => ("docker.io", name),
        };
        if !is_address(registry) {
            return refuse("its registry is not `host` or `host:port`");
        }
        let (repository, tag) = split_tag(rest);
        if !is_repository(repository) {
            return refuse(
                "its repository may hold only lower-case letters, digits and `._-`, in parts joined by `/`",
            );
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return refuse("its tag may hold at most 128 letters, digits and `._-`");
        }
        let library = registry == "docker.io" && !repository.contains('/');
        let repository = if library { format!("library/{repository}") } else { repository.to_owned() };
        let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| "latest".to_owned()));
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for ImageReference {
    type Error = InvalidReference;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ImageReference> for String {
    fn from(reference: ImageReference) -> Self {
        reference.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_every_default_out() {
        for (short, long) in [
            ("debian", "docker.io/library/debian:latest"),
            ("me/app:1", "docker.io/me/app:1"),
            ("localhost/app", "localhost/app:latest"),
            ("127.0.0.1:5000/base/debian:12", "127.0.0.1:5000/base/debian:12"),
        ] {
            assert_eq!(short.parse::<ImageReference>().map(|r| r.to_string()), Ok(long.to_owned()));
        }
        let pinned = format!("debian@sha256:{}", "a".repeat(64));
        assert_eq!(pinned.parse::<ImageReference>().map(|r| r.tag), Ok(None));
    }

    #[test]
    fn the_own_registry_before_a_target_is_left_out() {
        let without = |target| ImageReference::without_registry(target, "Team.azurecr.io");
        for own in ["team.azurecr.io/a/b:1", "{{.Run.Registry}}/a/b:1", "{{ .Run.Registry }}/a/b:1", "a/b:1"]
        {
            assert_eq!(without(own), "a/b:1");
        }
        for other in
            ["other.azurecr.io/a:1", "team.azurecr.io", "{{.Run.RegistryName}}/a", "a:team.azurecr.io"]
        {
            assert_eq!(without(other), other);
        }
    }

    #[test]
    fn refuses_what_the_specification_refuses() {
        for bad in ["", "Debian", "a//b", "-x/y", "a:", "a:-t", "host.example/../b", "a@sha256:12", "a b"] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad}");
        }
        for host in ["localhost:5000/app:1", "localhost/app", "other.example/team/app:1"] {
            let error = ImageReference::parse_target(host).expect_err(host);
            assert!(error.reason.contains("registry's address"), "{error}");
        }
        assert_eq!(ImageReference::parse_target("team/app"), Ok(("team/app".into(), "latest".into())));
    }
}
