//! `slipway up`: all roles in one process tree, a private Postgres cluster unless a database is
//! given, a local registry unless one is configured.

mod bootstrap;
mod children;
pub(crate) mod layout;
mod registry;

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use cell::porch;
use clap::Args;
use database::cluster::Cluster;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::client::address::{self, Local};
use crate::roles::build_network::BuildNetworkArgs;
use crate::roles::egress::EgressArgs;
use crate::roles::keeping::{KeepingArgs, RetentionArgs};
use crate::roles::limits::LimitArgs;
use crate::roles::serving::ServingArgs;
use crate::roles::{StopSignals, block_on};
use bootstrap::{Bootstrapped, bootstrap};
use children::{Keeper, Kept, Starter};
use layout::Layout;
use registry::LocalRegistry;

/// How long a role may take to end after SIGTERM, besides what it waits for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Any free port.
const LOOPBACK: &str = "127.0.0.1:0";
/// The descriptor at which a role finds its listening socket.
pub(crate) const LISTEN_DESCRIPTOR: i32 = 3;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  slipway up                                      as root: /var/lib/slipway; else ~/.local/share/slipway
  slipway up --data /srv/slipway --listen 127.0.0.1:8000
  slipway up --registry registry.example.com --registry-username ci --registry-password-file ci.password

It runs until ^C or SIGTERM, and leaves nothing running behind.")]
pub(crate) struct UpArgs {
    /// Folder for everything that has to last
    #[arg(long, env = "SLIPWAY_DATA")]
    data: Option<PathBuf>,
    /// Address to answer REST on; other than loopback only with TLS
    #[arg(long, env = "SLIPWAY_LISTEN", default_value = "127.0.0.1:7420")]
    listen: SocketAddr,
    #[command(flatten)]
    serving: ServingArgs,
    #[command(flatten)]
    egress: EgressArgs,
    #[command(flatten)]
    keeping: KeepingArgs,
    #[command(flatten)]
    retention: RetentionArgs,
    /// A Postgres to use instead of a private cluster, as a role that may create roles
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// A registry to push to instead of a local one: host[:port]
    #[arg(long, env = "SLIPWAY_REGISTRY")]
    registry: Option<String>,
    /// Speak plain http with that registry (always so on loopback)
    #[arg(long, requires = "registry")]
    registry_plain_http: bool,
    /// User at that registry; kept as its credential, for the publisher
    #[arg(long, env = "SLIPWAY_REGISTRY_USERNAME", requires_all = ["registry", "registry_password_file"])]
    registry_username: Option<String>,
    /// A file that holds the password
    #[arg(long, env = "SLIPWAY_REGISTRY_PASSWORD_FILE", requires = "registry_username")]
    registry_password_file: Option<PathBuf>,
    /// Runs at the same time
    #[arg(long, env = "SLIPWAY_SLOTS", default_value_t = 2)]
    slots: u32,
    /// Where the worker's metrics can be read, without a token [default: a free port, told in the ready file]
    #[arg(long, env = "SLIPWAY_WORKER_METRICS", value_name = "ADDRESS:PORT", default_value = LOOPBACK, hide_default_value = true)]
    worker_metrics: SocketAddr,
    /// Where the publisher's metrics can be read, likewise
    #[arg(long, env = "SLIPWAY_PUBLISHER_METRICS", value_name = "ADDRESS:PORT", default_value = LOOPBACK, hide_default_value = true)]
    publisher_metrics: SocketAddr,
    /// OCI runtime: crun, runc, runsc (a kernel of its own for each step) or a path [default: crun, else runc]
    #[arg(long, env = "SLIPWAY_RUNTIME")]
    runtime: Option<String>,
    #[command(flatten)]
    network: BuildNetworkArgs,
    #[command(flatten)]
    limits: LimitArgs,
    /// A file to write, as JSON, once everything answers: server, registry, data, token_file, pid
    #[arg(long)]
    ready_file: Option<PathBuf>,
}

/// Runs everything until it is told to stop.
pub(crate) fn run(args: &UpArgs) -> anyhow::Result<ExitCode> {
    ::server::check_listen_address(args.listen, &args.serving.config())?;
    args.network.read()?;
    let layout = Layout::make(args.data.as_deref())?;
    let listeners = Listeners {
        server: listen(args.listen)?,
        worker: listen(args.worker_metrics)?,
        publisher: listen(args.publisher_metrics)?,
    };
    block_on(async { up(args, &layout, listeners).await })
}

/// The database of a `slipway up` that runs here, as its administrator.
pub(crate) fn database_of(data: Option<&Path>) -> anyhow::Result<String> {
    let socket = database_socket(&Layout::runtime_of(data)?);
    anyhow::ensure!(
        socket.exists(),
        "no `slipway up` with a database of its own runs with that data folder: start it, or give --database-url"
    );
    Ok(database::cluster::admin_url(&socket))
}

