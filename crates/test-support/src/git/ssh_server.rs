//! A real `sshd` (Debian's `openssh-server`) on loopback, as an ordinary user, with a host key and a port of its
//! own. One key may sign in, and run nothing but git's own commands (git-shell). It ends when dropped.

use std::fs::Permissions;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::{Uid, User};
use tempfile::TempDir;

use super::server::GIT_HOSTS;
use crate::registry::die_with_parent;

/// A git host that speaks ssh.
#[derive(Debug)]
pub struct SshServer {
    folder: TempDir,
    user: User,
    port: u16,
    process: Child,
}

impl SshServer {
    /// Serves what its user may read: as root that is the ordinary user of the tests.
    ///
    /// # Panics
    /// `sshd`, `ssh-keygen` or the user is missing.
    #[must_use]
    pub fn start() -> Self {
        let folder = TempDir::with_prefix("ssh-").expect("a temporary folder");
        let user = match Uid::effective().is_root() {
            true => User::from_name("slipway-test")
                .expect("a list of users")
                .expect("`scripts/setup test` makes it"),
            false => User::from_uid(Uid::effective()).expect("a list of users").expect("we have a name"),
        };
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("opening the folder");
        for name in ["host", "client", "stranger"] {
            make_key(&folder.path().join(name));
        }
        let serve = "#!/bin/sh\nprintf '%s\\n' \"$SSH_ORIGINAL_COMMAND\" >> \"$0.commands\"\n\
                     export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'\n\
                     exec git-shell -c \"$SSH_ORIGINAL_COMMAND\"\n";
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("serve"), serve).expect("writing a script");
        std::fs::set_permissions(path("serve"), Permissions::from_mode(0o755)).expect("a script that runs");
        std::fs::write(path("serve.commands"), "").expect("a list of commands");
        let public = std::fs::read_to_string(path("client.pub")).expect("the public half");
        let allowed = format!("command=\"{}\",restrict {public}", path("serve").display());
        std::fs::write(path("authorized_keys"), allowed).expect("writing whom it knows");
        for own in ["host", "serve.commands"] {
            chown(path(own), Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("giving a file away");
        }
        // Somebody else may take the port between our look and sshd's start.
        for _ in 0..5 {
            if let Some((port, process)) = try_start(folder.path(), &user) {
                return Self { folder, user, port, process };
            }
        }
        panic!("sshd (Debian's package `openssh-server`) does not start")
    }

    /// Address of a repository by its folder, in the form with a scheme.
    #[must_use]
    pub fn url(&self, repository: &Path) -> String {
        let path = repository.display().to_string().replace('%', "%25").replace(' ', "%20");
        format!("ssh://{}@{GIT_HOSTS}:{}{path}", self.user.name, self.port)
    }

    /// The private key that may sign in.
    #[must_use]
    pub fn key(&self) -> String {
        self.read("client")
    }

    /// A private key that may not.
    #[must_use]
    pub fn strangers_key(&self) -> String {
        self.read("stranger")
    }

    /// The line of known_hosts that it is known by.
    #[must_use]
    pub fn known_hosts(&self) -> String {
        self.known_by("host.pub")
    }

    /// A line that names it with another host's key.
    #[must_use]
    pub fn wrong_known_hosts(&self) -> String {
        self.known_by("stranger.pub")
    }

    /// The commands that were asked for, oldest first.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        self.read("serve.commands").lines().map(str::to_owned).collect()
    }

    /// What it does from now on instead of serving git: a shell's script.
    pub fn serve_instead(&self, script: &str) {
        let text =
            format!("#!/bin/sh\nprintf '%s\\n' \"$SSH_ORIGINAL_COMMAND\" >> \"$0.commands\"\n{script}\n");
        let (new, serve) = (self.folder.path().join("serve.new"), self.folder.path().join("serve"));
        std::fs::write(&new, text).expect("writing a script");
        std::fs::set_permissions(&new, Permissions::from_mode(0o755)).expect("a script that runs");
        std::fs::rename(new, serve).expect("naming a script");
    }

    /// The port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).expect("a file of ours")
    }

    fn known_by(&self, public: &str) -> String {
        let key = self.read(public);
        let key: Vec<&str> = key.split_whitespace().take(2).collect();
        format!("[{GIT_HOSTS}]:{} {}\n", self.port, key.join(" "))
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn make_key(file: &Path) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]).arg(file);
    let status = command.status().expect("ssh-keygen (Debian's package `openssh-client`)");
    assert!(status.success(), "ssh-keygen: {status}");
}

fn try_start(folder: &Path, user: &User) -> Option<(u16, Child)> {
    let free = TcpListener::bind((GIT_HOSTS, 0)).expect("a free port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let here = folder.display();
    let configuration = format!(
        "ListenAddress {GIT_HOSTS}:{port}\nHostKey {here}/host\nAuthorizedKeysFile {here}/authorized_keys\nPidFile none\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\n"
    );
    std::fs::write(folder.join("sshd_config"), configuration).expect("writing the configuration");
    // It wants to be called by its whole name.
    let mut command = match Uid::effective().is_root() {
        true => {
            let mut command = Command::new("setpriv");
            let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
            command.args([
                "--reuid",
                &uid,
                "--regid",
                &gid,
                "--clear-groups",
                "--pdeathsig",
                "KILL",
                "--",
                "/usr/sbin/sshd",
            ]);
            command
        }
        false => Command::new("/usr/sbin/sshd"),
    };
    let log = std::fs::File::create(folder.join("sshd.log")).expect("a log");
    command.args(["-D", "-e", "-f"]).arg(folder.join("sshd_config"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    die_with_parent(&mut command);
    let mut process = command.spawn().expect("sshd (Debian's package `openssh-server`)");
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline && matches!(process.try_wait(), Ok(None)) {
        if TcpStream::connect((GIT_HOSTS, port)).is_ok() {
            return Some((port, process));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = process.kill();
    let _ = process.wait();
    None
}
