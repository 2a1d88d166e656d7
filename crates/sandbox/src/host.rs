//! What has to be done once to the cell's own mount namespace.

use nix::mount::{MsFlags, mount};

use crate::{Error, Runtime, RuntimeKind};

/// Makes this mount namespace one in which the runtime works. Call it once, in a namespace of the
/// cell's own. `crun` refuses a host with cgroup v1 and v2 side by side, so it gets to see an empty
/// `/sys/fs/cgroup`; `runc` needs the real one.
///
/// # Errors
/// The mount is refused.
pub fn prepare_host(runtime: &Runtime) -> Result<(), Error> {
    if runtime.kind != RuntimeKind::Crun {
        return Ok(());
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("none"), "/sys/fs/cgroup", Some("tmpfs"), flags, Some("size=4k,mode=755"))
        .map_err(|e| Error::Host { action: "Hiding /sys/fs/cgroup", message: e.to_string() })
}
