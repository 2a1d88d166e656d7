//! Where everything of one `slipway up` lies, and whose it is.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::Context;
use cell::porch;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;

/// The longest folder in which a socket's path still fits its 107 bytes.
const RUNTIME_LIMIT: usize = 80;

/// The folders.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) data: PathBuf,
    /// Short, for sockets.
    pub(crate) runtime: PathBuf,
    pub(crate) as_root: bool,
    /// Held as long as the program runs.
    _lock: Flock<File>,
}

impl Layout {
    /// Makes the folders and takes the data folder for this process.
    pub(crate) fn make(data: Option<&Path>) -> anyhow::Result<Self> {
        let as_root = Uid::effective().is_root();
        let data = std::path::absolute(data.map_or_else(|| default_data(as_root), Path::to_owned))?;
        std::fs::create_dir_all(&data)
            .with_context(|| format!("the data folder {} can't be made", data.display()))?;
        let mode = if as_root { 0o711 } else { 0o700 };
        std::fs::set_permissions(&data, Permissions::from_mode(mode))?;
        if as_root {
            porch::make_users().context("the roles' users can't be made")?;
            passable(&data)?;
        }
        let lock = lock(&data)?;
        let runtime = runtime_folder(&data, as_root)?;
        let layout = Self { data, runtime, as_root, _lock: lock };
        layout.make_folder("secrets", None, 0o711)?;
        layout.make_folder("registry", Some(porch::REGISTRY_USER), 0o700)?;
        Ok(layout)
    }

    /// The folder for sockets of a `slipway up` with that data folder.
    pub(crate) fn runtime_of(data: Option<&Path>) -> anyhow::Result<PathBuf> {
        let as_root = Uid::effective().is_root();
        let data = std::path::absolute(data.map_or_else(|| default_data(as_root), Path::to_owned))?;
        Ok(runtime_base(as_root).join(runtime_name(&data)))
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.data.join("store")
    }

    pub(crate) fn postgres(&self) -> PathBuf {
        self.data.join("postgres")
    }

    pub(crate) fn registry(&self) -> PathBuf {
        self.data.join("registry")
    }

    /// The file that holds a role's database address.
    pub(crate) fn database_url(&self, role: &str) -> PathBuf {
        self.data.join("secrets").join(format!("{role}.database-url"))
    }

    /// The file that holds the key with which a role opens secrets.
    pub(crate) fn key(&self, role: &str) -> PathBuf {
        self.data.join("secrets").join(format!("{role}.key"))
    }

    /// A file that only `owner` reads (as an ordinary user: only this user).
    pub(crate) fn write_secret(&self, path: &Path, owner: &str, content: &str) -> anyhow::Result<()> {
        let owner = self.as_root.then(|| porch::user(owner)).transpose()?;
        write_secret_of(path, owner.map(|(uid, gid)| (uid.as_raw(), gid.as_raw())), content)
    }

    fn make_folder(&self, name: &str, owner: Option<&str>, mode: u32) -> anyhow::Result<()> {
        let path = self.data.join(name);
        std::fs::create_dir_all(&path)?;
        std::fs::set_permissions(&path, Permissions::from_mode(mode))?;
        match owner.filter(|_| self.as_root) {
            Some(owner) => Ok(porch::make_folder(&path, owner)?),
            None => Ok(()),
        }
    }
}

/// A file that only whoever runs this reads.
pub(crate) fn write_own_secret(path: &Path, content: &str) -> anyhow::Result<()> {
    write_secret_of(path, None, content)
}

fn write_secret_of(path: &Path, owner: Option<(u32, u32)>, content: &str) -> anyhow::Result<()> {
    let part = path.with_extension("part");
    let _ = std::fs::remove_file(&part);
    let mut file = File::options().write(true).create_new(true).mode(0o400).open(&part)?;
    file.write_all(content.as_bytes())?;
    if let Some((uid, gid)) = owner {
        chown(&part, Some(uid), Some(gid))?;
    }
    std::fs::rename(&part, path).with_context(|| format!("{} can't be written", path.display()))
}

fn default_data(as_root: bool) -> PathBuf {
    if as_root {
        return PathBuf::from("/var/lib/slipway");
    }
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(home);
    data.unwrap_or_else(|| PathBuf::from(".")).join("slipway")
}

/// The roles' users must be able to reach their folders.
fn passable(data: &Path) -> anyhow::Result<()> {
    for folder in data.ancestors().skip(1) {
        let mode = std::fs::metadata(folder)?.permissions().mode();
        anyhow::ensure!(
            mode & 0o001 != 0,
            "the data folder {} can't be reached by slipway's users: {} lets nobody else pass. \
             Choose another with --data, for instance /var/lib/slipway",
            data.display(),
            folder.display()
        );
    }
    Ok(())
}

fn lock(data: &Path) -> anyhow::Result<Flock<File>> {
    let path = data.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
        anyhow::anyhow!("another `slipway up` uses {}: stop it, or choose another --data", data.display())
    })
}

/// `/run/slipway` or `$XDG_RUNTIME_DIR/slipway`; below it a folder for each data folder.
fn runtime_folder(data: &Path, as_root: bool) -> anyhow::Result<PathBuf> {
    let base = runtime_base(as_root);
    let folder = base.join(runtime_name(data));
    anyhow::ensure!(
        folder.as_os_str().len() <= RUNTIME_LIMIT,
        "{} is too long for a socket's path: set XDG_RUNTIME_DIR to a shorter folder",
        folder.display()
    );
    let mode = if as_root { 0o711 } else { 0o700 };
    for path in [&base, &folder] {
        std::fs::create_dir_all(path).with_context(|| format!("{} can't be made", path.display()))?;
        let meta = std::fs::symlink_metadata(path)?;
        let ours = std::os::unix::fs::MetadataExt::uid(&meta) == Uid::effective().as_raw();
        anyhow::ensure!(meta.is_dir() && ours, "{} belongs to somebody else: remove it", path.display());
        std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok(folder)
}

fn runtime_base(as_root: bool) -> PathBuf {
    let user = || std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    match (as_root, user()) {
        (true, _) => PathBuf::from("/run/slipway"),
        (false, Some(runtime)) => runtime.join("slipway"),
        (false, None) => PathBuf::from(format!("/tmp/slipway-{}", Uid::effective())),
    }
}

fn runtime_name(data: &Path) -> String {
    content::digest_of(data.as_os_str().as_encoded_bytes()).hex()[..8].to_owned()
}
