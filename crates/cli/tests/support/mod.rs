//! A whole Slipway: `slipway up` with a data folder, ports and a database of its own, as root or as an
//! ordinary user, whoever runs the tests.

#![expect(dead_code, reason = "each story uses a part of it")]

pub(crate) mod image;
pub(crate) mod residue;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Who starts `slipway up`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    Root,
    OrdinaryUser,
}

/// A running Slipway. Dropping it ends everything it started.
pub(crate) struct World {
    pub(crate) identity: Identity,
    pub(crate) server: String,
    pub(crate) registry: String,
    pub(crate) data: PathBuf,
    pub(crate) runtime: PathBuf,
    /// The first administrator's.
    pub(crate) token: String,
    /// Sends that token.
    pub(crate) http: reqwest::Client,
    up: Child,
    arguments: Vec<String>,
    disk: Option<SmallDisk>,
    _folder: Option<TempDir>,
}

/// A file system of little room in a file; unmounted with the world.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, image: &Path, mebibytes: u32, inodes: Option<u32>) -> Self {
        let file = std::fs::File::create(image).expect("a file for a disk");
        file.set_len(u64::from(mebibytes) << 20).expect("room for a disk");
        let root = |program: &str, arguments: &[&str]| {
            let status = Identity::Root.command(Path::new(program)).args(arguments).status();
            assert!(status.is_ok_and(|status| status.success()), "{program} {arguments:?}");
        };
        let (image, folder) = (image.display().to_string(), at.display().to_string());
        let inodes = inodes.map(|inodes| format!("-N{inodes}"));
        let options = inodes.as_deref().into_iter().chain([image.as_str()]);
        root("mkfs.ext4", &["-q", "-m", "0"].into_iter().chain(options).collect::<Vec<_>>());
        root("mkdir", &["-p", &folder]);
        root("mount", &["-o", "loop", &image, &folder]);
        Self(at)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Identity::Root.command(Path::new("umount")).arg("--lazy").arg(&self.0).status();
    }
}

/// How long a run in these stories may take before the story has failed.
const RUN_LIMIT: Duration = Duration::from_secs(120);

impl World {
    /// With a local registry.
    pub(crate) async fn start(identity: Identity) -> Self {
        Self::start_with(identity, &[]).await
    }

    /// With more arguments for `up`.
    pub(crate) async fn start_with(identity: Identity, arguments: &[&str]) -> Self {
        let folder = TempDir::with_prefix("sw-").expect("a temporary folder");
        open_to_all(folder.path());
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let data = folder.path().join("data");
        let mut world = Self::start_in(identity, &data, arguments, &[]).await;
        world._folder = Some(folder);
        world
    }

    /// As root, with failpoints that are armed in a folder, and a worker's store on a disk of its own.
    pub(crate) async fn start_with_failpoints(arguments: &[&str], failpoints: &Path, mebibytes: u32) -> Self {
        // Whoever passes a point renames the file that armed it, whosever that is: no sticky bit.
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(failpoints, all).expect("opening a temporary folder");
        let environment = format!("{}={}", failpoint::VARIABLE, failpoints.display());
        Self::start_on_disk(mebibytes, None, arguments, &[environment]).await
    }

    /// As root, with a worker's store on a disk of its own that holds `mebibytes` and as many files.
    pub(crate) async fn start_on_small_disk(mebibytes: u32, inodes: u32, arguments: &[&str]) -> Self {
        Self::start_on_disk(mebibytes, Some(inodes), arguments, &[]).await
    }

    async fn start_on_disk(
        mebibytes: u32,
        inodes: Option<u32>,
        arguments: &[&str],
        environment: &[String],
    ) -> Self {
        let folder = TempDir::with_prefix("sw-").expect("a temporary folder");
        open_to_all(folder.path());
        let data = folder.path().join("data");
        let disk = SmallDisk::mount(data.join("store"), &folder.path().join("disk"), mebibytes, inodes);
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut world = Self::start_in(Identity::Root, &data, arguments, environment).await;
        world._folder = Some(folder);
        world.disk = Some(disk);
        world
    }

