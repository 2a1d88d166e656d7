//! A bare repository that a test fills: commits, branches, tags, and trees no client would make.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};

use tempfile::TempDir;

/// When the first commit of a repository was made; each next one is a minute younger.
const FIRST_COMMIT_AT: i64 = 1_700_000_000;

/// A file, executable or link of a commit: mode, path, content (of a link: its target).
pub type Entry<'a> = (u32, &'a str, &'a [u8]);

/// A bare repository in a temporary folder; its HEAD names `main`.
#[derive(Debug)]
pub struct TestRepository {
    folder: TempDir,
    commits: AtomicI64,
}

impl Default for TestRepository {
    fn default() -> Self {
        Self::new()
    }
}

impl TestRepository {
    /// An empty repository.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let repository = Self { folder, commits: AtomicI64::new(0) };
        std::fs::create_dir(repository.path()).expect("a folder for the repository");
        repository.git(&["init", "--quiet", "--bare", "--template=", "--initial-branch=main"], b"");
        repository
    }

    /// The bare repository's folder, `repository.git`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("repository.git")
    }

    /// The folder that the repository lies in.
    #[must_use]
    pub fn project_root(&self) -> &Path {
        self.folder.path()
    }

    /// Commits files to `main`, beside those that are there. Answers the commit's id.
    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        self.commit_to("main", files)
    }

    /// As [`TestRepository::commit`], to any branch, which is made where it is missing.
    pub fn commit_to(&self, branch: &str, files: &[(&str, &str)]) -> String {
        let entries: Vec<Entry<'_>> =
            files.iter().map(|(path, content)| (0o100_644, *path, content.as_bytes())).collect();
        self.commit_entries(branch, &entries)
    }

    /// As [`TestRepository::commit_to`], with modes: `0o100644`, `0o100755`, `0o120000` (a link).
    pub fn commit_entries(&self, branch: &str, entries: &[Entry<'_>]) -> String {
        let mut stream = Vec::new();
        self.write_commit(&mut stream, branch, entries, self.exists(branch));
        self.import(&stream);
        self.resolve(branch)
    }

    /// Many commits to `main`, each with a new content of the file `counter`. Answers the last id.
    pub fn commit_history(&self, count: usize) -> String {
        let mut stream = Vec::new();
        for number in 0..count {
            let content = number.to_string();
            let continues = number == 0 && self.exists("main");
            self.write_commit(&mut stream, "main", &[(0o100_644, "counter", content.as_bytes())], continues);
        }
        self.import(&stream);
        self.resolve("main")
    }

    /// Commits a tree as it is, made by [`TestRepository::make_tree`], to a branch of its own.
    pub fn commit_tree(&self, branch: &str, tree: &str) -> String {
        let commit = self.git(&["commit-tree", "-m", "a tree", tree], b"");
        self.set_ref(&format!("refs/heads/{branch}"), &commit);
        commit
    }

    /// A tree of `(mode, kind, id, name)`, without the checks of a usual client: names like `..` and
    /// `.git` are taken, and the order is as given.
    pub fn make_tree(&self, entries: &[(&str, &str, &str)]) -> String {
        let mut tree = Vec::new();
        for (mode, id, name) in entries {
            tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            tree.extend(hex::decode(id).expect("an object id"));
        }
        self.git(&["hash-object", "-t", "tree", "-w", "--stdin", "--literally"], &tree)
    }

    /// A file's content as an object.
    pub fn make_blob(&self, content: &[u8]) -> String {
        self.git(&["hash-object", "-w", "--stdin"], content)
    }

    /// A branch at a commit.
    pub fn branch(&self, name: &str, commit: &str) {
        self.set_ref(&format!("refs/heads/{name}"), commit);
    }

    /// A lightweight tag.
    pub fn tag(&self, name: &str, object: &str) {
        self.set_ref(&format!("refs/tags/{name}"), object);
    }

    /// A tag that is an object of its own.
    pub fn annotated_tag(&self, name: &str, commit: &str) {
        self.git(&["tag", "--annotate", "--message", "a tag", name, commit], b"");
    }

    /// Any ref, for instance `refs/pull/1/head`.
    pub fn set_ref(&self, name: &str, object: &str) {
        self.git(&["update-ref", name, object], b"");
    }

    /// The id that a name stands for.
    pub fn resolve(&self, name: &str) -> String {
        self.git(&["rev-parse", "--verify", name], b"")
    }

    /// Runs `git` in the repository, without any configuration of this machine.
    ///
    /// # Panics
    /// If git fails.
    pub fn git(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut command = Command::new("git");
        isolate(&mut command).args(arguments).current_dir(self.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("git starts");
        child.stdin.take().expect("a pipe").write_all(input).expect("git reads its input");
        let output = child.wait_with_output().expect("git ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn exists(&self, branch: &str) -> bool {
        !self.git(&["for-each-ref", &format!("refs/heads/{branch}")], b"").is_empty()
    }

    fn import(&self, stream: &[u8]) {
        self.git(&["fast-import", "--quiet", "--force"], stream);
    }

    /// A commit in the language of git-fast-import(1).
    fn write_commit(&self, stream: &mut Vec<u8>, branch: &str, entries: &[Entry<'_>], continues: bool) {
        let time = FIRST_COMMIT_AT + 60 * self.commits.fetch_add(1, Ordering::Relaxed);
        let head = format!("commit refs/heads/{branch}\ncommitter Test <test@example.com> {time} +0000\n");
        stream.extend_from_slice(head.as_bytes());
        stream.extend_from_slice(b"data 4\ntest\n");
        if continues {
            stream.extend_from_slice(format!("from refs/heads/{branch}^0\n").as_bytes());
        }
        for (mode, path, content) in entries {
            stream.extend_from_slice(
                format!("M {mode:06o} inline {path}\ndata {}\n", content.len()).as_bytes(),
            );
            stream.extend_from_slice(content);
            stream.push(b'\n');
        }
    }
}

/// Git without the configuration of this machine or of whoever runs the tests.
pub(super) fn isolate(command: &mut Command) -> &mut Command {
    for (name, value) in [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_AUTHOR_NAME", "Test"),
        ("GIT_AUTHOR_EMAIL", "test@example.com"),
        ("GIT_AUTHOR_DATE", "1700000000 +0000"),
        ("GIT_COMMITTER_NAME", "Test"),
        ("GIT_COMMITTER_EMAIL", "test@example.com"),
        ("GIT_COMMITTER_DATE", "1700000000 +0000"),
    ] {
        command.env(name, value);
    }
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PROTOCOL"] {
        command.env_remove(name);
    }
    command
}
