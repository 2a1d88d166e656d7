//! A test in a network of its own, where it is alone and may have any address: the link-local one of the
//! metadata service, which must never be asked from the machine's network. In: a test's name. Out: the test
//! once more, in a process of its own. Its databases are reached as before, by their unix socket.

use std::process::Command;

const INSIDE: &str = "SLIPWAY_TEST_INSIDE";
/// The metadata service's.
const METADATA: &str = "169.254.169.254/32";

/// A network of a test's own.
#[derive(Debug, Clone, Copy)]
pub struct Network<'a> {
    /// Addresses of this network's only host, the test itself, with their prefixes.
    pub addresses: &'a [&'a str],
    /// Who knows names; nobody when absent.
    pub nameserver: Option<&'a str>,
    /// Whether the test has to be the machine's root there, and not one of a user namespace.
    pub as_root: bool,
}

/// True inside. Outside it runs `test` (its path within the test program) inside, with these variables, and
/// answers false: everything is done then.
///
/// # Panics
/// The test fails inside, or there is no `unshare` (util-linux) or `ip` (iproute2).
#[must_use]
pub fn in_its_own_network(test: &str, variables: &[(&str, &str)]) -> bool {
    Network { addresses: &[METADATA], nameserver: None, as_root: false }.is_inside(test, variables)
}

impl Network<'_> {
    /// As [`in_its_own_network`].
    ///
    /// # Panics
    /// As [`in_its_own_network`].
    #[must_use]
    pub fn is_inside(&self, test: &str, variables: &[(&str, &str)]) -> bool {
        if std::env::var(INSIDE).is_ok_and(|inside| inside == test) {
            return true;
        }
        let variables = [(INSIDE, test)].into_iter().chain(variables.iter().copied());
        let mut command = self.unshare(variables);
        command.args(["--net", "--mount", "--", "sh", "-ec", &self.setup(), "sh"]);
        command.arg(std::env::current_exe().expect("the test program")).args([
            "--exact",
            test,
            "--nocapture",
        ]);
        let output = command.output().expect("unshare of util-linux starts");
        let said = String::from_utf8_lossy(&output.stdout);
        let also = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{test} in its own network:\n{said}\n{also}"
        );
        false
    }

    fn unshare<'v>(&self, variables: impl Iterator<Item = (&'v str, &'v str)>) -> Command {
        let mut command = Command::new("env");
        if !nix::unistd::geteuid().is_root() && self.as_root {
            let prefix =
                std::env::var("SLIPWAY_TEST_AS_ROOT").expect("run `make test`, which makes both identities");
            let mut words = prefix.split_whitespace();
            command = Command::new(words.next().expect("a program"));
            command.args(words).arg("env");
        }
        command.args(variables.map(|(name, value)| format!("{name}={value}"))).arg("unshare");
        if !nix::unistd::geteuid().is_root() && !self.as_root {
            command.args(["--user", "--map-root-user"]);
        }
        command
    }

    fn setup(&self) -> String {
        let mut lines = vec!["ip link set lo up".to_owned()];
        for address in self.addresses {
            // Not every kernel has dummy devices.
            lines.push(format!("ip address add {address} dev lo"));
        }
        if let Some(nameserver) = self.nameserver {
            lines.push("mount -t tmpfs tmpfs /mnt".to_owned());
            lines.push(format!("echo nameserver {nameserver} >/mnt/resolv.conf"));
            lines.push("mount --bind /mnt/resolv.conf /etc/resolv.conf".to_owned());
        }
        lines.push("exec \"$@\"".to_owned());
        lines.join("\n")
    }
}
