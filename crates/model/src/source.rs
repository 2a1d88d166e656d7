//! Where the files of a build come from, and what was found there.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::address::check_http;
use crate::limits::{MAX_ADDRESS, MAX_PATH};
use crate::ssh::is_short;
use crate::{SourceId, SshAddress};

/// The context that was asked for. Immutable once a run exists.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum SourceSpec {
    /// A git repository over https, http or ssh.
    Git {
        /// `https://host/path`, `ssh://[user@]host[:port]/path` or `user@host:path`. Without password and
        /// fragment; a user is for ssh alone.
        url: String,
        /// Branch, tag, full commit id or `refs/…`; the remote's HEAD when absent.
        #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
        /// Folder within the repository, relative.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subdirectory: Option<String>,
    },
    /// An uploaded `tar.gz`.
    Upload {
        /// As the upload answered.
        id: SourceId,
    },
}

/// A source that is refused before anything is asked of the network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidSource {
    /// What is wrong, as a sentence.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl SourceSpec {
    /// Reads `https://host/repo.git[#ref[:subdirectory]]` as `docker build` does, and the same over ssh.
    ///
    /// # Errors
    /// Another scheme, a password in the address, a user in one of http, or a part that begins with `-`.
    pub fn parse_git(text: &str) -> Result<Self, InvalidSource> {
        let (url, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (reference, subdirectory) = fragment.split_once(':').unwrap_or((fragment, ""));
        let part = |p: &str| (!p.is_empty()).then(|| p.to_owned());
        let spec =
            Self::Git { url: url.to_owned(), reference: part(reference), subdirectory: part(subdirectory) };
        spec.validate()?;
        Ok(spec)
    }

    /// Whether a text is meant as a git address, and not as the name of a folder.
    #[must_use]
    pub fn is_address(text: &str) -> bool {
        text.contains("://") || is_short(text)
    }

    /// Where a source that is fetched over ssh lies. None for any other.
    #[must_use]
    pub fn ssh(&self) -> Option<SshAddress> {
        match self {
            Self::Git { url, .. } if !is_http(url) => SshAddress::parse(url).ok(),
            Self::Git { .. } | Self::Upload { .. } => None,
        }
    }

    /// Where a git source lies, as the same text for every way to write it: `host[:port]/path` without `.git`.
    /// None for an upload.
    #[must_use]
    pub fn repository(&self) -> Option<String> {
        match self {
            Self::Git { url, .. } => repository_of(url),
            Self::Upload { .. } => None,
        }
    }

    /// Refuses what must never reach a git host or a path.
    ///
    /// # Errors
    /// As [`SourceSpec::parse_git`].
    pub fn validate(&self) -> Result<(), InvalidSource> {
        let Self::Git { url, reference, subdirectory } = self else { return Ok(()) };
        if url.len() > MAX_ADDRESS {
            return refuse("The address is too long.".to_owned(), &format!("At most {MAX_ADDRESS} bytes."));
        }
        validate_url(url)?;
        if let Some(reference) = reference {
            validate_reference(reference)?;
        }
        if let Some(subdirectory) = subdirectory {
            validate_subdirectory(subdirectory)?;
        }
        Ok(())
    }
}

/// As [`SourceSpec::repository`], of any address that git takes: also `ssh://git@host/path` and `git@host:path`.
/// None where it is no such address.
#[must_use]
pub fn repository_of(address: &str) -> Option<String> {
    let (authority, path) = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?,
        None => address.split_once(':').filter(|(host, _)| !host.contains('/'))?,
    };
    let host = authority.rsplit('@').next()?.to_ascii_lowercase();
    // Who writes a default port means the same host as who leaves it out.
    let host = [":443", ":80", ":22"].iter().find_map(|port| host.strip_suffix(port)).unwrap_or(&host);
    let path = path.split(['#', '?']).next()?.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/');
    let (host, path) = match (host, path.split('/').collect::<Vec<_>>().as_slice()) {
        // What these two call themselves where port 22 is shut, and in addresses for ssh.
        ("ssh.github.com", _) => ("github.com", path.to_owned()),
        ("ssh.dev.azure.com", ["v3", organization, project, repository]) => {
            ("dev.azure.com", format!("{organization}/{project}/_git/{repository}"))
        }
        _ => (host, path.to_owned()),
    };
    let path = if host == "github.com" { path.to_ascii_lowercase() } else { path };
    (!host.is_empty() && !path.is_empty()).then(|| format!("{host}/{path}"))
}

/// Whether what is sent to this address passes a network in the clear.
pub(crate) fn is_read_by_others(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let loopback = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    !(loopback || host == "localhost")
}

fn refuse(message: String, hint: &str) -> Result<(), InvalidSource> {
    Err(InvalidSource { message, hint: hint.to_owned() })
}

