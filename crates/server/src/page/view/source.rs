//! Where sources lie, as people write it; links to git hosts. Absent: links that are not of the web.

use model::GitHost;

pub(super) fn is_commit(name: &str) -> bool {
    matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An address that may be a link: nothing but http and https.
pub(super) fn openable(url: &str) -> Option<&str> {
    Some(url).filter(|url| url.starts_with("https://") || url.starts_with("http://"))
}

/// `example.com/team/app`
pub(super) fn short_repository(url: &str) -> &str {
    let bare = url.split_once("://").map_or(url, |(_, rest)| rest);
    bare.strip_suffix(".git").unwrap_or(bare)
}

pub(super) fn commit_address(url: &str, host: Option<GitHost>, commit: &str) -> Option<String> {
    let bare = openable(url)?.trim_end_matches('/');
    let bare = bare.strip_suffix(".git").unwrap_or(bare);
    let host = host.or_else(|| match bare {
        _ if bare.starts_with("https://github.com/") => Some(GitHost::Github),
        _ if bare.starts_with("https://gitlab.com/") => Some(GitHost::Gitlab),
        _ if bare.starts_with("https://codeberg.org/") => Some(GitHost::Gitea),
        _ => None,
    })?;
    match host {
        GitHost::Github | GitHost::Gitea | GitHost::AzureDevops => Some(format!("{bare}/commit/{commit}")),
        GitHost::Gitlab => Some(format!("{bare}/-/commit/{commit}")),
        GitHost::Standard => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_web_become_links() {
        let commit = "3f786850e387550fdab836ed7e6dc881de23001b";
        let github = commit_address("https://github.com/team/app.git", None, commit);
        assert_eq!(github, Some(format!("https://github.com/team/app/commit/{commit}")));
        let gitlab = commit_address("http://git.example:8080/team/app", Some(GitHost::Gitlab), commit);
        assert_eq!(gitlab, Some(format!("http://git.example:8080/team/app/-/commit/{commit}")));
        assert_eq!(commit_address("ssh://git@github.com/team/app", Some(GitHost::Github), commit), None);
        assert_eq!(openable("javascript:alert(1)//https://"), None);
    }
}
