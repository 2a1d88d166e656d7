//! What a process in the sandbox sees, and what it does not.
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod support;

use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sandbox::{Error, Exit, Network, Process, Runtime, RuntimeKind, Stop, Stream};
use support::inside;

/// A root folder with a static busybox, and a runtime made ready.
struct World {
    folder: tempfile::TempDir,
    runtime: Runtime,
}

impl World {
    fn new(kind: RuntimeKind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let rootfs = folder.path().join("rootfs");
        for name in ["bin", "proc", "sys", "dev", "etc", "tmp"] {
            std::fs::create_dir_all(rootfs.join(name)).unwrap();
        }
        std::fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
        std::os::unix::fs::symlink("busybox", rootfs.join("bin/sh")).unwrap();
        let runtime = Runtime::find(Some(kind.name())).unwrap();
        sandbox::prepare_host(&runtime).unwrap();
        Self { folder, runtime }
    }

    fn rootfs(&self) -> PathBuf {
        self.folder.path().join("rootfs")
    }

    fn run(&self, process: &Process<'_>) -> Result<(Exit, String), Error> {
        let mut text = Vec::new();
        let bundle = self.folder.path().join("bundle");
        let exit =
            sandbox::run(&self.runtime, &bundle, process, &mut |_, piece| text.extend_from_slice(piece))?;
        Ok((exit, String::from_utf8_lossy(&text).into_owned()))
    }

    fn shell(&self, script: &str) -> String {
        let rootfs = self.rootfs();
        let (exit, text) = self.run(&shell(&rootfs, script)).unwrap();
        assert_eq!(exit, Exit::Code(0), "{text}");
        text
    }
}

fn shell<'a>(rootfs: &'a Path, script: &str) -> Process<'a> {
    let script =
        format!("for a in cat ls grep id sleep mount setsid; do alias $a=\"busybox $a\"; done\n{script}");
    let mut process = Process::new(rootfs, &["/bin/sh", "-c", &script]);
    process.env = vec!["PATH=/bin".into()];
    process
}

fn with_both_runtimes(story: fn(World)) {
    inside(|| {
        for kind in [RuntimeKind::Runc, RuntimeKind::Crun] {
            story(World::new(kind));
        }
    });
}

