//! RUN: one process in the sandbox, on top of the parent's files.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use model::{BuildNetwork, Exec, Failure, Limit};
use rustix::fs::FileType;
use sandbox::{Exit, Network, Process};

use crate::accounts::{Account, Accounts};
use crate::error::disk_full;
use crate::layers::{Layers, Stack};
use crate::log::VertexLog;
use crate::rooted::{Root, stat};
use crate::secrets::Given;
use crate::trust::{self, Trusted};
use crate::{Error, Workshop};

const HOSTNAME: &str = "buildkitsandbox";
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where every RUN has a file system of its own.
const MOUNT_PLACES: [&str; 3] = ["proc", "sys", "dev"];

/// Less free space than this after a failed command, and the disk is to blame.
const FULL: u64 = 1 << 20;

/// What all RUNs of a build share.
pub(crate) struct Runner<'a> {
    workshop: &'a Workshop<'a>,
    epoch: Option<i64>,
    network: OnceLock<Result<Network, Failure>>,
    resolv_conf: PathBuf,
    hosts: PathBuf,
    pub(crate) stop: sandbox::Stop,
}

impl<'a> Runner<'a> {
    /// Writes the two files that every RUN is shown.
    ///
    /// # Errors
    /// The scratch folder can't be written.
    pub(crate) fn new(workshop: &'a Workshop<'a>, epoch: Option<i64>) -> Result<Self, Error> {
        let write = |name: &str, text: &str| -> Result<PathBuf, Error> {
            let path = workshop.scratch.join(name);
            std::fs::write(&path, text).map_err(Error::io(format!("Writing {name}")))?;
            Ok(path)
        };
        // The forwarder of the cell's network (slirp4netns' default).
        let resolv_conf = write("resolv.conf", "nameserver 10.0.2.3\n")?;
        let hosts = format!("127.0.0.1\tlocalhost {HOSTNAME}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        let hosts = write("hosts", &hosts)?;
        Ok(Self {
            workshop,
            epoch,
            network: OnceLock::new(),
            resolv_conf,
            hosts,
            stop: sandbox::Stop::default(),
        })
    }

    /// Runs it to its end and answers the layer's folder.
    ///
    /// # Errors
    /// The user is unknown, the sandbox refuses, or the command fails.
    pub(crate) fn run(
        &self,
        exec: &Exec,
        number: usize,
        parent: &Stack,
        layers: &Layers<'_>,
        log: &VertexLog<'_>,
    ) -> Result<snapshot::LayerDir, Error> {
        let lowers = layers.folders(parent)?;
        let active = layers.snapshots.prepare(&lowers, true).map_err(|error| error.failure())?;
        let root = Root::open(active.root()).map_err(Error::errno("Opening", active.root()))?;
        refuse_taken_places(&root)?;
        let account = Accounts::read(&root)?.process(&exec.user)?;
        let memory = self.workshop.scratch.join(format!("secrets-{number}"));
        let given = Given::prepare(exec, &root, &memory, &|id| self.workshop.outside.secret(id))?;
        let bundle_file = self.workshop.scratch.join(format!("ca-bundle-{number}.pem"));
        let trusted = Trusted::prepare(self.workshop.network.ca_bundle.as_deref(), &root, bundle_file)?;
        drop(root);
        let network = self.network(log)?;
        let process = self.process(exec, &account, active.root(), network, &given, &trusted);
        // It holds the environment.
        let bundle = given.memory().unwrap_or(self.workshop.scratch).join(format!("run-{number}"));
        let mut output = log.output();
        let exit = sandbox::run(self.workshop.runtime, &bundle, &process, &mut |stream, bytes| {
            output.write(stream, bytes);
        });
        let last = output.finish();
        let exit =
            exit.map_err(|error| self.because_of_the_disk(&active).unwrap_or_else(|| error.failure()))?;
        let _ = std::fs::remove_dir_all(&bundle);
        given.clear()?;
        if exit != Exit::Code(0) {
            let failed = || {
                let failed = run_failed(exec, exit, &last);
                let too_long = self.workshop.limits.file_size.is_some() && is_about_a_files_size(exit, &last);
                if too_long { Limit::FileSize.failure(self.workshop.limits, &failed.message) } else { failed }
            };
            return Err(self.because_of_the_disk(&active).unwrap_or_else(failed).into());
        }
        let root = Root::open(active.root()).map_err(Error::errno("Opening", active.root()))?;
        trusted.clear(&root)?;
        drop(root);
        Ok(active.commit().map_err(|error| error.failure())?)
    }

    fn process<'p>(
        &'p self,
        exec: &Exec,
        account: &Account,
        rootfs: &'p Path,
        network: Network,
        given: &Given,
        trusted: &Trusted,
    ) -> Process<'p> {
        let mut env = environment(exec, account, self.epoch, &given.env);
        add_sites(&mut env, self.workshop.network, trusted);
        Process {
            rootfs,
            args: exec.args.clone(),
            env,
            cwd: exec.cwd.clone(),
            uid: account.uid,
            gid: account.gid,
            groups: account.groups.clone(),
            hostname: HOSTNAME,
            network,
            shown: given.shown.iter().cloned().chain(trusted.shown()).collect(),
            file_size: self.workshop.limits.file_size,
            resolv_conf: Some(&self.resolv_conf),
            hosts: Some(&self.hosts),
            stop: Some(&self.stop),
        }
    }

    /// Asked for once, when the first RUN is about to run. A host that can't give one is no failure:
    /// many a RUN needs none.
    fn network(&self, log: &VertexLog<'_>) -> Result<Network, Failure> {
        let ask = || match self.workshop.outside.network() {
            Ok(()) => Ok(Network::Cell),
            Err(failure) if failure.kind == "network_unavailable" => {
                log.line(&format!("RUN has no network here: {}", failure.message));
                Ok(Network::None)
            }
            Err(failure) => Err(failure),
        };
        self.network.get_or_init(ask).clone()
    }

    /// A full disk is the run's own doing where this step alone has written more than the run may.
    fn because_of_the_disk(&self, active: &snapshot::Active) -> Option<Failure> {
        let disk = rustix::fs::statvfs(self.workshop.scratch).ok()?;
        let no_space = disk.f_bavail.saturating_mul(disk.f_frsize) < FULL;
        let no_inodes = disk.f_files > 0 && disk.f_favail == 0;
        if !no_space && !no_inodes {
            return None;
        }
        let (limits, written) = (self.workshop.limits, snapshot::usage(active.written()).unwrap_or_default());
        let exceeds = |limit: Option<u64>, taken| limit.is_some_and(|limit| taken >= limit);
        let full = "The command failed, and the worker's disk is full.";
        Some(match () {
            () if exceeds(limits.disk, written.bytes) => Limit::Disk.failure(limits, full),
            () if exceeds(limits.inodes, written.inodes) => Limit::Inodes.failure(limits, full),
            () => disk_full(full.to_owned()),
        })
    }
}