/// Does something to the database of a `slipway up` that does not run, as the owner of the tables.
pub(crate) fn with_stopped<T>(
    data: Option<&Path>,
    deed: impl AsyncFnOnce(String) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let layout = Layout::make(data)?;
    block_on(async {
        let cluster = start_cluster(&layout).await?;
        let done = async {
            let passwords = database::migrate::Passwords::random()?;
            let urls = database::migrate::roles(&cluster.admin_url(), &passwords).await?;
            deed(urls.owner).await
        };
        let done = done.await;
        cluster.stop().await;
        let _ = std::fs::remove_dir_all(&layout.runtime);
        done
    })
}

fn database_socket(runtime: &Path) -> PathBuf {
    runtime.join("postgres")
}

/// Opened here, so that an address that is taken is told at once, and stays across restarts of a role.
struct Listeners {
    server: TcpListener,
    /// For metrics, as the next.
    worker: TcpListener,
    publisher: TcpListener,
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("can't listen on {address}"))
}

async fn up(args: &UpArgs, layout: &Layout, listeners: Listeners) -> anyhow::Result<ExitCode> {
    let StopSignals { stop, now } = StopSignals::listen(true)?;
    let starter = Starter::start()?;
    let cluster = match &args.database_url {
        None => Some(start_cluster(layout).await?),
        Some(_) => None,
    };
    let result = async {
        let admin = match (&cluster, &args.database_url) {
            (Some(cluster), _) => cluster.admin_url(),
            (None, url) => url.clone().unwrap_or_default(),
        };
        let local = args.registry.is_none().then(|| LocalRegistry::prepare(layout)).transpose()?;
        let address =
            local.as_ref().map(|r| r.address.clone()).or_else(|| args.registry.clone()).unwrap_or_default();
        let bootstrapped = bootstrap(args, layout, &admin, &address).await?;
        let mut keepers = Vec::new();
        keepers.extend(local.map(|registry| registry.kept(layout).keep(&starter)));
        keepers.extend(roles(args, layout, &listeners)?.into_iter().map(|kept| kept.keep(&starter)));
        let ready = tokio::select! {
            ready = announce(args, layout, &listeners, &address, &bootstrapped) => ready,
            () = stop.cancelled() => Ok(()),
        };
        if ready.is_ok() {
            stop.cancelled().await;
        }
        end(keepers, &now).await;
        ready
    }
    .await;
    if let Some(cluster) = cluster {
        cluster.stop().await;
    }
    // Sockets and logs of a service that is gone.
    let _ = std::fs::remove_dir_all(&layout.runtime);
    result.map(|()| ExitCode::SUCCESS)
}

async fn start_cluster(layout: &Layout) -> anyhow::Result<Cluster> {
    let owner = layout.as_root.then(|| porch::user(porch::DATABASE_USER)).transpose()?;
    let options = database::cluster::ClusterOptions {
        data: layout.postgres(),
        socket: database_socket(&layout.runtime),
        owner: owner.map(|(uid, gid)| (uid.as_raw(), gid.as_raw())),
    };
    Ok(Cluster::start(options).await?)
}

fn roles(args: &UpArgs, layout: &Layout, listeners: &Listeners) -> anyhow::Result<Vec<Kept>> {
    let store = layout.store().into_os_string();
    let slots = args.slots.to_string();
    let mut worker = vec!["--store".into(), store.clone(), "--slots".into(), slots.into()];
    let socket = || layout.runtime.join("publisher.sock").into_os_string();
    worker.extend(["--publisher-socket".into(), socket()]);
    if let Some(runtime) = &args.runtime {
        worker.extend(["--runtime".into(), runtime.into()]);
    }
    worker.extend(args.keeping.arguments());
    worker.extend(args.network.arguments());
    worker.extend(args.limits.arguments());
    let metrics = || [OsString::from("--metrics-descriptor"), LISTEN_DESCRIPTOR.to_string().into()];
    worker.extend(metrics());
    let key = |role| [OsString::from("--key-file"), layout.key(role).into_os_string()];
    let mut publisher = vec!["--store".into(), store, "--socket".into(), socket()];
    publisher.extend(key("publisher"));
    publisher.extend(metrics());
    let mut server = vec!["--listen-descriptor".into(), LISTEN_DESCRIPTOR.to_string().into()];
    server.extend(key("server"));
    server.extend(args.serving.arguments());
    server.extend(args.retention.arguments());
    for role in [&mut server, &mut worker, &mut publisher] {
        role.extend(args.egress.arguments());
    }
    Ok(vec![
        role("server", layout, server, &listeners.server),
        role("publisher", layout, publisher, &listeners.publisher),
        Kept {
            patience: args.limits.drain() + PATIENCE,
            ..role("worker", layout, worker, &listeners.worker)
        },
    ])
}

