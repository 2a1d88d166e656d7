//! What has to be done as root, once, before a role gives root up for good: users, subordinate ids,
//! a tun device that the worker may open, cgroups handed over. Started as an ordinary user there is
//! no porch, and `slipway doctor` says what is missing for it.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{Gid, Group, Pid, Uid, User, getppid, setgroups, setresgid, setresuid};

use crate::CELL_IDS;
use crate::ids::{free_start, ranges};

/// Who owns the private Postgres cluster.
pub const DATABASE_USER: &str = "slipway-db";
/// Who runs the local registry.
pub const REGISTRY_USER: &str = "slipway-registry";
/// Who answers REST.
pub const SERVER_USER: &str = "slipway-server";
/// Who leases runs.
pub const WORKER_USER: &str = "slipway-worker";
/// Who pushes, and holds the registry's credential.
pub const PUBLISHER_USER: &str = "slipway-publisher";
/// Whose members read the content store: worker and publisher.
pub const CONTENT_GROUP: &str = "slipway-content";
/// Controllers of cgroup v1 that are handed over.
pub const CONTROLLERS: [&str; 4] = ["memory", "pids", "cpu", "freezer"];

/// What root could not do.
#[derive(Debug, thiserror::Error)]
#[error("{deed}: {error}")]
pub struct PorchError {
    deed: String,
    error: io::Error,
}

impl PorchError {
    fn new(deed: impl Into<String>, error: impl Into<io::Error>) -> Self {
        Self { deed: deed.into(), error: error.into() }
    }
}

/// Makes the users, their group and the worker's subordinate ids, where they are missing.
///
/// # Errors
/// `useradd`, `groupadd` or `usermod` (Debian's `passwd`) failed.
pub fn make_users() -> Result<(), PorchError> {
    if !matches!(Group::from_name(CONTENT_GROUP), Ok(Some(_))) {
        run("groupadd", &["--system", CONTENT_GROUP])?;
    }
    for user in [DATABASE_USER, REGISTRY_USER, SERVER_USER, WORKER_USER, PUBLISHER_USER] {
        if matches!(User::from_name(user), Ok(Some(_))) {
            continue;
        }
        let common = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"];
        let mut arguments = [&common[..], &["--shell", "/usr/sbin/nologin"]].concat();
        if user == WORKER_USER || user == PUBLISHER_USER {
            arguments.extend(["--groups", CONTENT_GROUP]);
        }
        arguments.push(user);
        run("useradd", &arguments)?;
    }
    give_subordinate_ids()
}

/// `useradd --system` gives none.
fn give_subordinate_ids() -> Result<(), PorchError> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (users, groups) = (read("/etc/subuid"), read("/etc/subgid"));
    let has = |text: &str| ranges(text).any(|(name, range)| name == WORKER_USER && range.count >= CELL_IDS);
    if has(&users) && has(&groups) {
        return Ok(());
    }
    let start = free_start(&[&users, &groups]);
    let range = format!("{start}-{}", start + CELL_IDS - 1);
    run("usermod", &["--add-subuids", &range, "--add-subgids", &range, WORKER_USER])
}

fn run(tool: &str, arguments: &[&str]) -> Result<(), PorchError> {
    let output = Command::new(tool).args(arguments).stdin(Stdio::null()).output();
    let output =
        output.map_err(|error| PorchError::new(format!("{tool} (Debian's package passwd)"), error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(PorchError::new(format!("{tool} {}", arguments.join(" ")), io::Error::other(said)))
}

/// A user and group of the host by name.
///
/// # Errors
/// There is no such user.
pub fn user(name: &str) -> Result<(Uid, Gid), PorchError> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok((user.uid, user.gid)),
        Ok(None) => Err(PorchError::new(format!("user {name}"), io::Error::from(io::ErrorKind::NotFound))),
        Err(error) => Err(PorchError::new(format!("user {name}"), error)),
    }
}

/// A folder for one user alone (mode 0700), made where it is missing.
///
/// # Errors
/// It can't be made or given.
pub fn make_folder(path: &Path, owner: &str) -> Result<(), PorchError> {
    let (uid, gid) = user(owner)?;
    make_owned(path, uid, gid, 0o700)
}

/// The content store's folder: the worker writes, the group reads, and what is made inside inherits
/// the group.
///
/// # Errors
/// It can't be made or given.
pub fn make_store(path: &Path) -> Result<(), PorchError> {
    let (uid, _) = user(WORKER_USER)?;
    let group = Group::from_name(CONTENT_GROUP).ok().flatten();
    let gid = group.map(|group| group.gid).ok_or_else(|| {
        PorchError::new(format!("group {CONTENT_GROUP}"), io::Error::from(io::ErrorKind::NotFound))
    })?;
    make_owned(path, uid, gid, 0o2750)
}