/// The kernel ends who writes beyond it; who ignores that is told, and tells it on.
fn is_about_a_files_size(exit: Exit, last: &[String]) -> bool {
    const XFSZ: i32 = 25;
    exit == Exit::Code(128 + XFSZ)
        || exit == Exit::Signal(XFSZ)
        || last.iter().any(|line| line.contains("File too large"))
}

/// The runtime never mounts through a link that an image brings; what it says then names no image.
fn refuse_taken_places(root: &Root) -> Result<(), Error> {
    let taken = |name: &&str| {
        let stat = stat(root, OsStr::new(name));
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::Directory)
    };
    MOUNT_PLACES.into_iter().find(taken).map_or(Ok(()), |name| Err(Error::MountPlace(name)))
}

/// Secrets, ENV and ARG, the proxies, and what Docker adds where it is not set.
fn environment(exec: &Exec, account: &Account, epoch: Option<i64>, secrets: &[String]) -> Vec<String> {
    let name_of = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let hidden: Vec<String> = secrets.iter().map(|secret| name_of(secret)).collect();
    let declared =
        exec.env.iter().chain(&exec.proxy_env).filter(|variable| !hidden.contains(&name_of(variable)));
    let mut env: Vec<String> = declared.chain(secrets).cloned().collect();
    let mut add = |variable: String| {
        let name = variable.split('=').next().unwrap_or_default();
        if !env.iter().any(|set| set.split('=').next() == Some(name)) {
            env.push(variable);
        }
    };
    add(DEFAULT_PATH.to_owned());
    add(format!("HOME={}", account.home));
    if let Some(epoch) = epoch {
        add(format!("SOURCE_DATE_EPOCH={epoch}"));
    }
    env
}

/// What the site gives, where neither the image nor the build has set it.
fn add_sites(env: &mut Vec<String>, network: &BuildNetwork, trusted: &Trusted) {
    let is_set = |env: &[String], name: &str| env.iter().any(|set| set.split('=').next() == Some(name));
    env.extend(network.proxy_variables(|name| is_set(env, name)));
    for name in trusted.variables() {
        if !is_set(env, name) {
            env.push(format!("{name}={}", trust::PLACE));
        }
    }
}

fn run_failed(exec: &Exec, exit: Exit, last: &[String]) -> Failure {
    let command = exec.args.join(" ");
    let ended = match exit {
        // Shells and runtimes report a signal so; the last real-time signal is 64.
        Exit::Code(code @ 129..=192) => format!("exit code {code} (signal {})", code - 128),
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
    };
    let mut message = format!("The command `{command}` ended with {ended}.");
    if !last.is_empty() {
        message.push_str("\nIts last lines were:\n");
        message.push_str(&last.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"));
    }
    let hint = match exit {
        Exit::Code(127) => "127 means that a program was not found: is it installed in the image?",
        Exit::Code(126) => "126 means that a file can't be executed: is it executable, for this platform?",
        Exit::Code(137) | Exit::Signal(9) => "Something killed it; too little memory does.",
        _ => "",
    };
    Failure::user("run_failed", message, hint)
}