fn role(
    name: &'static str,
    layout: &Layout,
    arguments: Vec<std::ffi::OsString>,
    listener: &TcpListener,
) -> Kept {
    let listener = listener.as_raw_fd();
    let url_file = layout.database_url(name);
    let command = move || {
        let mut command = Command::new("/proc/self/exe");
        command.arg0(format!("slipway-{name}")).arg(name).args(&arguments);
        command.arg("--database-url-file").arg(&url_file).arg("--parent").arg(std::process::id().to_string());
        command.env_remove("DATABASE_URL").env_remove("DATABASE_URL_FILE").stdin(std::process::Stdio::null());
        pass_listener(&mut command, listener);
        command
    };
    Kept { name, patience: PATIENCE, command: Box::new(command) }
}

#[expect(unsafe_code, reason = "pre_exec runs between fork and exec")]
fn pass_listener(command: &mut Command, listener: i32) {
    // SAFETY: dup2 and fcntl are async-signal-safe; the listener is open as long as `up` runs.
    unsafe {
        command.pre_exec(move || {
            if listener == LISTEN_DESCRIPTOR {
                nix::libc::fcntl(listener, nix::libc::F_SETFD, 0);
            } else if nix::libc::dup2(listener, LISTEN_DESCRIPTOR) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
}

/// A foreign program that runs as a user of its own and dies with `up`.
#[expect(unsafe_code, reason = "pre_exec runs between fork and exec")]
pub(crate) fn start_as(command: &mut Command, user: Option<&str>) {
    let ids = user.and_then(|user| porch::user(user).ok());
    let parent = nix::unistd::getpid();
    // SAFETY: only system calls between fork and exec, nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            if let Some((uid, gid)) = ids {
                nix::unistd::setgroups(&[])?;
                nix::unistd::setresgid(gid, gid, gid)?;
                nix::unistd::setresuid(uid, uid, uid)?;
            }
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
            match nix::unistd::getppid() == parent {
                true => Ok(()),
                false => Err(std::io::Error::from_raw_os_error(nix::libc::ESRCH)),
            }
        });
    }
}

/// Waits until the service answers, then says where it is.
#[expect(clippy::print_stdout, reason = "the command line speaks to people here")]
async fn announce(
    args: &UpArgs,
    layout: &Layout,
    listeners: &Listeners,
    registry: &str,
    bootstrapped: &Bootstrapped,
) -> anyhow::Result<()> {
    let address = format!("{}://{}", args.serving.scheme(), listeners.server.local_addr()?);
    wait_ready(&address, bootstrapped).await?;
    let token_file = &bootstrapped.token_file;
    let ready = serde_json::json!({
        "server": address, "registry": registry, "data": layout.data, "runtime": layout.runtime,
        "token_file": token_file, "worker_metrics": listeners.worker.local_addr()?,
        "publisher_metrics": listeners.publisher.local_addr()?,
        "pid": std::process::id(),
    });
    let local = Local { address: address.clone(), token_file: token_file.clone(), data: layout.data.clone() };
    write_whole(&layout.runtime.join(address::FILE), &serde_json::to_string(&local)?)?;
    if let Some(file) = &args.ready_file {
        write_whole(file, &ready.to_string())?;
    }
    println!(
        "slipway is up\n  service   {address}\n  registry  {registry}\n  data      {}",
        layout.data.display()
    );
    if !layout.as_root {
        println!(
            "  note      all roles run as one user: the wall between builds and the registry's credential is weaker\n\
             \x20           than under root, where each role has its own user"
        );
    }
    if let Some(token) = &bootstrapped.token {
        println!(
            "  token     {}\n            the first administrator's, shown this once; the command line here finds it in\n            {}",
            token.expose(),
            token_file.display()
        );
    }
    println!("Try: slipway build . -t hello   (in a folder with a Dockerfile)\nStop with ^C.");
    Ok(())
}

fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let part = path.with_extension("part");
    std::fs::write(&part, text).with_context(|| format!("{} can't be written", path.display()))?;
    std::fs::rename(&part, path).with_context(|| format!("{} can't be written", path.display()))
}

/// Waits until the server answers, and a worker lives.
async fn wait_ready(address: &str, bootstrapped: &Bootstrapped) -> anyhow::Result<()> {
    // The certificate may be for another name than the address; what is asked for is no secret.
    let client = reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true);
    let client = client.timeout(Duration::from_secs(2)).build()?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let answer = client.get(format!("{address}/healthz")).send().await;
        let workers = bootstrapped.database.queue_statistics().await.map(|queue| queue.workers);
        let said = match (answer, workers) {
            (Ok(answer), Ok(1..)) if answer.status().is_success() => return Ok(()),
            (Ok(_), Ok(_)) => "no worker gives a sign of life".to_owned(),
            (Err(error), _) => error.to_string(),
            (_, Err(error)) => error.to_string(),
        };
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "the service was not ready within a minute: {said}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The worker first, whose last runs ask the publisher and push to the registry, and the server after both: it can
/// still be asked what becomes of runs. `now` passes on that nothing is to be waited for.
async fn end(keepers: Vec<Keeper>, now: &CancellationToken) {
    for keeper in keepers.into_iter().rev() {
        keeper.stop(now).await;
    }
}
