//! What a COPY takes: its sources resolved to files, and a digest over them that knows no times.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

use crate::rooted::{Root, beneath, clean, names, open_file, reopen, stat};
use crate::{Error, pattern};

/// Whether a path of the context is kept out by `.dockerignore`.
pub type Excludes<'a> = dyn Fn(&Path, bool) -> bool + Sync + 'a;

/// Where a selection reads.
pub(crate) struct Origin<'a> {
    pub(crate) root: &'a Root,
    /// For messages.
    pub(crate) place: &'static str,
    /// None keeps everything.
    pub(crate) excludes: Option<&'a Excludes<'a>>,
}

/// One source after patterns and links: a file, or a folder whose content is taken.
#[derive(Debug)]
pub(crate) struct Selected {
    /// Its last name as written or matched.
    pub(crate) name: OsString,
    pub(crate) is_folder: bool,
    /// From an address: kept as it is, with a time of its own.
    pub(crate) is_fetched: bool,
    /// Of the file or folder, opened with `O_PATH`.
    pub(crate) fd: OwnedFd,
    /// Sorted, folders before what they hold. The folder itself is not among them; a file's only
    /// entry has an empty path.
    pub(crate) entries: Vec<Entry>,
}

/// A file system entry below a [`Selected`].
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) kind: FileType,
    pub(crate) stat: Stat,
}

impl Selected {
    /// A file by itself.
    pub(crate) fn of_file(name: &str, fd: OwnedFd) -> Result<Self, Errno> {
        let stat = rustix::fs::fstat(&fd)?;
        let entry = Entry { path: PathBuf::new(), kind: FileType::from_raw_mode(stat.st_mode), stat };
        Ok(Self { name: name.into(), is_folder: false, is_fetched: true, fd, entries: vec![entry] })
    }

    /// Opens an entry's content or folder for reading.
    pub(crate) fn open(&self, entry: &Entry) -> Result<OwnedFd, Errno> {
        if entry.path.as_os_str().is_empty() {
            return reopen(&self.fd, OFlags::RDONLY | OFlags::NONBLOCK);
        }
        beneath(&self.fd, &entry.path, OFlags::RDONLY | OFlags::NONBLOCK)
    }

    /// A link's target.
    pub(crate) fn link(&self, entry: &Entry) -> Result<OsString, Errno> {
        use std::os::unix::ffi::OsStringExt;
        let parent = beneath(&self.fd, entry.path.parent().unwrap_or(Path::new("")), OFlags::PATH)?;
        let name = entry.path.file_name().unwrap_or_default();
        Ok(OsString::from_vec(rustix::fs::readlinkat(parent, name, Vec::new())?.into_bytes()))
    }
}

/// Resolves all sources of one COPY, in their order; what a pattern matches is sorted.
///
/// # Errors
/// A source without a pattern is missing or excluded; a pattern is malformed; reading fails.
pub(crate) fn select(origin: &Origin<'_>, sources: &[String]) -> Result<Vec<Selected>, Error> {
    let mut selected = Vec::new();
    for source in sources {
        let path = clean(Path::new(source));
        if pattern::is_pattern(source) {
            for found in expand(origin, &path)? {
                selected.extend(resolve(origin, &found)?);
            }
        } else {
            let found = resolve(origin, &path)?;
            selected.push(found.ok_or_else(|| missing(origin, source, &path))?);
        }
    }
    Ok(selected)
}

/// Every path that matches, component by component: `*` never crosses a `/`.
fn expand(origin: &Origin<'_>, pattern: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let component = component.as_os_str().to_string_lossy().into_owned();
        let mut next = Vec::new();
        for folder in found {
            let Ok(fd) = origin.root.folder(&folder) else { continue };
            for name in names(&fd).map_err(Error::errno("Reading", &folder))? {
                if pattern::matches(&component, name.as_bytes())? {
                    next.push(folder.join(name));
                }
            }
        }
        found = next;
    }
    Ok(found)
}