    async fn start_in(
        identity: Identity,
        data: &Path,
        arguments: Vec<String>,
        environment: &[String],
    ) -> Self {
        let ready = data.with_extension("ready");
        let _ = std::fs::remove_file(&ready);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(data.with_extension("log"))
            .expect("a log");
        let mut command = identity.command(Path::new("env"));
        command
            .args(environment)
            .arg(slipway())
            .arg("up")
            .arg("--data")
            .arg(data)
            .args(["--listen", "127.0.0.1:0"])
            // As an administrator lets the network of the git hosts.
            .arg(format!("--egress-allow={}", test_support::GIT_HOSTS))
            .arg("--ready-file")
            .arg(&ready);
        // What a story leaves under way is not waited for.
        if !arguments.iter().any(|argument| argument.starts_with("--drain-timeout")) {
            command.arg("--drain-timeout=0s");
        }
        command.args(&arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut up = command.spawn().expect("slipway starts");
        let told = wait_for_file(&ready, &mut up, &data.with_extension("log"));
        let text = |name: &str| told[name].as_str().expect("the ready file names it").to_owned();
        let token = identity.command(Path::new("cat")).arg(text("token_file")).output().expect("cat");
        let token = String::from_utf8(token.stdout).expect("a token");
        Self {
            identity,
            http: client(&token),
            token,
            server: text("server"),
            registry: text("registry"),
            data: text("data").into(),
            runtime: text("runtime").into(),
            up,
            arguments,
            disk: None,
            _folder: None,
        }
    }

    /// Process id of `up` itself: below a prefix such as sudo it is not the child's.
    pub(crate) fn pid(&self) -> i32 {
        let ready = std::fs::read_to_string(self.data.with_extension("ready")).expect("the ready file");
        let ready: Value = serde_json::from_str(&ready).expect("JSON");
        i32::try_from(ready["pid"].as_i64().expect("a pid")).expect("a pid")
    }

    /// Process ids of a role's process: children of `up` whose command line begins `slipway-ROLE`.
    pub(crate) fn role(&self, role: &str) -> Vec<i32> {
        let name = format!("slipway-{role}");
        residue::children_of(self.pid())
            .into_iter()
            .filter(|pid| residue::argument_zero(*pid) == name)
            .collect()
    }

    /// Stops `up` as ^C does, and waits.
    pub(crate) fn stop(&mut self) {
        self.identity.kill(self.pid(), "TERM");
        let status = self.up.wait().expect("up ends");
        assert!(status.success(), "up ended with {status}: {}", self.log());
    }

    /// Starts `up` again with the same data, after [`World::stop`].
    pub(crate) async fn start_again(&mut self) {
        let mut fresh = Self::start_in(self.identity, &self.data.clone(), self.arguments.clone(), &[]).await;
        std::mem::swap(&mut self.up, &mut fresh.up);
        std::mem::swap(&mut self.server, &mut fresh.server);
        std::mem::swap(&mut self.http, &mut fresh.http);
        // It would end what has just been started, and remove its data.
        std::mem::forget(fresh);
    }

    /// What `up` and its roles logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.data.with_extension("log")).unwrap_or_default()
    }

    /// A tiny base image in the registry, as `FROM` names it.
    pub(crate) fn base_image(&self) -> String {
        test_support::push_busybox(&self.registry, "base/busybox:1");
        format!("{}/base/busybox:1", self.registry)
    }

    /// Submits a build and answers the run's address.
    pub(crate) async fn submit(&self, spec: Value) -> String {
        let answer =
            self.http.post(format!("{}/v1/registries/local/runs", self.server)).json(&spec).send().await;
        let answer = answer.expect("the server answers");
        let status = answer.status();
        let run: Value = answer.json().await.expect("JSON");
        assert_eq!(status, 201, "{run}");
        format!("{}/v1/registries/local/runs/{}", self.server, run["id"].as_str().expect("an id"))
    }

    /// The run once it has ended.
    pub(crate) async fn ended(&self, run: &str) -> Value {
        let deadline = Instant::now() + RUN_LIMIT;
        loop {
            let answer = self.http.get(run).header("prefer", "wait=20").send().await;
            let run: Value = match answer {
                Ok(answer) => answer.json().await.expect("JSON"),
                // The server itself may be starting again in a story that kills things.
                Err(_) => json!({}),
            };
            let status = run["status"].as_str().unwrap_or_default();
            if ["succeeded", "failed", "cancelled", "timed_out"].contains(&status) {
                return run;
            }
            assert!(Instant::now() < deadline, "the run did not end: {run}\n{}", self.log());
        }
    }

    /// Submits and waits.
    pub(crate) async fn build(&self, spec: Value) -> Value {
        let run = self.submit(spec).await;
        self.ended(&run).await
    }

    /// The run as it stands.
    pub(crate) async fn run(&self, run: &str) -> Value {
        self.http.get(run).send().await.expect("the server answers").json().await.expect("JSON")
    }

