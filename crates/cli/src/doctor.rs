//! `slipway doctor`: what this host gives for builds, what is missing, and what to do about it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use cell::{Ids, porch};
use clap::Args;
use nix::unistd::{Uid, User};
use serde::Serialize;

use crate::roles::build_network::BuildNetworkArgs;

#[derive(Debug, Args)]
#[command(after_help = "Exit code: 0 when builds can run here, 1 when something they need is missing.

Examples:
  slipway doctor
  sudo slipway doctor          what the roles find when `slipway up` is started as root
  slipway doctor --json")]
pub(crate) struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    network: BuildNetworkArgs,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Ok,
    /// Builds run, but something is weaker or slower.
    Weak,
    /// Builds can't run.
    Missing,
}

#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    level: Level,
    found: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    hint: &'static str,
}

impl Finding {
    fn new(what: &'static str, level: Level, found: impl Into<String>, hint: &'static str) -> Self {
        let hint = if level == Level::Ok { "" } else { hint };
        Self { what, level, found: found.into(), hint }
    }
}

#[expect(clippy::print_stdout, reason = "the findings are this command's result")]
pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let findings = examine(args);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        findings.iter().for_each(print);
    }
    let missing = findings.iter().any(|finding| finding.level == Level::Missing);
    Ok(if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[expect(clippy::print_stdout, reason = "the findings are this command's result")]
fn print(finding: &Finding) {
    let (style, word) = match finding.level {
        Level::Ok => (console::Style::new().green(), "ok     "),
        Level::Weak => (console::Style::new().yellow(), "weak   "),
        Level::Missing => (console::Style::new().red(), "missing"),
    };
    println!("{} {:<16} {}", style.apply_to(word), finding.what, finding.found);
    if !finding.hint.is_empty() {
        println!("        {:<16} {}", "", finding.hint);
    }
}

fn examine(args: &DoctorArgs) -> Vec<Finding> {
    vec![
        identity(),
        kernel(),
        subordinate_ids(),
        tool("newuidmap", Level::Missing, "Install Debian's package `uidmap`."),
        runtime(),
        tool(
            "slirp4netns",
            Level::Weak,
            "Install Debian's package `slirp4netns`, or RUN steps have no network.",
        ),
        tool(
            "ssh",
            Level::Weak,
            "Install Debian's package `openssh-client`, or no source is fetched over ssh.",
        ),
        tun(),
        cgroups(),
        site(&args.network),
        postgres(),
        tool(
            "docker-registry",
            Level::Weak,
            "Install Debian's package `docker-registry`, or name one with --registry.",
        ),
    ]
}

fn identity() -> Finding {
    match Uid::effective().is_root() {
        true => Finding::new("identity", Level::Ok, "root: each role becomes a user of its own", ""),
        false => Finding::new(
            "identity",
            Level::Weak,
            "an ordinary user: all roles run as one user",
            "Start `slipway up` as root, so that builds can't reach the registry's credential.",
        ),
    }
}

fn kernel() -> Finding {
    let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    let release = release.unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let level = if version >= (6, 1) { Level::Ok } else { Level::Missing };
    Finding::new("kernel", level, format!("Linux {release}"), "Linux 6.1 (Debian 12's) or newer is needed.")
}

fn subordinate_ids() -> Finding {
    let root = Uid::effective().is_root();
    let user = User::from_uid(Uid::effective()).ok().flatten();
    let name =
        if root { porch::WORKER_USER.to_owned() } else { user.map(|user| user.name).unwrap_or_default() };
    let uid = User::from_name(&name).ok().flatten().map_or(u32::MAX, |user| user.uid.as_raw());
    let what = "subordinate ids";
    match Ids::of(&name, uid) {
        Ok(ids) => {
            Finding::new(what, Level::Ok, format!("{name}: {} from {}", ids.users.count, ids.users.start), "")
        }
        Err(_) if root => Finding::new(what, Level::Ok, "made when `slipway up` starts", ""),
        Err(error) => Finding::new(
            what,
            Level::Missing,
            error.to_string(),
            "As root: usermod --add-subuids 524288-589823 --add-subgids 524288-589823 USER (any free range).",
        ),
    }
}

fn tool(name: &'static str, without: Level, hint: &'static str) -> Finding {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(Into::into));
    match folders.map(|folder| folder.join(name)).find(|path| path.is_file()) {
        Some(path) => Finding::new(name, Level::Ok, path.display().to_string(), ""),
        None => Finding::new(name, without, "not found", hint),
    }
}

