//! Making a cluster's folders, once, so that a kill in the middle leaves no half one.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};

use super::binaries::{self, Binaries};
use super::{ADMIN, ClusterError, ClusterOptions, DATABASE};

/// Makes what is missing and answers the binaries that fit the data.
pub(super) fn prepare(options: &ClusterOptions) -> Result<Binaries, ClusterError> {
    let binaries = choose(&options.data)?;
    own_folder(&options.socket, options.owner, 0o755)?;
    if !options.data.join("PG_VERSION").exists() {
        initdb(&binaries, options)?;
    }
    write_access(options)?;
    remove_stale_lock(&options.data);
    Ok(binaries)
}

fn choose(data: &Path) -> Result<Binaries, ClusterError> {
    let all = binaries::all();
    let Some(newest) = all.first().cloned() else { return Err(ClusterError::NotInstalled) };
    let Ok(version) = fs::read_to_string(data.join("PG_VERSION")) else { return Ok(newest) };
    let version = version.trim().to_owned();
    let fits = |binaries: &Binaries| binaries.version.as_ref().is_none_or(|v| *v == version);
    all.into_iter().find(fits).ok_or_else(|| ClusterError::OtherVersion { data: data.to_owned(), version })
}

fn own_folder(path: &Path, owner: Option<(u32, u32)>, mode: u32) -> Result<(), ClusterError> {
    let make = || -> io::Result<()> {
        fs::create_dir_all(path)?;
        if let Some((uid, gid)) = owner {
            chown(path, Some(uid), Some(gid))?;
        }
        fs::set_permissions(path, Permissions::from_mode(mode))
    };
    make().map_err(|error| ClusterError::io(path.display().to_string(), error))
}

/// Into a folder beside, which gets its name when it is whole.
fn initdb(binaries: &Binaries, options: &ClusterOptions) -> Result<(), ClusterError> {
    let part = with_suffix(&options.data, ".part");
    let say = |error| ClusterError::io(part.display().to_string(), error);
    if part.exists() {
        fs::remove_dir_all(&part).map_err(say)?;
    }
    own_folder(&part, options.owner, 0o700)?;
    let mut command = Command::new(binaries.folder.join("initdb"));
    command.arg("--pgdata").arg(&part).args(["--username", ADMIN, "--auth-local=peer", "--auth-host=reject"]);
    command.args(["--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]);
    // Its working folder may be one that the other user can't enter.
    command.current_dir("/").stdin(Stdio::null());
    if let Some((uid, gid)) = options.owner {
        command.uid(uid).gid(gid);
    }
    let output = command.output().map_err(|error| ClusterError::io("initdb", error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(ClusterError::Initdb(said));
    }
    if options.data.exists() {
        // Empty, or it would have had a PG_VERSION.
        fs::remove_dir(&options.data)
            .map_err(|error| ClusterError::io(options.data.display().to_string(), error))?;
    }
    fs::rename(&part, &options.data).map_err(say)
}

/// Who may come in: this process's user as the administrator, everybody else by password, into the one database
/// that has walls, over the socket only. Written at each start: the user may be another one.
fn write_access(options: &ClusterOptions) -> Result<(), ClusterError> {
    let me = User::from_uid(Uid::effective()).ok().flatten();
    let me = me.ok_or_else(|| {
        ClusterError::io("this process's user", io::Error::other("it has no name in /etc/passwd"))
    })?;
    let rules = format!("local all {ADMIN} peer map=up\nlocal {DATABASE} all scram-sha-256\n");
    for (name, text) in [("pg_hba.conf", rules), ("pg_ident.conf", format!("up \"{}\" {ADMIN}\n", me.name))] {
        let path = options.data.join(name);
        fs::write(&path, text).map_err(|error| ClusterError::io(path.display().to_string(), error))?;
    }
    Ok(())
}

/// After a kill the lock file may name a process id that somebody else has by now, and Postgres would
/// refuse to start. The caller holds a lock on the data folder, so no other cluster runs in it.
fn remove_stale_lock(data: &Path) {
    let lock = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&lock) else { return };
    let pid = text.lines().next().unwrap_or_default();
    let command = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    if command != b"postgres\n" {
        let _ = fs::remove_file(&lock);
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
