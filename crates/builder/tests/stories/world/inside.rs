//! Runs a test once more inside namespaces of its own, as a cell would: with ordinary rights in a user
//! namespace of subordinate ids, with root's in a mount and a pid namespace.

use std::process::Command;

const MARK: &str = "SLIPWAY_TEST_INSIDE";

/// The story, told inside. Its panic is this test's panic.
pub(crate) fn inside(story: impl FnOnce()) {
    if std::env::var_os(MARK).is_some() {
        return story();
    }
    let name = std::thread::current().name().expect("a test's thread has its name").to_owned();
    let mut unshare = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        unshare.args(["--user", "--map-auto", "--map-root-user"]);
    }
    let output = unshare
        .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(std::env::current_exe().expect("a test knows its program"))
        .args([&name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .output()
        .expect("unshare of util-linux starts");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "inside the namespaces:\n{text}");
}