fn make_owned(path: &Path, uid: Uid, gid: Gid, mode: u32) -> Result<(), PorchError> {
    let say = |error: io::Error| PorchError::new(path.display().to_string(), error);
    std::fs::create_dir_all(path).map_err(say)?;
    chown(path, Some(uid.as_raw()), Some(gid.as_raw())).map_err(say)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(say)
}

/// The worker's surroundings: a mount namespace of its own in which `/dev/net/tun` may be opened by
/// anybody, and cgroups that belong to the worker.
///
/// # Errors
/// A mount failed. A cgroup that can't be handed over is not an error: the worker finds none.
pub fn furnish() -> Result<(), PorchError> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| PorchError::new("a mount namespace", error))?;
    let none: Option<&str> = None;
    let flags = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(none, "/", none, flags, none).map_err(|error| PorchError::new("private mounts", error))?;
    open_tun()?;
    let (uid, gid) = user(WORKER_USER)?;
    for folder in cgroup_roots() {
        // Without it there are no limits, which the worker reports; nothing else depends on it.
        let _ = hand_over(&folder, uid, gid);
    }
    Ok(())
}

/// Where cgroups of runs are made: a folder a controller (v1), or one (v2).
#[must_use]
pub fn cgroup_roots() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        return vec![root.join("slipway")];
    }
    CONTROLLERS
        .iter()
        .map(|name| root.join(name))
        .filter(|path| path.is_dir())
        .map(|p| p.join("slipway"))
        .collect()
}

fn hand_over(folder: &Path, uid: Uid, gid: Gid) -> io::Result<()> {
    let parent = folder.parent().unwrap_or(folder);
    let version_two = parent.join("cgroup.controllers").exists();
    let controllers = "+memory +pids +cpu";
    if version_two {
        std::fs::write(parent.join("cgroup.subtree_control"), controllers)?;
    }
    std::fs::create_dir_all(folder)?;
    let mut given = vec![folder.to_owned(), folder.join("cgroup.procs")];
    if version_two {
        let leaf = folder.join("worker");
        std::fs::create_dir_all(&leaf)?;
        std::fs::write(leaf.join("cgroup.procs"), "0")?;
        std::fs::write(folder.join("cgroup.subtree_control"), controllers)?;
        given.extend([folder.join("cgroup.subtree_control"), leaf.join("cgroup.procs"), leaf]);
    } else {
        given.push(folder.join("tasks"));
    }
    given.iter().try_for_each(|path| chown(path, Some(uid.as_raw()), Some(gid.as_raw())))
}

/// `/dev/net/tun` may be root's alone: a node of our own stands in its place.
fn open_tun() -> Result<(), PorchError> {
    let folder = Path::new("/dev/net");
    let tun = folder.join("tun");
    if std::fs::metadata(&tun).is_ok_and(|meta| meta.permissions().mode() & 0o006 == 0o006) {
        return Ok(());
    }
    std::fs::create_dir_all(folder).map_err(|error| PorchError::new("/dev/net", error))?;
    mount(
        Some("tmpfs"),
        folder,
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        Some("mode=755,size=64k"),
    )
    .map_err(|error| PorchError::new("/dev/net", error))?;
    let mode = Mode::from_bits_truncate(0o666);
    mknod(&tun, SFlag::S_IFCHR, mode, makedev(10, 200))
        .map_err(|error| PorchError::new("/dev/net/tun", error))?;
    std::fs::set_permissions(&tun, Permissions::from_mode(0o666))
        .map_err(|error| PorchError::new("/dev/net/tun", error))
}

/// Gives root up for good and becomes a user, then asks to die with the parent. The order matters:
/// a change of ids clears the parent-death signal.
///
/// # Errors
/// There is no such user, or the parent ended meanwhile.
pub fn become_user(name: &str, parent: Option<Pid>) -> Result<(), PorchError> {
    let say = |error: nix::Error| PorchError::new(format!("becoming {name}"), error);
    let (uid, gid) = user(name)?;
    let content = Group::from_name(CONTENT_GROUP).ok().flatten();
    let member = name == WORKER_USER || name == PUBLISHER_USER;
    let groups: Vec<Gid> = content.filter(|_| member).map(|group| group.gid).into_iter().collect();
    setgroups(&groups).map_err(say)?;
    setresgid(gid, gid, gid).map_err(say)?;
    setresuid(uid, uid, uid).map_err(say)?;
    die_with(parent)
}

/// Asks the kernel for SIGKILL when the parent ends. Linux sends it when the parent's *thread* ends,
/// so the parent must start children from one that lives on.
///
/// # Errors
/// The parent ended meanwhile.
pub fn die_with(parent: Option<Pid>) -> Result<(), PorchError> {
    let Some(parent) = parent else { return Ok(()) };
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| PorchError::new("PDEATHSIG", error))?;
    if getppid() == parent {
        return Ok(());
    }
    Err(PorchError::new("the parent process", io::Error::other("it ended meanwhile")))
}
