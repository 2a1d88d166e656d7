//! What of a context a build may not see: `.dockerignore` as `docker build` reads it. Patterns are
//! tried in order, the last match wins, `!` takes back in, and what a folder matches holds for all
//! that lies in it.

use std::path::Path;

use model::{Failure, Location};

use crate::error::Error;
use crate::file::{Unread, read_text};
use crate::pattern::Pattern;

/// The patterns of one ignore file; none at all where there is no file.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    takes_back: bool,
    pattern: Pattern,
}

impl Ignore {
    /// Reads `<dockerfile_path>.dockerignore`, or else `.dockerignore` at the context's root.
    ///
    /// # Errors
    /// `dockerignore_invalid`: not UTF-8, larger than a mebibyte, a link that leads out of the
    /// context, or a pattern that is none, with its line. `source_disk`.
    pub fn read(context_root: &Path, dockerfile_path: &str) -> Result<Self, Failure> {
        for path in [&format!("{dockerfile_path}.dockerignore"), ".dockerignore"] {
            match read_text(context_root, path) {
                Ok(text) => return Self::parse(path, &text),
                Err(Unread::Missing) => {}
                Err(unread) => return Err(not_read(context_root, path, unread).into_failure()),
            }
        }
        Ok(Self::default())
    }

    /// Reads the text of an ignore file; `name` is for messages only.
    ///
    /// # Errors
    /// `dockerignore_invalid`, with the line.
    pub fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let rule = Rule::parse(line).map_err(|why| {
                let text = line.to_owned();
                let location = Location { file: name.to_owned(), line: number, text, column: 0, width: 0 };
                let (path, why, location) = (name.to_owned(), why.to_owned(), Some(Box::new(location)));
                Error::IgnoreInvalid { path, why, location }.into_failure()
            });
            rules.extend(rule?);
        }
        Ok(Self { rules })
    }

    /// Whether the file or folder at `path` (relative to the context, parts joined by `/`) is left
    /// out. An excluded folder may still hold what a later `!` takes back: see
    /// [`Ignore::excludes_all_below`].
    ///
    /// This is `MatchesUsingParentResults` of `moby/patternmatcher`, asked from the root down, as
    /// BuildKit's walk does. Patterns mean files and folders alike.
    #[must_use]
    pub fn excludes(&self, path: &Path, _is_folder: bool) -> bool {
        let path = path.to_string_lossy();
        let mut matched = vec![false; self.rules.len()];
        let mut excluded = false;
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            excluded = self.excludes_in(&path[..end], &mut matched);
        }
        excluded
    }

    /// Whether the folder at `path` is left out with everything below it, so that it need not be
    /// walked.
    #[must_use]
    pub fn excludes_all_below(&self, path: &Path) -> bool {
        let name = path.to_string_lossy();
        let mut back = self.rules.iter().filter(|rule| rule.takes_back);
        self.excludes(path, true) && !back.any(|rule| rule.pattern.may_match_below(&name))
    }

    /// Whether there is nothing to leave out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// `matched` tells for each rule whether it matched the folder above; it is brought up to date.
    fn excludes_in(&self, path: &str, matched: &mut [bool]) -> bool {
        let mut excluded = false;
        for (rule, matched) in self.rules.iter().zip(matched) {
            // A rule that could change nothing is not tried, and counts as no match below either.
            if !*matched {
                *matched = rule.takes_back == excluded && rule.pattern.matches(path);
            }
            if *matched {
                excluded = !rule.takes_back;
            }
        }
        excluded
    }
}

impl Rule {
    /// As `ignorefile.ReadAll` and then `patternmatcher.New` do. None for a comment or a blank line.
    fn parse(line: &str) -> Result<Option<Self>, &'static str> {
        if line.starts_with('#') {
            return Ok(None);
        }
        let line = line.trim();
        let (takes_back, pattern) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        if pattern.is_empty() {
            return if takes_back { Err("`!` stands alone") } else { Ok(None) };
        }
        let cleaned = clean(pattern);
        let relative = if cleaned.len() > 1 { cleaned.trim_start_matches('/') } else { &cleaned };
        Ok(Some(Self { takes_back, pattern: Pattern::compile(relative)? }))
    }
}

/// Go's `filepath.Clean`.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