fn runtime() -> Finding {
    let hint = "Install Debian's package `crun` (or `runc`).";
    match sandbox::Runtime::find(None) {
        Ok(runtime) => Finding::new("OCI runtime", Level::Ok, runtime.path.display().to_string(), ""),
        Err(error) => Finding::new("OCI runtime", Level::Missing, error.to_string(), hint),
    }
}

fn tun() -> Finding {
    let opens = std::fs::File::options().read(true).write(true).open("/dev/net/tun").is_ok();
    let hint = "Let users open /dev/net/tun (mode 0666), or RUN steps have no network.";
    match (opens, Uid::effective().is_root()) {
        (true, _) => Finding::new("/dev/net/tun", Level::Ok, "opens", ""),
        (false, true) => Finding::new("/dev/net/tun", Level::Ok, "the worker makes a node of its own", ""),
        (false, false) => Finding::new("/dev/net/tun", Level::Weak, "does not open", hint),
    }
}

fn cgroups() -> Finding {
    let roots = porch::cgroup_roots();
    let version = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { 2 } else { 1 };
    let has = |controller: &str| {
        version == 2
            || roots.iter().any(|root| root.parent().is_some_and(|parent| parent.ends_with(controller)))
    };
    let enough = has("memory") && has("pids");
    if Uid::effective().is_root() && enough {
        return Finding::new(
            "limits",
            Level::Ok,
            format!("cgroup version {version}, handed to the worker"),
            "",
        );
    }
    let writable = |root: &PathBuf| nix::unistd::access(root, nix::unistd::AccessFlags::W_OK).is_ok();
    let hint = "Start `slipway up` as root, or delegate a cgroup: without one a run has no limits.";
    match enough && !roots.is_empty() && roots.iter().all(writable) {
        true => Finding::new("limits", Level::Ok, format!("cgroup version {version}, delegated"), ""),
        false => Finding::new("limits", Level::Weak, "limits: none (no cgroup is delegated)", hint),
    }
}

/// What every RUN would be given, from the same arguments and variables as the worker's.
fn site(args: &BuildNetworkArgs) -> Finding {
    let what = "RUN's network";
    let read = match args.read() {
        Ok(read) => read,
        Err(error) => {
            return Finding::new(
                what,
                Level::Missing,
                format!("{error:#}"),
                "Mend --build-ca-bundle, or leave it out.",
            );
        }
    };
    let mut found = Vec::new();
    if let (Some(file), Some(bundle)) = (args.bundle_file(), &read.ca_bundle) {
        let count = bundle.certificates().len();
        found.push(format!("trusts {count} certificate(s) of {} beside the image's", file.display()));
    }
    found.extend(
        read.network.proxy_variables(|_| false).into_iter().filter(|v| v.starts_with(char::is_uppercase)),
    );
    if found.is_empty() {
        found.push("trusts what its image does; no proxy".to_owned());
    }
    Finding::new(what, Level::Ok, found.join(", "), "")
}

fn postgres() -> Finding {
    let hint = "Install Debian's package `postgresql`, or set DATABASE_URL.";
    match database::cluster::find_binaries() {
        Some(binaries) => {
            let version =
                Command::new(binaries.folder.join("postgres")).arg("--version").stdin(Stdio::null()).output();
            let version = version.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
            Finding::new("PostgreSQL", Level::Ok, version.unwrap_or_default(), "")
        }
        None => Finding::new("PostgreSQL", Level::Weak, "not installed", hint),
    }
}
