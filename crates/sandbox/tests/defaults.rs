//! What a process may do to the machine's kernel, beside a written list of what Docker lets it by default
//! (moby: `profiles/seccomp/default.json`, `daemon/pkg/oci/defaults.go`, `caps/defaults.go`).
#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::libc;
use sandbox::{Exit, Process, Runtime, RuntimeKind, Shown};
use support::inside;

/// Of `/proc/self/status`, for root and for anybody else.
const STATUS: [(&str, &str, &str); 7] = [
    ("CapInh", "0000000000000000", "0000000000000000"),
    ("CapPrm", "00000000a80425fb", "0000000000000000"),
    ("CapEff", "00000000a80425fb", "0000000000000000"),
    ("CapBnd", "00000000a80425fb", "00000000a80425fb"),
    ("CapAmb", "0000000000000000", "0000000000000000"),
    ("NoNewPrivs", "1", "1"),
    ("Seccomp", "2", "2"),
];

/// Calls that the filter or the kernel refuses with EPERM or ENOSYS, and their arguments as Perl has them.
const REFUSED: [(&str, i64, &str); 34] = [
    ("mount", libc::SYS_mount, "'none', '/tmp', 'tmpfs', 0, 0"),
    ("umount2", libc::SYS_umount2, "'/tmp', 0"),
    ("pivot_root", libc::SYS_pivot_root, "'/', '/tmp'"),
    ("open_tree", libc::SYS_open_tree, "-100, '/', 1"),
    ("move_mount", libc::SYS_move_mount, "0, '', 0, '', 0"),
    ("fsopen", libc::SYS_fsopen, "'tmpfs', 0"),
    ("mount_setattr", libc::SYS_mount_setattr, "-100, '/', 0, 0, 0"),
    ("a user namespace", libc::SYS_unshare, "0x10000000"),
    ("a mount namespace", libc::SYS_unshare, "0x20000"),
    ("setns", libc::SYS_setns, "0, 0"),
    ("a clone in a user namespace", libc::SYS_clone, "0x10000011, 0, 0, 0, 0"),
    ("clone3", libc::SYS_clone3, "0, 0"),
    ("keyctl", libc::SYS_keyctl, "0, -3, 1, 0, 0"),
    ("add_key", libc::SYS_add_key, "'user', 'x', 'y', 1, -3"),
    ("request_key", libc::SYS_request_key, "'user', 'x', 0, 0"),
    ("bpf", libc::SYS_bpf, "0, 0, 0"),
    ("perf_event_open", libc::SYS_perf_event_open, "0, 0, -1, -1, 0"),
    ("userfaultfd", libc::SYS_userfaultfd, "1"),
    ("io_uring_setup", libc::SYS_io_uring_setup, "1, 0"),
    ("init_module", libc::SYS_init_module, "0, 0, ''"),
    ("finit_module", libc::SYS_finit_module, "0, '', 0"),
    ("delete_module", libc::SYS_delete_module, "'x', 0"),
    ("kexec_load", libc::SYS_kexec_load, "0, 0, 0, 0"),
    ("reboot", libc::SYS_reboot, "0, 0, 0, 0"),
    ("swapon", libc::SYS_swapon, "'/x', 0"),
    ("acct", libc::SYS_acct, "0"),
    ("quotactl", libc::SYS_quotactl, "0, 0, 0, 0"),
    ("settimeofday", libc::SYS_settimeofday, "0, 0"),
    ("clock_settime", libc::SYS_clock_settime, "0, 0"),
    ("syslog", libc::SYS_syslog, "10, 0, 0"),
    ("open_by_handle_at", libc::SYS_open_by_handle_at, "-100, 0, 0"),
    ("kcmp", libc::SYS_kcmp, "1, 1, 0, 0, 0"),
    ("another personality", libc::SYS_personality, "0x40000"),
    ("a socket to the hypervisor", libc::SYS_socket, "40, 1, 0"),
];

/// Calls that Docker lets through.
const ALLOWED: [(&str, i64, &str); 5] = [
    ("chroot", libc::SYS_chroot, "'/'"),
    ("the usual personality", libc::SYS_personality, "0xffffffff"),
    ("a socket", libc::SYS_socket, "2, 1, 0"),
    ("being traced", libc::SYS_ptrace, "0, 0, 0, 0"),
    ("a named pipe", libc::SYS_mknodat, "-100, '/tmp/pipe', 0010600, 0"),
];

/// Read as empty, where this kernel has them.
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

/// Not to be written.
const READ_ONLY: [&str; 7] = [
    "/proc/bus/x",
    "/proc/fs/x",
    "/proc/irq/default_smp_affinity",
    "/proc/sys/kernel/core_pattern",
    "/proc/sysrq-trigger",
    "/sys/kernel/profiling",
    "/sys/fs/cgroup/x",
];

