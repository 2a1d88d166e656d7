//! The recipe: ask for the refs, choose, fetch as little as possible, check out, forget the
//! repository.

use std::path::Path;

use git2::{AutotagOption, Direction, FetchOptions, Oid, Remote, Repository, RepositoryInitOptions};
use model::{Failure, GitRevision, SourceTree};
use port::Outside;

use super::advertised::ById;
use super::checkout::{CheckedOut, check_out};
use super::subdirectory::subdirectory_of;
use super::transport::{Line, with_line};
use super::wanted::{Advertised, Wanted, choose, tip};
use crate::LIMITS;
use crate::error::Error;
use crate::measure::Measure;

/// How deep branches are fetched for a commit that the server refuses to serve by its id, before
/// they and the tags are fetched whole.
const DEPTHS: [i32; 2] = [50, 500];

/// libgit2's word for no depth.
const WHOLE: i32 = 0;

/// Fetches the run's declared repository at `reference` (branch, tag, full commit id or `refs/…`;
/// HEAD when absent) into the folder `dest`, which is made where it is missing and must be empty.
/// Executable bits and links are kept, every time is the commit's; submodules stay empty folders.
///
/// # Errors
/// `ref_not_found`, `commit_not_found`, `repository_empty`, `repository_unsafe`,
/// `subdirectory_not_found`, `source_too_large`, `git_protocol`, `disk_full`, `source_disk`, and
/// whatever the port answers.
pub fn fetch_git(
    outside: &dyn Outside,
    reference: Option<&str>,
    subdirectory: Option<&str>,
    dest: &Path,
) -> Result<SourceTree, Failure> {
    let fetched = with_line(outside, |line| fetch(&line, reference, subdirectory, dest));
    let (tree, submodules) = fetched.map_err(Error::into_failure)?;
    for path in submodules {
        outside.log(&format!("The submodule `{path}` is left out.\n"));
    }
    Ok(tree)
}

fn fetch(
    line: &Line,
    reference: Option<&str>,
    subdirectory: Option<&str>,
    dest: &Path,
) -> Result<(SourceTree, Vec<String>), Error> {
    let (git_folder, tree_folder) = (dest.join("git"), dest.join("tree"));
    std::fs::create_dir_all(&tree_folder).map_err(Error::disk(&tree_folder))?;
    let (repository, id) = fetch_commit(line, reference, &git_folder)?;
    let commit = repository.find_commit(id).map_err(git)?;
    let committed_at = commit.committer().when().seconds();
    let tree = commit.tree().map_err(git)?;
    let CheckedOut { submodules } =
        check_out(&repository, &tree, &tree_folder, committed_at, Measure::of(LIMITS))?;
    std::fs::remove_dir_all(&git_folder).map_err(Error::disk(&git_folder))?;
    let root = subdirectory_of(&tree_folder, subdirectory)?;
    let revision = GitRevision { commit: id.to_string(), committed_at };
    Ok((SourceTree { root, revision: Some(revision) }, submodules))
}

/// The outcome of the first, shallow fetch.
enum FirstFetch {
    Here(Oid),
    /// The server does not serve this commit by its id; these are its refs.
    Refused {
        commit: String,
        refs: Vec<Advertised>,
    },
}

fn fetch_commit(line: &Line, reference: Option<&str>, folder: &Path) -> Result<(Repository, Oid), Error> {
    let repository = init(folder)?;
    match fetch_shallow(&repository, line, reference)? {
        FirstFetch::Here(id) => Ok((repository, id)),
        FirstFetch::Refused { commit, refs } => {
            let missing = Error::CommitNotFound { commit: commit.clone(), tip: tip(&refs) };
            // Whoever serves every commit that a ref reaches has said its last word.
            if line.by_id() == ById::Served {
                return Err(missing);
            }
            search_branches(line, parse(&commit)?, folder)?.ok_or(missing)
        }
    }
}

fn fetch_shallow(repository: &Repository, line: &Line, reference: Option<&str>) -> Result<FirstFetch, Error> {
    let address = line.address();
    let mut remote = repository.remote_anonymous(&address.0).map_err(git)?;
    let refs = connect(&mut remote)?;
    match choose(reference, &refs)? {
        Wanted::Ref(wanted) => {
            download(&mut remote, &[&wanted.name], 1)?;
            let object = repository.find_object(parse(&wanted.id)?, None).map_err(git)?;
            let commit = object.peel_to_commit();
            commit.map(|commit| FirstFetch::Here(commit.id())).map_err(|_| not_a_commit(&wanted.name))
        }
        Wanted::Commit(commit) => match download(&mut remote, &[&commit], 1) {
            Ok(()) if repository.find_commit(parse(&commit)?).is_ok() => {
                Ok(FirstFetch::Here(parse(&commit)?))
            }
            Ok(()) => Err(not_a_commit(&commit)),
            Err(error) if line.is_broken() => Err(error),
            Err(_) => Ok(FirstFetch::Refused { commit, refs }),
        },
    }
}

/// Each depth starts with an empty repository: deepening one in place would save little, for such
/// servers are rare, and rests on more of the protocol.
fn search_branches(line: &Line, commit: Oid, folder: &Path) -> Result<Option<(Repository, Oid)>, Error> {
    const BRANCHES: &str = "refs/heads/*:refs/remotes/origin/*";
    const TAGS: &str = "refs/tags/*:refs/tags/*";
    for depth in DEPTHS {
        let repository = fetch_all(line, &[BRANCHES], depth, folder)?;
        if repository.find_commit(commit).is_ok() {
            return Ok(Some((repository, commit)));
        }
        if !repository.is_shallow() {
            break;
        }
    }
    let repository = fetch_all(line, &[BRANCHES, TAGS], WHOLE, folder)?;
    let found = repository.find_commit(commit).is_ok();
    Ok(found.then_some((repository, commit)))
}

fn fetch_all(line: &Line, refspecs: &[&str], depth: i32, folder: &Path) -> Result<Repository, Error> {
    std::fs::remove_dir_all(folder).map_err(Error::disk(folder))?;
    let repository = init(folder)?;
    let address = line.address();
    let mut remote = repository.remote_anonymous(&address.0).map_err(git)?;
    connect(&mut remote)?;
    download(&mut remote, refspecs, depth)?;
    drop(remote);
    Ok(repository)
}

fn init(folder: &Path) -> Result<Repository, Error> {
    let mut options = RepositoryInitOptions::new();
    options.bare(true).no_reinit(true).external_template(false);
    Repository::init_opts(folder, &options).map_err(git)
}

fn connect(remote: &mut Remote<'_>) -> Result<Vec<Advertised>, Error> {
    remote.connect(Direction::Fetch).map_err(git)?;
    let heads = remote.list().map_err(git)?;
    let named = heads.iter().filter(|head| !head.oid().is_zero());
    Ok(named.map(|head| Advertised { name: head.name().to_owned(), id: head.oid().to_string() }).collect())
}

fn download(remote: &mut Remote<'_>, refspecs: &[&str], depth: i32) -> Result<(), Error> {
    let mut options = FetchOptions::new();
    options.depth(depth).download_tags(AutotagOption::None).update_fetchhead(false);
    remote.download(refspecs, Some(&mut options)).map_err(git)
}

fn parse(id: &str) -> Result<Oid, Error> {
    id.parse().map_err(git)
}

fn not_a_commit(reference: &str) -> Error {
    Error::NotACommit { reference: reference.to_owned() }
}

pub(super) fn git(error: git2::Error) -> Error {
    Error::Git(error.message().trim_end_matches('.').to_owned())
}