fn is_http(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

fn validate_url(url: &str) -> Result<(), InvalidSource> {
    match url.starts_with("ssh://") || is_short(url) {
        true => SshAddress::parse(url).map(drop),
        false => check_http(url),
    }
}

/// The rules of `git check-ref-format` that matter here, and no leading `-`.
fn validate_reference(reference: &str) -> Result<(), InvalidSource> {
    let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let bad = reference.starts_with(['-', '/'])
        || reference.ends_with(['/', '.'])
        || reference.contains("..")
        || reference.contains("@{")
        || reference.contains("//")
        || reference.chars().any(forbidden)
        || reference.len() > 250;
    if bad {
        return refuse(
            format!("`{}` is not a ref that git knows.", reference.chars().take(100).collect::<String>()),
            "Write a branch, a tag, a full commit id or refs/pull/N/head.",
        );
    }
    Ok(())
}

fn validate_subdirectory(path: &str) -> Result<(), InvalidSource> {
    let climbs = path.split('/').any(|part| part == "..");
    if path.len() > MAX_PATH {
        return refuse("The subdirectory is too long.".to_owned(), &format!("At most {MAX_PATH} bytes."));
    }
    if path.starts_with(['/', '-']) || climbs || path.chars().any(char::is_control) {
        return refuse(
            format!("The subdirectory `{path}` is not a path within the repository."),
            "Write it relative to the repository's root, without `..`.",
        );
    }
    Ok(())
}

/// The commit that was checked out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GitRevision {
    /// 40 hexadecimal digits.
    pub commit: String,
    /// The committer's time, in seconds since 1970.
    pub committed_at: i64,
}

/// The context on the cell's disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceTree {
    /// Absolute folder of the context (the subdirectory already applied).
    pub root: PathBuf,
    /// What git says it is; absent for an upload.
    pub revision: Option<GitRevision>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_fragment_as_docker_does() {
        let spec = SourceSpec::parse_git("https://example.com/a/b.git#main:sub/dir");
        assert_eq!(
            spec,
            Ok(SourceSpec::Git {
                url: "https://example.com/a/b.git".into(),
                reference: Some("main".into()),
                subdirectory: Some("sub/dir".into())
            })
        );
    }

    #[test]
    fn both_ways_to_write_ssh_are_taken_with_their_fragment() {
        for address in ["ssh://git@host:2222/a/b.git#main:sub", "git@host:a/b.git#main:sub"] {
            let spec = SourceSpec::parse_git(address).expect(address);
            assert!(SourceSpec::is_address(address) && spec.ssh().is_some());
            let SourceSpec::Git { url, reference, subdirectory } = spec else { panic!("it is git") };
            assert_eq!(Some((url.as_str(), "main:sub")), address.split_once('#'));
            assert_eq!((reference.as_deref(), subdirectory.as_deref()), (Some("main"), Some("sub")));
        }
        assert_eq!(SourceSpec::parse_git("https://host/a%40b:c").map(|spec| spec.ssh()), Ok(None));
        for folder in [".", "../a:b", "/srv/me@x:y", "C:", "a@b"] {
            assert!(!SourceSpec::is_address(folder), "{folder}");
        }
    }

    #[test]
    fn one_repository_has_one_name_however_it_is_written() {
        for address in [
            "https://github.com/Team/App.git",
            "https://github.com:443/team/app/",
            "git@github.com:team/app.git",
            "ssh://git@github.com/team/app",
            "ssh://git@ssh.github.com:443/team/app",
            "https://user:x@GitHub.com/team/app.git#main",
        ] {
            assert_eq!(repository_of(address).as_deref(), Some("github.com/team/app"), "{address}");
        }
        assert_eq!(
            repository_of("http://git.example:3000/Team/App.git").as_deref(),
            Some("git.example:3000/Team/App")
        );
        assert_eq!(
            repository_of("git@ssh.dev.azure.com:v3/org/a%20project/app"),
            repository_of("https://org@dev.azure.com/org/a%20project/_git/app")
        );
        assert_eq!(repository_of("/srv/app.git"), None);
        assert_eq!(repository_of("https://host/"), None);
    }

    #[test]
    fn refuses_options_in_disguise_and_climbing_paths() {
        for bad in [
            "ssh://host",
            "ssh://git:geheim@host/a.git",
            "git@host:-x",
            "git+ssh://git@host/a.git",
            "file:///etc",
            "ext::sh -c id",
            "/etc",
            "https://-oProxyCommand/x",
            "https://host/--upload-pack=x",
            "https://u:p@host/a.git",
            "https://host/a.git#--upload-pack=touch",
            "https://host/a.git#main:../..",
            "https://host/a.git#main:/etc",
            "https://host/a.git#a..b",
            "https://host",
        ] {
            assert!(SourceSpec::parse_git(bad).is_err(), "{bad}");
        }
        for address in
            ["https://u:geheim@host/a", "git+ssh://u:geheim@host/a", "u:geheim@host:a", "ssh://u:geheim@h/a"]
        {
            let refused = SourceSpec::parse_git(address).expect_err(address);
            assert!(!format!("{refused:?}").contains("geheim"), "{refused:?}");
        }
    }
}