fn not_read(root: &Path, path: &str, unread: Unread) -> Error {
    let why = match unread {
        Unread::Disk(error) => return Error::Disk { path: root.join(path), error },
        Unread::Missing => "it is missing",
        Unread::Outside => "it leads out of the context",
        Unread::NotAFile => "it is not a regular file",
        Unread::TooLarge => "it is larger than 1 MiB",
        Unread::NotText => "it is not UTF-8",
    };
    Error::IgnoreInvalid { path: path.to_owned(), why: why.to_owned(), location: None }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn excluded(text: &str, path: &str) -> bool {
        Ignore::parse(".dockerignore", text).unwrap().excludes(Path::new(path), false)
    }

    /// Rows of moby/patternmatcher's own test table and of Docker's documentation: pattern lines,
    /// path, whether it is left out.
    const TABLE: &[(&str, &str, bool)] = &[
        ("**", "file", true),
        ("**", "dir/file", true),
        ("**/", "dir/file", true),
        ("**/**", "dir/file", true),
        ("dir/**", "dir/file", true),
        ("dir/**", "dir/dir2/file", true),
        ("dir/**", "dir", false),
        ("**/dir", "dir", true),
        ("**/dir", "dir/file", true),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/*", "dir/dir2/dir2/file", true),
        ("**file", "file", true),
        ("**file", "dir/file", true),
        ("**/file", "dir/dir/file", true),
        ("**/file*", "dir/dir/file.txt", true),
        ("**/file*txt", "dir/dir/file.txt", true),
        ("**/file*.txt", "dir/dir/file.txt", true),
        ("**/file*.txt*", "dir/dir/file.txt", true),
        ("**/**/*.txt", "dir/dir/file.txt", true),
        ("**/**/*.txt2", "dir/dir/file.txt", false),
        ("**/*.txt", "file.txt", true),
        ("a**/*.txt", "a/file.txt", true),
        ("a**/*.txt", "a/dir/file.txt", true),
        ("a/*.txt", "a/dir/file.txt", false),
        ("a/*.txt", "a/file.txt", true),
        ("a/*.txt**", "a/file.txt", true),
        ("a[b-d]e", "ae", false),
        ("a[b-d]e", "ace", true),
        ("a[b-d]e", "aae", false),
        ("a[^b-d]e", "aze", true),
        (".*", ".foo", true),
        (".*", "foo", false),
        ("abc.def", "abcdef", false),
        ("abc.def", "abc.def", true),
        ("abc.def", "abcZdef", false),
        ("abc?def", "abcZdef", true),
        ("abc?def", "abcdef", false),
        ("a\\*b", "a*b", true),
        ("a\\*b", "axb", false),
        ("**/foo/bar", "foo/bar", true),
        ("**/foo/bar", "dir/foo/bar", true),
        ("**/foo/bar", "dir/dir2/foo/bar", true),
        ("abc/**", "abc", false),
        ("abc/**", "abc/def", true),
        ("abc/**", "abc/def/ghi", true),
        ("**/.foo", ".foo", true),
        ("**/.foo", "bar.foo", false),
        ("./bar.*", "bar.go", true),
        ("/bar", "bar", true),
        ("bar/", "bar/x", true),
        ("*/temp*", "somedir/temporary.txt", true),
        ("*/temp*", "somedir/sub/temporary.txt", false),
        ("*/*/temp*", "somedir/subdir/temporary.txt", true),
        ("temp?", "tempa", true),
        ("temp?", "temp", false),
        ("*.md\n!README.md", "README.md", false),
        ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
        ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", false),
        ("# comment\n #file", "comment", false),
        ("# comment\n #file", "#file", true),
        ("\u{feff}one", "one", true),
        ("*\n! src ", "src/main.rs", false),
        ("*\n!src", "other", true),
        ("docs\n!docs/README.md", "docs/README.md", false),
        ("docs\n!docs/README.md", "docs/other.md", true),
        ("docs/a/../b", "docs/b", true),
        (".", "anything", false),
        ("util/docker/web\n!util/docker/web/foo", "util/docker/web/foo", false),
        ("日本語\n*.fr", "日本語", true),
    ];

    #[test]
    fn matches_as_moby_does() {
        for (patterns, path, expected) in TABLE {
            assert_eq!(excluded(patterns, path), *expected, "{patterns:?} on {path}");
        }
    }

    #[test]
    fn a_pattern_that_is_none_is_shown_with_its_line() {
        for (text, line) in [("ok\n[a", 2), ("[]a]", 1), ("a\\", 1), ("x\n\n!", 3), ("[x-]", 1), ("[-x]", 1)]
        {
            let failure = Ignore::parse("a.dockerignore", text).unwrap_err();
            assert_eq!(failure.kind, "dockerignore_invalid");
            let location = failure.location.unwrap();
            assert_eq!((location.file.as_str(), location.line), ("a.dockerignore", line), "{text}");
        }
    }

    #[test]
    fn a_folder_is_walked_only_where_something_may_be_taken_back() {
        let below =
            |text: &str, path: &str| Ignore::parse("", text).unwrap().excludes_all_below(Path::new(path));
        assert!(below("node_modules", "node_modules"));
        assert!(below("*\n!src/lib", "docs"));
        assert!(!below("*\n!src/lib", "src"));
        assert!(!below("*\n!src", "src"));
        assert!(!below("*\n!**/keep", "docs"));
        assert!(!below("docs/*\n!docs/*.md", "docs"));
    }

    #[test]
    fn the_dockerfiles_own_ignore_file_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let none = Ignore::read(folder.path(), "Dockerfile").unwrap();
        assert!(none.is_empty());
        std::fs::write(folder.path().join(".dockerignore"), "common").unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("sub/app.Dockerfile.dockerignore"), "own").unwrap();
        let own = Ignore::read(folder.path(), "sub/app.Dockerfile").unwrap();
        assert!(own.excludes(Path::new("own"), false) && !own.excludes(Path::new("common"), false));
        let common = Ignore::read(folder.path(), "Dockerfile").unwrap();
        assert!(common.excludes(Path::new("common"), false));
    }

    #[test]
    fn a_pattern_made_to_backtrack_takes_no_time() {
        let pattern = "*a".repeat(60);
        assert!(!excluded(&pattern, &"a".repeat(200).replace("aaaaaaaaaa", "aaaaaaaaab")));
    }
}
