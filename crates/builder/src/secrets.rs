//! What a RUN is given of the build's secrets. In: its declared mounts; values, from outside. Out: files in
//! memory to be shown in the sandbox, variables; and the places they were shown at taken away again, so that no
//! layer has a trace. Deliberately absent: any disk.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use model::{Exec, Failure, SecretMount};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;
use sandbox::{MemoryFolder, Shown};

use crate::Error;
use crate::error::MAX_ID;
use crate::rooted::{Root, clean};

/// The secrets of one RUN, while it runs.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) shown: Vec<Shown>,
    /// `NAME=value`.
    pub(crate) env: Vec<String>,
    points: Vec<Point>,
    /// Unmounted when this is dropped.
    memory: Option<MemoryFolder>,
}

/// A place that was made to mount at.
struct Point {
    /// The nearest folder that was there before.
    folder: OwnedFd,
    /// Folders that were made below it, and the file, each within the one before.
    made: Vec<OsString>,
}

impl Given {
    /// Asks for each secret and makes its place. `memory` is a folder for this RUN alone.
    ///
    /// # Errors
    /// A required secret is not there, or its place is taken by a folder.
    pub(crate) fn prepare(
        exec: &Exec,
        root: &Root,
        memory: &Path,
        ask: &dyn Fn(&str) -> Result<Option<port::Secret>, Failure>,
    ) -> Result<Self, Error> {
        let mut given = Self::default();
        for (number, mount) in exec.secrets.iter().enumerate() {
            let Some(secret) = ask(&mount.id)? else {
                match mount.required {
                    true => return Err(missing(&mount.id).into()),
                    false => continue,
                }
            };
            if given.memory.is_none() {
                given.memory = Some(MemoryFolder::mount(memory).map_err(|error| error.failure())?);
            }
            if let Some(name) = &mount.env {
                given.env.push(format!("{name}={}", secret.0));
            }
            if let Some(target) = &mount.target {
                given.show(number, mount, target, &secret, root, memory)?;
            }
        }
        Ok(given)
    }

    fn show(
        &mut self,
        number: usize,
        mount: &SecretMount,
        target: &str,
        secret: &port::Secret,
        root: &Root,
        memory: &Path,
    ) -> Result<(), Error> {
        if let Some(id) = [mount.uid, mount.gid].into_iter().find(|id| *id > MAX_ID) {
            return Err(Error::IdTooLarge(id));
        }
        let source = memory.join(number.to_string());
        write(&source, mount, secret).map_err(Error::io("Writing a secret to memory"))?;
        self.points.extend(make_point(root, &clean(Path::new(target)))?);
        self.shown.push(Shown { source, destination: PathBuf::from(target) });
        Ok(())
    }

    /// Where what holds a secret may be written; none where there is no secret.
    pub(crate) fn memory(&self) -> Option<&Path> {
        self.memory.as_ref().map(MemoryFolder::path)
    }

    /// Takes the places away, as far as nobody put something there.
    ///
    /// # Errors
    /// The layer's folder can't be changed.
    pub(crate) fn clear(self) -> Result<(), Error> {
        // The last made is within the ones before.
        for point in self.points.into_iter().rev() {
            point
                .remove()
                .map_err(Error::errno("Taking away a secret's place", Path::new("/run/secrets")))?;
        }
        Ok(())
    }
}

impl Point {
    fn remove(self) -> Result<(), Errno> {
        let kept = times(&self.folder)?;
        let mut folders = vec![self.folder.try_clone().map_err(|_| Errno::MFILE)?];
        for name in &self.made[..self.made.len() - 1] {
            match rustix::fs::openat(
                &folders[folders.len() - 1],
                name,
                FOLDER | OFlags::NOFOLLOW,
                Mode::empty(),
            ) {
                Ok(folder) => folders.push(folder),
                Err(_) => return Ok(()),
            }
        }
        for (folder, name) in folders.iter().zip(&self.made).rev() {
            let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let flags = match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile if stat.st_size == 0 => AtFlags::empty(),
                FileType::Directory => AtFlags::REMOVEDIR,
                _ => continue,
            };
            match rustix::fs::unlinkat(folder, name, flags) {
                Ok(()) | Err(Errno::NOTEMPTY | Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        rustix::fs::futimens(&self.folder, &kept)
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// An empty file at `path`, where there is none; none where there is.
fn make_point(root: &Root, path: &Path) -> Result<Option<Point>, Error> {
    let failed = |errno| Error::errno("Making the place of a secret at", path)(errno);
    match root.open_at(path, OFlags::PATH) {
        Ok(there) => {
            let stat = rustix::fs::fstat(&there).map_err(failed)?;
            let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            return match is_folder {
                true => Err(Error::Conflict(format!("The secret's target /{} is a folder.", path.display()))),
                false => Ok(None),
            };
        }
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(failed(errno)),
    }
    let (folder, missing) = nearest(root, path).map_err(failed)?;
    let kept = times(&folder).map_err(failed)?;
    let mut at = folder.try_clone().map_err(|_| failed(Errno::MFILE))?;
    let (file, folders) = missing.split_last().ok_or_else(|| failed(Errno::NOENT))?;
    for name in folders {
        rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(0o755)).map_err(failed)?;
        at = rustix::fs::openat(&at, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()).map_err(failed)?;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    rustix::fs::openat(&at, file, flags, Mode::from_raw_mode(0o400)).map_err(failed)?;
    rustix::fs::futimens(&folder, &kept).map_err(failed)?;
    Ok(Some(Point { folder, made: missing }))
}

/// The nearest folder above `path` that is there, and what is missing below it.
fn nearest(root: &Root, path: &Path) -> Result<(OwnedFd, Vec<OsString>), Errno> {
    let mut missing = Vec::new();
    for above in path.ancestors() {
        let (Some(name), Some(parent)) = (above.file_name(), above.parent()) else { break };
        missing.insert(0, name.to_owned());
        match root.open_at(parent, FOLDER) {
            Ok(folder) => return Ok((folder, missing)),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::NOENT)
}

fn times(folder: &OwnedFd) -> Result<Timestamps, Errno> {
    let stat = rustix::fs::fstat(folder)?;
    let time = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    Ok(Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    })
}

fn write(path: &Path, mount: &SecretMount, secret: &port::Secret) -> std::io::Result<()> {
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(secret.0.as_bytes())?;
    fchown(&file, Some(mount.uid), Some(mount.gid))?;
    file.set_permissions(std::fs::Permissions::from_mode(mount.mode))
}

fn missing(id: &str) -> Failure {
    Failure::user(
        "secret_missing",
        format!("The build has no secret `{id}`, and the RUN needs it."),
        "Name it when the run is made (`--secret ID=CREDENTIAL`). A run that is not trusted gets none.",
    )
}
