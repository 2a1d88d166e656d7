//! Where the service is when nobody says: what a `slipway up` on this machine wrote down, or the default
//! address. Only files of this user or of root are believed: whoever could write another would get the
//! sources and the token.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use super::error::ClientError;

pub(crate) const DEFAULT: &str = "http://127.0.0.1:7420";
/// The file that each `slipway up` keeps in its runtime folder as long as it runs.
pub(crate) const FILE: &str = "service.json";

/// A service on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Local {
    pub(crate) address: String,
    /// Readable by whoever started it.
    pub(crate) token_file: PathBuf,
    pub(crate) data: PathBuf,
}

/// The service that runs here, if there is one.
///
/// # Errors
/// There are several.
pub(crate) fn local() -> Result<Option<Local>, ClientError> {
    let mut found = all();
    found.retain(answers);
    if found.len() > 1 {
        let list = found.iter().map(|local| format!("{} (data in {})", local.address, local.data.display()));
        return Err(ClientError::usage(
            format!("Several services run on this machine: {}.", list.collect::<Vec<_>>().join(", ")),
            "Name one with --server or SLIPWAY_SERVER.",
        ));
    }
    Ok(found.pop())
}

/// The token of a local service, where this user may read it.
pub(crate) fn token_of(address: &str) -> Option<String> {
    let wanted = address.trim_end_matches('/');
    let local = all().into_iter().find(|local| local.address.trim_end_matches('/') == wanted)?;
    let token = std::fs::read_to_string(local.token_file).ok()?;
    Some(token.trim().to_owned())
}

/// Every service that wrote itself down: this user's first, then root's.
fn all() -> Vec<Local> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let user = Uid::effective();
    let bases = [
        runtime.map(|runtime| runtime.join("slipway")),
        // Where `slipway up` of an ordinary user without a runtime folder puts it.
        Some(PathBuf::from(format!("/tmp/slipway-{user}"))),
        Some(PathBuf::from("/run/slipway")),
    ];
    let mut found: Vec<Local> = Vec::new();
    for base in bases.into_iter().flatten().filter(|base| is_ours(base)) {
        let folders = std::fs::read_dir(&base).into_iter().flatten().flatten().map(|entry| entry.path());
        let files = folders
            .filter(|folder| is_ours(folder))
            .map(|folder| folder.join(FILE))
            .filter(|file| is_ours(file));
        for local in files.filter_map(|file| read(&file)) {
            if !found.contains(&local) {
                found.push(local);
            }
        }
    }
    found
}

/// Belongs to this user or to root, and nobody else may write it.
fn is_ours(path: &Path) -> bool {
    let ours = |owner: u32| owner == 0 || owner == Uid::effective().as_raw();
    std::fs::symlink_metadata(path)
        .is_ok_and(|meta| !meta.is_symlink() && ours(meta.uid()) && meta.mode() & 0o022 == 0)
}

fn read(file: &Path) -> Option<Local> {
    serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()
}

fn answers(local: &Local) -> bool {
    let authority = local.address.split_once("://").map_or("", |(_, authority)| authority);
    let Ok(address) = authority.trim_end_matches('/').parse() else { return false };
    std::net::TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_that_others_may_write_is_not_believed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(FILE);
        std::fs::write(&file, r#"{"address":"http://127.0.0.1:1","token_file":"/t","data":"/d"}"#)
            .expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("set");
        assert!(is_ours(&file));
        assert_eq!(read(&file).map(|local| local.address).as_deref(), Some("http://127.0.0.1:1"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).expect("set");
        assert!(!is_ours(&file));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        assert!(!is_ours(&link));
    }
}
