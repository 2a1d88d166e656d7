//! The local registry: Debian's `docker-registry` as a child, when none is configured.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use cell::porch;
use tokio::process::Command;

use super::children::Kept;
use super::layout::Layout;
use super::start_as;

/// Its usual port; another free one where that is taken.
const USUAL_PORT: u16 = 5000;

/// A registry on loopback that `up` runs.
pub(crate) struct LocalRegistry {
    pub(crate) address: String,
    program: PathBuf,
    config: PathBuf,
    reservation: Reservation,
}

impl LocalRegistry {
    /// Chooses its port, which stays the same from start to start, and writes its configuration.
    pub(crate) fn prepare(layout: &Layout) -> anyhow::Result<Self> {
        let program = find("docker-registry").context(
            "no local registry: install Debian's package `docker-registry`, or name another with --registry",
        )?;
        let folder = layout.registry();
        let reservation = reserve_port(&layout.data.join("registry-port"))?;
        let address = format!("127.0.0.1:{}", reservation.port);
        let config = layout.runtime.join("registry.yml");
        std::fs::write(&config, configuration(&address, &folder))?;
        Ok(Self { address, program, config, reservation })
    }

    /// How it is kept running.
    pub(crate) fn kept(self, layout: &Layout) -> Kept {
        let Self { program, config, reservation, .. } = self;
        let as_root = layout.as_root;
        let log = layout.runtime.join("registry.log");
        let command = move || {
            let _held = &reservation;
            let mut command = Command::new(&program);
            command.arg("serve").arg(&config).env_clear().current_dir("/");
            // Its access log is of use to whoever looks for it, and noise to everybody else.
            let output = || std::fs::File::options().create(true).append(true).open(&log);
            match (output(), output()) {
                (Ok(out), Ok(err)) => command.stdout(out).stderr(err),
                _ => command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()),
            };
            start_as(&mut command, as_root.then_some(porch::REGISTRY_USER));
            command
        };
        Kept { name: "registry", patience: Duration::from_secs(5), command: Box::new(command) }
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A port that no other Slipway of this machine takes while this is held: the registry itself binds it
/// only later.
struct Reservation {
    port: u16,
    _name: UnixListener,
}

/// The port of the last start, else the usual one or any.
fn reserve_port(memory: &Path) -> anyhow::Result<Reservation> {
    if let Some(port) = std::fs::read_to_string(memory).ok().and_then(|text| text.trim().parse().ok()) {
        let taken =
            || format!("the local registry's port {port} is taken: free it, or remove {}", memory.display());
        return reserve(port).with_context(taken);
    }
    let any = || (0..100).find_map(|_| reserve(0).ok());
    let reservation =
        reserve(USUAL_PORT).ok().or_else(any).context("no port is free for the local registry")?;
    std::fs::write(memory, reservation.port.to_string())?;
    Ok(reservation)
}

fn reserve(port: u16) -> std::io::Result<Reservation> {
    let port = TcpListener::bind(("127.0.0.1", port))?.local_addr()?.port();
    let name = SocketAddr::from_abstract_name(format!("slipway-registry-{port}"))?;
    Ok(Reservation { port, _name: UnixListener::bind_addr(&name)? })
}

/// distribution 2.8, "Configuring a registry". JSON is YAML.
fn configuration(address: &str, folder: &Path) -> String {
    serde_json::json!({
        "version": 0.1,
        "log": { "level": "warn", "accesslog": { "disabled": false } },
        "storage": {
            "filesystem": { "rootdirectory": folder },
            "delete": { "enabled": true },
        },
        "http": { "addr": address },
    })
    .to_string()
}
