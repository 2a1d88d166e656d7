//! Debian keeps `postgres` and `initdb` out of PATH, a folder a major version.

use std::path::{Path, PathBuf};

/// A folder with `postgres` and `initdb` of one major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    pub folder: PathBuf,
    /// As `PG_VERSION` writes it; none where the folder's path does not tell.
    pub version: Option<String>,
}

/// The newest version that is installed.
#[must_use]
pub fn find_binaries() -> Option<Binaries> {
    all().into_iter().next()
}

/// Newest first; what PATH has comes last.
pub(super) fn all() -> Vec<Binaries> {
    let mut found: Vec<(u32, Binaries)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.to_owned();
            let folder = entry.path().join("bin");
            let number = version.parse().ok()?;
            is_complete(&folder).then_some((number, Binaries { folder, version: Some(version) }))
        })
        .collect();
    found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|folder| is_complete(folder));
    let on_path = on_path.map(|folder| Binaries { folder, version: None });
    found.into_iter().map(|(_, binaries)| binaries).chain(on_path).collect()
}

fn is_complete(folder: &Path) -> bool {
    ["postgres", "initdb"].iter().all(|name| folder.join(name).is_file())
}