    /// Asks for a run's end.
    pub(crate) async fn cancel(&self, run: &str) {
        let answer = self.http.post(format!("{run}/cancel")).send().await.expect("the server answers");
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    /// The whole log of a run's last attempt.
    pub(crate) async fn run_log(&self, run: &str) -> String {
        let answer = self.http.get(format!("{run}/logs")).send().await.expect("the server answers");
        answer.text().await.expect("text")
    }

    /// Waits until a run's log holds a text: an event, not a time.
    pub(crate) async fn wait_for_log(&self, run: &str, text: &str) {
        let deadline = Instant::now() + RUN_LIMIT;
        while !self.run_log(run).await.contains(text) {
            assert!(Instant::now() < deadline, "`{text}` did not appear in the log of {run}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.up.try_wait().is_ok_and(|ended| ended.is_none()) {
            if self.data.with_extension("ready").exists() {
                self.identity.kill(self.pid(), "TERM");
            }
            let deadline = Instant::now() + Duration::from_secs(30);
            while self.up.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = self.up.kill();
            let _ = self.up.wait();
        }
        self.disk = None;
        // What cells own can be removed by root only, or from inside their ids.
        let _ = self.identity.command(Path::new("unshare")).args(self.identity.removal(&self.data)).output();
    }
}

impl Identity {
    /// A command as this identity, whoever runs the tests.
    pub(crate) fn command(self, program: &Path) -> Command {
        let is_root = nix::unistd::Uid::effective().is_root();
        let prefix = match self {
            Self::Root if is_root => String::new(),
            Self::OrdinaryUser if !is_root => String::new(),
            Self::Root => prefix("SLIPWAY_TEST_AS_ROOT"),
            Self::OrdinaryUser => prefix("SLIPWAY_TEST_AS_USER"),
        };
        let mut words = prefix.split_whitespace();
        let Some(first) = words.next() else { return Command::new(program) };
        let mut command = Command::new(first);
        command.args(words).arg(program);
        command
    }

    /// Sends a signal as this identity.
    pub(crate) fn kill(self, pid: i32, signal: &str) {
        let mut command = self.command(Path::new("kill"));
        let status = command.args(["-s", signal, &pid.to_string()]).stderr(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -s {signal} {pid}");
    }

    fn removal(self, folder: &Path) -> Vec<String> {
        let map: &[&str] = match self {
            Self::Root => &["--mount"],
            Self::OrdinaryUser => &["--user", "--map-auto", "--map-root-user"],
        };
        let remove = ["rm", "-rf", "--one-file-system"];
        let words = map.iter().chain(&remove).map(|&word| word.to_owned());
        words.chain([folder.display().to_string()]).collect()
    }
}

/// A client that sends a token.
pub(crate) fn client(token: &str) -> reqwest::Client {
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    reqwest::Client::builder().no_proxy().default_headers(headers).build().expect("a client")
}

fn prefix(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `make test`, which makes both identities"))
}

/// The program under test, where every user can start it: one copy for each build of it, the last one kept.
pub(crate) fn slipway() -> PathBuf {
    static COPY: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    COPY.get_or_init(|| {
        let program = Path::new(env!("CARGO_BIN_EXE_slipway"));
        let built = program.metadata().and_then(|meta| meta.modified()).expect("the program is built");
        let built = built.duration_since(std::time::UNIX_EPOCH).expect("a time after 1970").as_nanos();
        let user = nix::unistd::Uid::effective();
        // Another checkout's tests may run at the same time.
        let checkout = content::digest_of(env!("CARGO_MANIFEST_DIR").as_bytes());
        let folder = PathBuf::from(format!("/tmp/slipway-under-test-{user}-{}", &checkout.hex()[..8]));
        std::fs::create_dir_all(&folder).expect("a folder for the program");
        let owner = std::os::unix::fs::MetadataExt::uid(&folder.metadata().expect("a folder"));
        assert_eq!(owner, user.as_raw(), "{} is somebody else's", folder.display());
        let copy = folder.join(format!("slipway-{built}"));
        // Tests in networks of their own are processes of their own.
        let lock = std::fs::File::create(folder.join("lock")).expect("a lock");
        let _alone =
            Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error).expect("the lock");
        if !copy.exists() {
            let old = std::fs::read_dir(&folder).expect("a folder").flatten();
            for old in old.filter(|old| old.file_name() != "lock") {
                let _ = std::fs::remove_file(old.path());
            }
            let part = folder.join(format!("part-{}", std::process::id()));
            std::fs::copy(program, &part).expect("copying the program");
            std::fs::rename(&part, &copy).expect("naming the copy");
        }
        copy
    })
    .clone()
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let all = std::fs::Permissions::from_mode(0o1777);
    std::fs::set_permissions(folder, all).expect("opening a temporary folder");
}

fn wait_for_file(path: &Path, up: &mut Child, log: &Path) -> Value {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        if let Ok(text) = std::fs::read_to_string(path) {
            return serde_json::from_str(&text).expect("the ready file is JSON");
        }
        let ended = up.try_wait().expect("a child");
        let log = || std::fs::read_to_string(log).unwrap_or_default();
        assert!(ended.is_none(), "slipway up ended with {ended:?}: {}", log());
        assert!(Instant::now() < deadline, "slipway up was not ready in time: {}", log());
        std::thread::sleep(Duration::from_millis(20));
    }
}
