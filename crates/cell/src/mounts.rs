//! The mounts of a cell, made in the first of its namespaces. In: what it may see of the cells' folder, which the
//! worker made its working directory. Out: that alone, below a place of its own; everything else of the machine
//! is read-only. Deliberately absent: the lock, which is the namespace that follows (`lock.rs`).

use std::ffi::{CStr, CString};
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;

use nix::libc;
use nix::mount::{MsFlags, mount};

use crate::job::{CELLS, View};

const NONE: Option<&str> = None;

/// Makes them, and answers the cells' folder as it is outside. What runs inside must not have it.
pub(crate) fn furnish(views: &[View]) -> Result<OwnedFd, String> {
    for view in views {
        make(&view.source)?;
    }
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .map_err(|error| format!("private mounts: {error}"))?;
    let cells = apart(c".").map_err(|error| format!("the cells' folder: {error}"))?;
    set(Path::new("/"), libc::MOUNT_ATTR_RDONLY, 0, true)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    tmpfs("/tmp", flags, "mode=755,size=1m")?;
    views.iter().try_for_each(show)?;
    mount(Some("proc"), "/proc", Some("proc"), flags | MsFlags::MS_NOEXEC, NONE)
        .map_err(|error| format!("/proc: {error}"))?;
    if !views.iter().any(View::is_all) {
        // Where the folder has its own name, should the folders above it let anybody pass.
        tmpfs(".", flags | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY, "mode=0,size=4k")?;
    }
    std::env::set_current_dir("/").map_err(|error| format!("/: {error}"))?;
    nix::unistd::sethostname("slipway").map_err(|error| format!("host name: {error}"))?;
    Ok(cells)
}

/// A folder through a mount of its own that is attached nowhere: what becomes read-only here stays writable there
/// (open_tree(2)).
#[expect(unsafe_code, reason = "open_tree has no wrapper")]
fn apart(folder: &CStr) -> std::io::Result<OwnedFd> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: the path ends with a zero and lives until it returns; what it returns is a descriptor of ours alone.
    unsafe {
        let opened = libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, folder.as_ptr(), flags);
        match i32::try_from(opened) {
            Ok(descriptor) if descriptor >= 0 => Ok(OwnedFd::from_raw_fd(descriptor)),
            _ => Err(std::io::Error::last_os_error()),
        }
    }
}

fn make(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

fn tmpfs(at: &str, flags: MsFlags, options: &str) -> Result<(), String> {
    mount(Some("tmpfs"), at, Some("tmpfs"), flags, Some(options)).map_err(|error| format!("{at}: {error}"))
}

fn show(view: &View) -> Result<(), String> {
    let place = Path::new(CELLS).join(view.place);
    make(&place)?;
    mount(Some(&view.source), &place, NONE, MsFlags::MS_BIND, NONE)
        .map_err(|error| format!("{}: {error}", place.display()))?;
    let always = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    match view.writable {
        true => set(&place, always, libc::MOUNT_ATTR_RDONLY, false),
        false => set(&place, always | libc::MOUNT_ATTR_RDONLY, 0, false),
    }
}

/// Sets and clears attributes of a mount, or of all below it (mount_setattr(2)).
#[expect(unsafe_code, reason = "mount_setattr has no wrapper")]
fn set(at: &Path, set: u64, clear: u64, all: bool) -> Result<(), String> {
    let say = |error: &dyn std::fmt::Display| format!("attributes of {}: {error}", at.display());
    let path = CString::new(at.as_os_str().as_encoded_bytes()).map_err(|error| say(&error))?;
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    let flags = if all { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path ends with a zero, and the size is that of the structure; both live until it returns.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(say(&std::io::Error::last_os_error())) }
}
