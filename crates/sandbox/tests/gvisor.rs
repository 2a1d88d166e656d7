//! The runtime with a kernel of its own (`runsc`), which a worker is told to take.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod support;

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use sandbox::{Error, Exit, Network, Process, Runtime};
use support::inside;

#[test]
fn a_step_runs_on_a_kernel_of_its_own_and_its_files_are_as_ever() {
    inside(|| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let rootfs = folder.path().join("rootfs");
        for name in ["bin", "proc", "sys", "dev", "etc", "tmp"] {
            std::fs::create_dir_all(rootfs.join(name)).unwrap();
        }
        std::fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
        std::os::unix::fs::symlink("busybox", rootfs.join("bin/sh")).unwrap();
        let runtime = Runtime::find(Some("runsc")).unwrap();
        sandbox::prepare_host(&runtime).unwrap();
        let run = |name: &str, network, script: &str| {
            let mut text = Vec::new();
            let process = Process { network, ..Process::new(&rootfs, &["/bin/sh", "-c", script]) };
            let bundle = folder.path().join(name);
            let exit =
                sandbox::run(&runtime, &bundle, &process, &mut |_, piece| text.extend_from_slice(piece));
            (exit, String::from_utf8_lossy(&text).into_owned())
        };
        let script = "busybox dmesg | busybox grep -c gVisor; echo made > /tmp/made; busybox chown 12:34 /tmp/made; \
                      busybox grep CapEff /proc/self/status; echo $$; exit 7";
        for network in [Network::None, Network::Cell] {
            let (exit, text) = run(&format!("{network:?}"), network, script);
            assert_eq!(exit.unwrap(), Exit::Code(7), "{network:?} {text}");
            let lines: Vec<&str> = text.lines().collect();
            // Without the right to raw sockets, which gVisor gives to nobody.
            assert_eq!(lines[1..], ["CapEff:\t00000000a80405fb", "1"], "{network:?} {text}");
            assert_ne!(lines[0], "0", "its messages are gVisor's: {text}");
            let made = std::fs::metadata(rootfs.join("tmp/made")).unwrap();
            assert_eq!((made.uid(), made.gid()), (12, 34));
        }
        let (exit, _) = run("missing", Network::None, "exec /no/such/command");
        assert_eq!(exit.unwrap(), Exit::Code(127));
        let process = Process::new(&rootfs, &["/no/such/command"]);
        let error = sandbox::run(&runtime, &folder.path().join("absent"), &process, &mut |_, _| {});
        assert!(matches!(error, Err(Error::NotExecutable { .. })), "{error:?}");
    });
}
