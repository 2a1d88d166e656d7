//! A test in a network of its own, where it is alone and may have any address: the link-local one of the
//! metadata service, which must never be asked from the machine's network. In: a test's name. Out: the test
//! once more, in a process of its own. Its databases are reached as before, by their unix socket.

use std::process::Command;

const INSIDE: &str = "SLIPWAY_TEST_INSIDE";
const SETUP: &str = "ip link set lo up && ip address add 169.254.169.254/32 dev lo && exec \"$@\"";

/// True inside. Outside it runs `test` (its path within the test program) inside, with these variables, and
/// answers false: everything is done then.
///
/// # Panics
/// The test fails inside, or there is no `unshare` (util-linux) or `ip` (iproute2).
#[must_use]
pub fn in_its_own_network(test: &str, variables: &[(&str, &str)]) -> bool {
    if std::env::var(INSIDE).is_ok_and(|inside| inside == test) {
        return true;
    }
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--", "sh", "-c", SETUP, "sh"]);
    command.arg(std::env::current_exe().expect("the test program")).args(["--exact", test, "--nocapture"]);
    command.env(INSIDE, test).envs(variables.iter().copied());
    let output = command.output().expect("unshare of util-linux starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let also = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{test} in its own network:\n{said}\n{also}"
    );
    false
}
