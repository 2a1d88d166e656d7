//! Sources of an ADD that are not paths. In: a source as written. Out: whether it is fetched, and what the file
//! is called.

use percent_encoding::percent_decode_str;

/// A file that is fetched over http or https.
pub(crate) fn is_file(source: &str) -> bool {
    has_scheme(source, &["http://", "https://"]) && !is_git(source)
}

/// What BuildKit takes for a repository (dfgitutil, `ParseGitRef`).
pub(crate) fn is_git(source: &str) -> bool {
    has_scheme(source, &["git://", "ssh://", "git@"])
        || (has_scheme(source, &["http://", "https://"]) && path(source).ends_with(".git"))
}

/// Whether a user or password is written in it.
pub(crate) fn has_credential(source: &str) -> bool {
    source.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
        authority.contains('@')
    })
}

/// The last name of the address' path, decoded; none where it has no name that a file could have.
pub(crate) fn file_name(source: &str) -> Option<String> {
    let path = percent_decode_str(path(source)).decode_utf8().ok()?;
    let name = path.trim_end_matches('/').rsplit('/').next()?;
    let fits = !matches!(name, "" | "." | "..") && !name.contains('\0') && name.len() <= 255;
    fits.then(|| name.to_owned())
}

/// Between the host and the query.
fn path(source: &str) -> &str {
    let rest = source.split_once("://").map_or(source, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    rest.find('/').map_or("", |at| &rest[at..])
}

fn has_scheme(source: &str, schemes: &[&str]) -> bool {
    schemes
        .iter()
        .any(|scheme| source.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_repositories_are_told_apart() {
        for source in [
            "http://a/b",
            "HTTPS://a/b.tar.gz",
            "https://a",
            "https://a/b.git/archive.zip",
            "http://a/x?y=.git",
        ] {
            assert!(is_file(source) && !is_git(source), "{source}");
        }
        for source in [
            "git://a/b",
            "ssh://a/b",
            "git@a:b",
            "https://a/b.git",
            "https://a/b.git#main:sub",
            "http://a/b.git?ref=x",
        ] {
            assert!(is_git(source) && !is_file(source), "{source}");
        }
        for source in ["a/b", "httpx", "/http://a/b", "ftp://a/b", "é"] {
            assert!(!is_git(source) && !is_file(source), "{source}");
        }
        assert!(has_credential("https://u:p@a/b") && has_credential("https://u@a"));
        assert!(!has_credential("https://a/b@c") && !has_credential("https://a?b@c"));
    }

    #[test]
    fn a_files_name_is_the_last_of_its_path_and_never_leads_elsewhere() {
        let name = |source| file_name(source).unwrap_or_default();
        assert_eq!(name("https://a/b/c.txt?x=/d#e/f"), "c.txt");
        assert_eq!(name("https://a/b/c%20d.txt"), "c d.txt");
        assert_eq!(name("https://a/b/"), "b");
        assert_eq!(name("https://a/%2e%2e%2fetc%2fpasswd"), "passwd");
        for nameless in [
            "https://a",
            "https://a/",
            "https://a/..",
            "https://a/%2e%2e",
            "https://a/.",
            "https://a/x%00y",
            "https://a?b/c",
        ] {
            assert_eq!(name(nameless), "", "{nameless}");
        }
    }
}
