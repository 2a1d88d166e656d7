//! Both versions on folders that look like the kernel's. That the kernel does what is written there is shown by
//! the stories of limits (`cli/tests/limits.rs`), which `scripts/verify cgroup2` tells under version 2.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use tempfile::TempDir;

use super::*;

const LIMITS: RunLimits = RunLimits {
    memory: Some(64 << 20),
    processes: Some(100),
    millicores: Some(1500),
    disk: None,
    inodes: None,
    file_size: None,
};

/// The kernel makes the files of a folder; here it is done between the making and the limits.
fn with_files(folder: &Path, files: &[&str]) -> RunCgroup {
    std::fs::create_dir_all(folder).unwrap();
    files.iter().for_each(|file| std::fs::write(folder.join(file), "").unwrap());
    RunCgroup { folders: vec![folder.to_owned()], version: Version::Two }
}

fn read(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join(file)).unwrap()
}

fn version_one(root: &TempDir, controllers: &[&str]) -> Cgroups {
    let roots: Vec<_> = controllers.iter().map(|name| root.path().join(name).join("slipway")).collect();
    roots.iter().for_each(|root| std::fs::create_dir_all(root).unwrap());
    Cgroups::at(roots)
}

fn version_two(root: &TempDir, handed_down: &str) -> Cgroups {
    let folder = root.path().join("slipway");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("cgroup.controllers"), "cpu memory pids").unwrap();
    std::fs::write(folder.join("cgroup.subtree_control"), handed_down).unwrap();
    Cgroups::at(vec![folder])
}

#[test]
fn a_host_bounds_runs_only_with_memory_and_processes() {
    let root = || tempfile::tempdir().unwrap();
    assert!(version_one(&root(), &["memory", "pids", "cpu"]).bound_runs());
    assert!(!version_one(&root(), &["cpu", "memory"]).bound_runs());
    assert!(version_two(&root(), "cpu memory pids").bound_runs());
    assert!(!version_two(&root(), "cpu pids").bound_runs(), "it is not handed down");
    assert!(!Cgroups::at(Vec::new()).bound_runs());
}

#[test]
fn a_run_whose_limits_cant_be_set_has_no_cgroup_left() {
    let root = tempfile::tempdir().unwrap();
    // A plain folder: what the kernel would make in it is missing.
    let refused = version_one(&root, &["memory", "pids", "cpu"]).make("run", &LIMITS).unwrap_err();
    assert!(refused.to_string().contains("memory.limit_in_bytes"), "{refused}");
    assert!(!root.path().join("memory/slipway/run").exists());
}

#[test]
fn version_two_has_one_folder_with_every_limit() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    let files = ["memory.max", "memory.swap.max", "pids.max", "cpu.max", "cgroup.procs"];
    let cgroup = with_files(&folder, &files);
    cgroup.limit(&LIMITS).unwrap();
    cgroup.place(7).unwrap();
    let written: Vec<_> = files.iter().map(|file| read(&folder, file)).collect();
    assert_eq!(written, ["67108864", "0", "100", "150000 100000", "7"]);
    assert_eq!(cgroup.processes(), Some(vec![7]));
}

#[test]
fn it_is_stopped_and_let_go_on_as_each_version_has_it() {
    let root = tempfile::tempdir().unwrap();
    let mut cgroup = with_files(root.path(), &["freezer.state", "cgroup.freeze"]);
    cgroup.freeze(true);
    cgroup.version = Version::One;
    cgroup.freeze(false);
    assert_eq!([read(root.path(), "cgroup.freeze"), read(root.path(), "freezer.state")], ["1", "THAWED"]);
}

#[test]
fn without_swap_accounting_there_are_limits_all_the_same() {
    let root = tempfile::tempdir().unwrap();
    let cgroup = with_files(&root.path().join("run"), &["memory.max", "pids.max", "cpu.max"]);
    cgroup.limit(&LIMITS).unwrap();
}

#[test]
fn what_was_refused_is_read_as_each_version_tells_it() {
    let root = tempfile::tempdir().unwrap();
    let mut cgroup = with_files(root.path(), &[]);
    std::fs::write(root.path().join("memory.events"), "low 0\noom 4\noom_kill 2\noom_group_kill 1\n")
        .unwrap();
    std::fs::write(root.path().join("memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
        .unwrap();
    std::fs::write(root.path().join("pids.events"), "max 9\n").unwrap();
    assert_eq!(cgroup.refused(), Refused { oom_kills: 2, forks: 9 });
    cgroup.version = Version::One;
    assert_eq!(cgroup.refused(), Refused { oom_kills: 3, forks: 9 });
}

#[test]
fn version_one_has_a_quota_of_a_period() {
    let written = settings(Version::One, &LIMITS).into_iter().map(|setting| (setting.file, setting.value));
    let written: Vec<_> = written.filter(|(file, _)| file.starts_with("cpu")).collect();
    assert_eq!(
        written,
        [("cpu.cfs_period_us", "100000".to_owned()), ("cpu.cfs_quota_us", "150000".to_owned())]
    );
}