/// None where nothing is, or nothing that is not excluded.
fn resolve(origin: &Origin<'_>, path: &Path) -> Result<Option<Selected>, Error> {
    let fd = match origin.root.open_at(path, OFlags::PATH) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(errno) => return Err(Error::errno("Opening", path)(errno)),
    };
    let stat = rustix::fs::fstat(&fd).map_err(Error::errno("Looking at", path))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let is_folder = kind == FileType::Directory;
    let is_root = path.as_os_str().is_empty();
    let excluded = !is_root && origin.excludes.is_some_and(|excludes| excludes(path, is_folder));
    let mut entries = Vec::new();
    if is_folder {
        walk(origin, &fd, path, Path::new(""), &mut entries)?;
        if excluded && entries.is_empty() {
            return Ok(None);
        }
    } else if excluded {
        return Ok(None);
    } else {
        entries.push(Entry { path: PathBuf::new(), kind, stat });
    }
    let name = path.file_name().unwrap_or_default().to_owned();
    Ok(Some(Selected { name, is_folder, is_fetched: false, fd, entries }))
}

/// An excluded folder is walked too, for a later `!` may take something below it back; it is kept
/// only if something was.
fn walk(
    origin: &Origin<'_>,
    folder: &OwnedFd,
    context_path: &Path,
    path: &Path,
    entries: &mut Vec<Entry>,
) -> Result<(), Error> {
    for name in names(folder).map_err(Error::errno("Reading", context_path))? {
        let (context_path, path) = (context_path.join(&name), path.join(&name));
        let stat = stat(folder, &name).map_err(Error::errno("Looking at", &context_path))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_folder = kind == FileType::Directory;
        let excluded = origin.excludes.is_some_and(|excludes| excludes(&context_path, is_folder));
        if !is_folder {
            if !excluded {
                entries.push(Entry { path, kind, stat });
            }
            continue;
        }
        let before = entries.len();
        entries.push(Entry { path: path.clone(), kind, stat });
        let below = beneath(folder, Path::new(&name), OFlags::PATH | OFlags::DIRECTORY)
            .map_err(Error::errno("Opening", &context_path))?;
        walk(origin, &below, &context_path, &path, entries)?;
        if excluded && entries.len() == before + 1 {
            entries.truncate(before);
        }
    }
    Ok(())
}

fn missing(origin: &Origin<'_>, source: &str, path: &Path) -> Error {
    let exists = origin.root.open_at(path, OFlags::PATH).is_ok();
    let hint = if exists && origin.excludes.is_some() {
        "It is there, but `.dockerignore` keeps it out of the context.".to_owned()
    } else if is_link(origin.root, path) {
        "It is a link. Links are followed within those files only, and there is nothing where it leads."
            .to_owned()
    } else {
        near(origin.root, path)
    };
    Error::SourceNotFound { path: source.to_owned(), place: origin.place, hint }
}

fn is_link(root: &Root, path: &Path) -> bool {
    let Ok(folder) = root.folder(path.parent().unwrap_or(Path::new(""))) else { return false };
    let stat = stat(&folder, path.file_name().unwrap_or_default());
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// The first folder on the way that exists, and the names in it most like the one that is missing.
fn near(root: &Root, path: &Path) -> String {
    for folder in path.ancestors().skip(1) {
        let Ok(fd) = root.folder(folder) else { continue };
        let Ok(names) = names(&fd) else { continue };
        let missing = path.strip_prefix(folder).ok().and_then(|rest| rest.components().next());
        let wanted = missing.map_or(OsStr::new(""), |c| c.as_os_str()).to_string_lossy().to_lowercase();
        let mut names: Vec<String> = names.iter().map(|n| n.to_string_lossy().into_owned()).collect();
        names.sort_by_key(|name| distance(&wanted, &name.to_lowercase()));
        names.truncate(5);
        let folder =
            if folder.as_os_str().is_empty() { "The root".into() } else { folder.display().to_string() };
        return if names.is_empty() {
            format!("{folder} is empty.")
        } else {
            format!("{folder} holds, among others: {}.", names.join(", "))
        };
    }
    String::new()
}

/// Levenshtein's, on characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(200).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(200).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let change = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// A regular file below a selection, open for reading.
pub(crate) fn content(selected: &Selected, entry: &Entry) -> Result<std::fs::File, Errno> {
    if entry.path.as_os_str().is_empty() {
        return open_file(selected.fd.as_fd());
    }
    Ok(std::fs::File::from(selected.open(entry)?))
}