/// What a Perl script prints, as this user, with the machine's programs in an otherwise empty root folder.
fn perl(kind: RuntimeKind, uid: u32, script: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let rootfs = folder.path().join("rootfs");
    let mut shown = Vec::new();
    for name in ["proc", "sys", "dev", "etc", "tmp"] {
        std::fs::create_dir_all(rootfs.join(name)).unwrap();
    }
    std::fs::set_permissions(rootfs.join("tmp"), std::fs::Permissions::from_mode(0o777)).unwrap();
    for name in ["bin", "lib", "lib64", "usr"] {
        let source = Path::new("/").join(name);
        match std::fs::read_link(&source) {
            Ok(link) => std::os::unix::fs::symlink(link, rootfs.join(name)).unwrap(),
            Err(_) if source.is_dir() => {
                std::fs::create_dir(rootfs.join(name)).unwrap();
                shown.push(Shown { destination: source.clone(), source });
            }
            Err(_) => {}
        }
    }
    let runtime = Runtime::find(Some(kind.name())).unwrap();
    sandbox::prepare_host(&runtime).unwrap();
    let process = Process { uid, shown, ..Process::new(&rootfs, &["/usr/bin/perl", "-e", script]) };
    let mut text = Vec::new();
    let exit = sandbox::run(&runtime, &folder.path().join("bundle"), &process, &mut |_, piece| {
        text.extend_from_slice(piece);
    });
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(exit.unwrap(), Exit::Code(0), "{text}");
    text
}

fn with_both_runtimes(story: fn(RuntimeKind)) {
    inside(|| [RuntimeKind::Runc, RuntimeKind::Crun].into_iter().for_each(story));
}

/// The number of the error that each call ends with; 0 for none.
fn errors(kind: RuntimeKind, calls: &[(&str, i64, &str)]) -> Vec<(String, i32)> {
    let call = |(name, number, arguments): &(&str, i64, &str)| {
        // Perl passes no constant text to a system call.
        let parts: Vec<&str> = arguments.split('\'').collect();
        let texts: Vec<&str> = parts.iter().skip(1).step_by(2).copied().collect();
        let part = |(index, part): (usize, &&str)| match index % 2 {
            0 => (*part).to_owned(),
            _ => format!("$text[{}]", index / 2),
        };
        let arguments: String = parts.iter().enumerate().map(part).collect();
        format!(
            "@text = split /,/, '{}', -1; $! = 0; $r = syscall({number}, {arguments}); \
             print \"{name}\\t\", $r == -1 ? $!+0 : 0, \"\\n\";\n",
            texts.join(",")
        )
    };
    let said = perl(kind, 0, &(String::from("$| = 1;\n") + &calls.iter().map(call).collect::<String>()));
    let parse = |line: &str| {
        let (name, error) = line.split_once('\t').unwrap();
        (name.to_owned(), error.parse().unwrap())
    };
    said.lines().map(parse).collect()
}

#[test]
fn capabilities_privileges_and_filter_are_dockers() {
    with_both_runtimes(|kind| {
        for (uid, pick) in [(0, 0), (1000, 1)] {
            let text = perl(kind, uid, "open F, '/proc/self/status'; print <F>");
            for (field, root, other) in STATUS {
                let line = format!("{field}:\t{}", [root, other][pick]);
                assert!(text.lines().any(|said| said == line), "{kind:?} {uid}: no {line} in\n{text}");
            }
        }
    });
}

#[test]
fn calls_that_reach_the_machines_kernel_are_refused_and_the_usual_ones_are_not() {
    with_both_runtimes(|kind| {
        let refused = errors(kind, &REFUSED);
        assert_eq!(refused.len(), REFUSED.len(), "{kind:?} {refused:?}");
        let got = |error: i32| error != libc::EPERM && error != libc::ENOSYS;
        let through: Vec<_> = refused.iter().filter(|(_, error)| got(*error)).collect();
        assert!(through.is_empty(), "{kind:?}: {through:?}");
        let allowed = errors(kind, &ALLOWED);
        assert!(
            allowed.len() == ALLOWED.len() && allowed.iter().all(|(_, e)| *e == 0),
            "{kind:?} {allowed:?}"
        );
    });
}

#[test]
fn masked_paths_are_empty_and_read_only_ones_are_not_written() {
    with_both_runtimes(|kind| {
        let list = |paths: &[&str]| paths.join(" ");
        let script = format!(
            "for $p (qw({})) {{ if (-d $p) {{ opendir D, $p; @n = grep {{ !/^\\.\\.?$/ }} readdir D; \
             print \"$p holds @n\\n\" if @n }} elsif (-e $p) {{ $n = open(F, $p) ? sysread(F, $b, 1) : 0; \
             print \"$p is read\\n\" if $n }} }}\n\
             for $p (qw({})) {{ print \"$p is written\\n\" if open(F, '>', $p) && syswrite(F, '0') }}\n\
             print -e '/proc/keys' ? \"looked\\n\" : \"no keys\\n\"",
            list(&MASKED),
            list(&READ_ONLY)
        );
        assert_eq!(perl(kind, 0, &script), "looked\n", "{kind:?}");
    });
}