#[test]
fn output_and_exit_code_come_back_apart() {
    with_both_runtimes(|world| {
        let rootfs = world.rootfs();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let process = shell(&rootfs, "echo out; echo err >&2; exit 7");
        let exit =
            sandbox::run(&world.runtime, &world.folder.path().join("b"), &process, &mut |s, p| match s {
                Stream::Stdout => out.extend_from_slice(p),
                Stream::Stderr => err.extend_from_slice(p),
            });
        assert_eq!(exit.unwrap(), Exit::Code(7));
        assert_eq!((out.as_slice(), err.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    });
}

#[test]
fn capabilities_are_dockers_and_no_privilege_can_be_gained() {
    with_both_runtimes(|world| {
        let text = world.shell("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status");
        for line in [
            "CapInh:\t0000000000000000",
            "CapEff:\t00000000a80425fb",
            "CapBnd:\t00000000a80425fb",
            "CapAmb:\t0000000000000000",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    });
}

#[test]
fn no_descriptor_above_two_is_open() {
    with_both_runtimes(|world| {
        let leaked = std::fs::File::open("/").unwrap();
        nix::fcntl::fcntl(&leaked, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
        assert!(leaked.as_raw_fd() > 2);
        let text = world
            .shell("n=0; while [ $n -lt 64 ]; do [ -e /proc/$$/fd/$n ] && echo $n; n=$((n+1)); done; true");
        assert_eq!(text, "0\n1\n2\n");
    });
}

#[test]
fn kernel_files_are_masked_and_sys_is_read_only() {
    with_both_runtimes(|world| {
        let text = world.shell(
            "cat /proc/keys /proc/kcore 2>/dev/null; ls -A /sys/firmware; ls -A /sys/fs/cgroup\n\
             for f in /sys/kernel/profiling /proc/sys/kernel/core_pattern /sys/fs/cgroup/x; do\n\
             (echo x > $f) 2>/dev/null && echo wrote $f; done\n\
             mount -t tmpfs none /tmp 2>/dev/null && echo mounted; true",
        );
        assert_eq!(text, "");
    });
}

#[test]
fn a_file_can_be_shown_below_dev_without_a_trace_in_the_root_folder() {
    with_both_runtimes(|world| {
        let (rootfs, file) = (world.rootfs(), world.folder.path().join("shown"));
        std::fs::write(&file, "shown\n").unwrap();
        let destination = "/dev/slipway/file".into();
        let shown = vec![sandbox::Shown { source: file, destination }];
        let script = "cat /dev/slipway/file; (echo x > /dev/slipway/file) 2>/dev/null || echo read-only";
        let process = Process { uid: 1000, shown, ..shell(&rootfs, script) };
        assert_eq!(world.run(&process).unwrap().1, "shown\nread-only\n");
        assert_eq!(std::fs::read_dir(rootfs.join("dev")).unwrap().count(), 0);
    });
}

#[test]
fn processes_hosts_and_networks_of_others_are_not_seen() {
    with_both_runtimes(|world| {
        let text = world.shell("echo $$; cat /proc/sys/kernel/hostname; ls /proc/sys/net/ipv4/conf");
        assert_eq!(text, "1\nsandbox\nall\ndefault\nlo\n");
        let rootfs = world.rootfs();
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let process =
            Process { network: Network::Cell, ..shell(&rootfs, "busybox readlink /proc/self/ns/net") };
        assert_eq!(world.run(&process).unwrap().1.trim(), own.to_str().unwrap());
    });
}

#[test]
fn user_and_groups_are_as_asked_for() {
    with_both_runtimes(|world| {
        let rootfs = world.rootfs();
        let process =
            Process { uid: 1000, gid: 100, groups: vec![100, 7], ..shell(&rootfs, "id -u; id -g; id -G") };
        assert_eq!(world.run(&process).unwrap().1, "1000\n100\n100 7\n");
    });
}

#[test]
fn files_made_inside_belong_to_the_same_id_outside() {
    use std::os::unix::fs::MetadataExt;
    with_both_runtimes(|world| {
        world.shell("echo x > /tmp/made && busybox chown 12:34 /tmp/made");
        let made = std::fs::metadata(world.rootfs().join("tmp/made")).unwrap();
        assert_eq!((made.uid(), made.gid()), (12, 34));
    });
}

#[test]
fn a_daemon_that_holds_the_output_open_dies_with_the_command() {
    with_both_runtimes(|world| {
        let started = Instant::now();
        let text = world
            .shell("(trap '' TERM HUP; setsid sh -c 'busybox sleep 600 & busybox sleep 600' &) ; echo done");
        assert_eq!(text, "done\n");
        assert!(started.elapsed() < Duration::from_secs(60));
    });
}

#[test]
fn a_missing_command_is_the_users_own_fault() {
    with_both_runtimes(|world| {
        let rootfs = world.rootfs();
        std::fs::write(rootfs.join("bin/no-mode"), "#!/bin/sh\n").unwrap();
        for command in ["no-such-command", "/no/such/command", "/bin/no-mode"] {
            let mut process = Process::new(&rootfs, &[command]);
            process.env = vec!["PATH=/bin".into()];
            let error = world.run(&process).unwrap_err();
            assert!(matches!(error, Error::NotExecutable { .. }), "{command}: {error:?}");
        }
    });
}

#[test]
fn a_refusal_is_told_in_the_runtimes_words() {
    with_both_runtimes(|world| {
        let missing = world.folder.path().join("missing");
        let error = world.run(&Process::new(&missing, &["/bin/true"])).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("missing"), "{error}");
    });
}

#[test]
fn stopping_ends_what_runs_and_keeps_the_rest_from_starting() {
    with_both_runtimes(|world| {
        let (rootfs, stop) = (world.rootfs(), Stop::default());
        let process = Process { stop: Some(&stop), ..shell(&rootfs, "trap '' TERM INT; echo up; sleep 600") };
        let bundle = world.folder.path().join("stopped");
        std::thread::scope(|scope| {
            let (up, is_up) = std::sync::mpsc::channel();
            let (world, process, bundle) = (&world, &process, &bundle);
            let run = scope.spawn(move || {
                sandbox::run(&world.runtime, bundle, process, &mut |_, _| up.send(()).unwrap())
            });
            is_up.recv().unwrap();
            stop.stop();
            assert!(matches!(run.join().unwrap(), Err(Error::Stopped)));
        });
        assert!(matches!(world.run(&process), Err(Error::Stopped)));
    });
}

#[test]
fn a_probe_says_that_the_runtime_works() {
    with_both_runtimes(|world| {
        let took = world.runtime.probe(world.folder.path()).unwrap();
        assert!(took < Duration::from_secs(30));
    });
}
