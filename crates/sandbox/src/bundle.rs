//! The bundle's `config.json` (OCI runtime specification 1.0.2), after Docker's defaults.

use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit};
use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use crate::{Error, Network, Process, RuntimeKind, idmap, seccomp};

/// Docker's default capabilities (moby, `daemon/pkg/oci/caps/defaults.go`).
pub(crate) const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// Docker's masked paths (moby, `daemon/pkg/oci/defaults.go`).
const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Where memory is short it is the user's process that is killed, not the one that tells of it.
const OOM_SCORE: i32 = 500;

/// A file or folder of the host, shown read-only in the sandbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    pub source: PathBuf,
    /// Absolute, within the root folder.
    pub destination: PathBuf,
}

/// The whole specification for `process`, as `runtime` wants it.
///
/// # Errors
/// The id maps can't be read, or a value does not fit the specification.
pub(crate) fn spec(process: &Process<'_>, runtime: RuntimeKind) -> Result<Spec, Error> {
    let mut mounts = base_mounts();
    for (source, destination) in [(process.resolv_conf, "/etc/resolv.conf"), (process.hosts, "/etc/hosts")] {
        mounts.extend(source.map(|source| bind(source, Path::new(destination))));
    }
    if runtime == RuntimeKind::Runsc {
        mounts.extend(own_tmp(process.rootfs));
    }
    mounts.extend(process.shown.iter().map(|s| bind(&s.source, &s.destination)));
    let spec = json!({
        "ociVersion": "1.0.2",
        "root": { "path": process.rootfs, "readonly": false },
        "hostname": process.hostname,
        "process": process_part(process),
        "mounts": mounts,
        "linux": linux_part(process)?,
    });
    serde_json::from_value(spec)
        .map_err(|e| Error::Host { action: "Writing the bundle", message: e.to_string() })
}

fn process_part(process: &Process<'_>) -> Value {
    // As Docker: another user than root holds nothing, and may gain nothing.
    let held: &[&str] = if process.uid == 0 { &CAPABILITIES } else { &[] };
    json!({
        "terminal": false,
        "user": { "uid": process.uid, "gid": process.gid, "additionalGids": process.groups },
        "args": process.args,
        "env": process.env,
        "cwd": process.cwd,
        "noNewPrivileges": true,
        "oomScoreAdj": OOM_SCORE,
        "rlimits": rlimits(process.file_size),
        "capabilities": {
            "bounding": CAPABILITIES, "effective": held, "permitted": held,
            "inheritable": [], "ambient": [],
        },
    })
}

/// A limit above the one that this process itself has would be refused.
fn rlimits(file_size: Option<u64>) -> Vec<Value> {
    let own = getrlimit(Resource::RLIMIT_FSIZE).map_or(u64::MAX, |(_, hard)| hard);
    let bound = |size: u64| json!({ "type": "RLIMIT_FSIZE", "soft": size.min(own), "hard": size.min(own) });
    file_size.map(bound).into_iter().collect()
}

fn linux_part(process: &Process<'_>) -> Result<Value, Error> {
    let architecture = model::Platform::host().architecture;
    let mut namespaces = vec!["pid", "mount", "ipc", "uts", "user"];
    if process.network == Network::None {
        namespaces.push("network");
    }
    let namespaces: Vec<Value> = namespaces.iter().map(|kind| json!({ "type": kind })).collect();
    let ids = |file| -> Result<Vec<Value>, Error> {
        let extent = |(id, size)| json!({ "containerID": id, "hostID": id, "size": size });
        Ok(idmap::identity(file)?.into_iter().map(extent).collect())
    };
    Ok(json!({
        "namespaces": namespaces,
        "uidMappings": ids("/proc/self/uid_map")?,
        "gidMappings": ids("/proc/self/gid_map")?,
        "maskedPaths": MASKED,
        "readonlyPaths": READ_ONLY,
        "seccomp": seccomp::profile(&architecture, &CAPABILITIES)?,
    }))
}

/// What every process sees. `/sys` is the host's, read-only and without its cgroups: a new sysfs could
/// not be mounted by a process that does not own the network namespace.
fn base_mounts() -> Vec<Value> {
    let mount = |destination: &str, kind: &str, options: &[&str]| {
        let source = if kind == "none" { destination } else { kind };
        json!({ "destination": destination, "type": kind, "source": source, "options": options })
    };
    vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/sys", "none", &["rbind", "ro", "nosuid", "noexec", "nodev"]),
        mount("/sys/fs/cgroup", "tmpfs", &["ro", "nosuid", "noexec", "nodev", "mode=755", "size=4k"]),
    ]
}

/// gVisor puts a file system of its own over an empty `/tmp`, and what a step leaves there would be in no layer.
fn own_tmp(rootfs: &Path) -> Option<Value> {
    let source = rootfs.join("tmp");
    // A link could lead out of the root folder.
    let is_folder = std::fs::symlink_metadata(&source).is_ok_and(|meta| meta.is_dir());
    is_folder.then(|| {
        let options = ["bind", "rw", "nosuid", "nodev", "rprivate"];
        json!({ "destination": "/tmp", "type": "none", "source": source, "options": options })
    })
}

fn bind(source: &Path, destination: &Path) -> Value {
    json!({
        "destination": destination, "type": "none", "source": source,
        "options": ["rbind", "ro", "nosuid", "nodev", "rprivate"],
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test may panic")]
    use oci_spec::runtime::LinuxNamespaceType;

    use super::*;

    fn process(uid: u32, network: Network) -> Process<'static> {
        Process { uid, network, ..Process::new(Path::new("/rootfs"), &["true"]) }
    }

    fn namespaces(network: Network) -> Vec<LinuxNamespaceType> {
        let spec = spec(&process(0, network), RuntimeKind::Crun).unwrap();
        spec.linux().as_ref().unwrap().namespaces().as_ref().unwrap().iter().map(|n| n.typ()).collect()
    }

    #[test]
    fn the_cells_network_is_had_by_naming_no_namespace() {
        assert!(namespaces(Network::None).contains(&LinuxNamespaceType::Network));
        assert!(!namespaces(Network::Cell).contains(&LinuxNamespaceType::Network));
    }

    #[test]
    fn an_ordinary_user_holds_no_capability() {
        let held = |uid| {
            let spec = spec(&process(uid, Network::None), RuntimeKind::Crun).unwrap();
            let process = spec.process().clone().unwrap();
            assert_eq!(process.no_new_privileges(), Some(true));
            process.capabilities().as_ref().unwrap().effective().as_ref().unwrap().len()
        };
        assert_eq!((held(0), held(1000)), (14, 0));
    }

    #[test]
    fn the_hosts_cgroups_are_covered_after_sys_is_mounted() {
        let spec = spec(&process(0, Network::None), RuntimeKind::Crun).unwrap();
        let order: Vec<PathBuf> =
            spec.mounts().as_ref().unwrap().iter().map(|m| m.destination().clone()).collect();
        let at = |path: &str| order.iter().position(|p| p == Path::new(path)).unwrap();
        assert!(at("/sys") < at("/sys/fs/cgroup"));
    }
}
