//! Single files out of a source tree: the Dockerfile and its ignore file. Links are followed within
//! the tree only.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use model::{Failure, SourceTree};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::beneath::Folder;
use crate::error::Error;
use crate::near::{did_you_mean, near};

/// Largest Dockerfile or ignore file, in bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads the Dockerfile at `path`, relative to the context.
///
/// # Errors
/// `dockerfile_not_found` (with names that are near), `dockerfile_invalid` (a folder, larger than
/// [`MAX_FILE_BYTES`], not UTF-8), `source_disk`.
pub fn read_file(tree: &SourceTree, path: &str) -> Result<String, Failure> {
    read_dockerfile(&tree.root, path).map_err(Error::into_failure)
}

fn read_dockerfile(root: &Path, path: &str) -> Result<String, Error> {
    let invalid = |why: &str| Error::DockerfileInvalid { path: path.to_owned(), why: why.to_owned() };
    match read_text(root, path) {
        Ok(text) => Ok(text),
        Err(Unread::Missing) => Err(missing(root, path, String::new())),
        Err(Unread::Outside) => Err(missing(root, path, ": the link leads out of the source".to_owned())),
        Err(Unread::NotAFile) => Err(invalid("it is not a regular file")),
        Err(Unread::TooLarge) => Err(invalid("it is larger than 1 MiB")),
        Err(Unread::NotText) => Err(invalid("it is not UTF-8")),
        Err(Unread::Disk(error)) => Err(Error::Disk { path: root.join(path), error }),
    }
}

/// Why a file was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    Missing,
    Outside,
    NotAFile,
    TooLarge,
    NotText,
    Disk(io::Error),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Self::Missing,
            Some(Errno::XDEV | Errno::LOOP) => Self::Outside,
            _ => Self::Disk(error),
        }
    }
}

/// A regular file's text, without following a link out of `root`.
pub(crate) fn read_text(root: &Path, path: &str) -> Result<String, Unread> {
    if path.contains('\0') {
        return Err(Unread::Missing);
    }
    // NONBLOCK: a named pipe must not hold the run.
    let file = Folder::open(root)?.look_up(Path::new(path), OFlags::RDONLY | OFlags::NONBLOCK)?;
    let file = File::from(file);
    if !file.metadata()?.is_file() {
        return Err(Unread::NotAFile);
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Unread::TooLarge);
    }
    String::from_utf8(bytes).map_err(|_| Unread::NotText)
}

fn missing(root: &Path, path: &str, why: String) -> Error {
    let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
    let names = names_in(root, folder);
    let likely = |n: &&str| n.to_lowercase().contains("dockerfile") || *n == "Containerfile";
    let mut found = near(name, names.iter().map(String::as_str));
    found.extend(names.iter().map(String::as_str).filter(likely).filter(|n| *n != name));
    let mut unique: Vec<&str> = Vec::new();
    for name in found.into_iter().take(6) {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique.truncate(3);
    let hint = did_you_mean(&unique, "Name the Dockerfile by its path from the context's root.");
    Error::DockerfileNotFound { path: path.to_owned(), why, hint }
}

/// What a folder within the tree holds, sorted; nothing where it can't be read.
fn names_in(root: &Path, folder: &str) -> Vec<String> {
    let folder = if folder.is_empty() { "." } else { folder };
    let opened = Folder::open(root).and_then(|root| root.descend(Path::new(folder)));
    let Ok(entries) = opened.and_then(|folder| folder.names()) else { return Vec::new() };
    entries
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn tree(files: &[(&str, &[u8])]) -> (tempfile::TempDir, SourceTree) {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let tree = SourceTree { root: folder.path().to_owned(), revision: None };
        (folder, tree)
    }

    #[test]
    fn a_missing_dockerfile_is_answered_with_what_is_there() {
        let (_folder, tree) = tree(&[("docker/app.Dockerfile", b""), ("Dockerfle", b"")]);
        let failure = read_file(&tree, "Dockerfile").unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.blame), ("dockerfile_not_found", model::Blame::User));
        assert_eq!(failure.hint, "Did you mean `Dockerfle`?");
        let failure = read_file(&tree, "docker/Dockerfile").unwrap_err();
        assert_eq!(failure.hint, "Did you mean `app.Dockerfile`?");
    }

    #[test]
    fn a_link_is_followed_within_the_tree_and_not_out_of_it() {
        let (folder, tree) = tree(&[("real", b"FROM scratch")]);
        std::os::unix::fs::symlink("real", folder.path().join("inside")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("absolute")).unwrap();
        std::os::unix::fs::symlink("../../etc/hostname", folder.path().join("climbing")).unwrap();
        assert_eq!(read_file(&tree, "inside").unwrap(), "FROM scratch");
        for path in ["absolute", "climbing", "../etc/hostname", "/etc/hostname"] {
            assert_eq!(read_file(&tree, path).unwrap_err().kind, "dockerfile_not_found", "{path}");
        }
    }

    #[test]
    fn refuses_folders_pipes_other_encodings_and_giants() {
        let giant = vec![b'#'; 1 + usize::try_from(MAX_FILE_BYTES).unwrap()];
        let (folder, tree) = tree(&[("latin1", b"# caf\xe9"), ("giant", &giant), ("folder/x", b"")]);
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("pipe"), 0o600.into()).unwrap();
        for path in ["latin1", "giant", "folder", "pipe"] {
            assert_eq!(read_file(&tree, path).unwrap_err().kind, "dockerfile_invalid", "{path}");
        }
    }
}
