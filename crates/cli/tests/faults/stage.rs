//! Where the faults play: a service with failpoints, a registry of the test's own behind a proxy that plays
//! faults and writes a journal, a git host, somebody who is told of runs.

use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use axum::Json;
use base64::Engine as _;
use failpoint::Arms;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::{FaultProxy, GIT_HOSTS, GitServer, LocalRegistry, TestRepository};

use crate::bounds::Bounds;
use crate::draw::Target;
use crate::support::{Identity, World, residue, slipway};

/// Planted as a build's secret: it may be nowhere.
pub(crate) const CANARY: &str = "canary-4f1d7a90c3";
/// What is built; both twins are the same in every byte.
const SHARED: &str = "ARG BASE\nFROM ${BASE}\nARG NAME\nARG SEED\nRUN --mount=type=secret,id=canary,required=true i=1; \
    while [ $i -le 40 ]; do echo \"line $i of $SEED/$NAME\"; i=$((i+1)); done; cat /run/secrets/canary; echo; \
    head -c 200000 /dev/urandom > /random\nCOPY file /file\nRUN echo $NAME > /name\n";
const TWIN: &str = "ARG BASE\nFROM ${BASE}\nARG SEED\nRUN --mount=type=secret,id=canary,required=true i=1; \
    while [ $i -le 40 ]; do echo \"line $i of $SEED/twin\"; i=$((i+1)); done; cat /run/secrets/canary; echo; \
    echo $SEED > /seed\nCOPY file /file\n";
/// Mebibytes of the worker's store.
const DISK: u32 = 256;

pub(crate) struct Stage {
    second: SecondPublisher,
    pub(crate) world: World,
    pub(crate) registry: LocalRegistry,
    pub(crate) proxy: FaultProxy,
    pub(crate) arms: Arms,
    /// Bodies of webhooks.
    pub(crate) told: Arc<Mutex<Vec<Value>>>,
    pub(crate) bounds: Bounds,
    failpoints: TempDir,
    _repository: TestRepository,
    git: GitServer,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let registry = LocalRegistry::start();
        let proxy = FaultProxy::start(registry.address());
        let failpoints = TempDir::with_prefix("failpoints-").unwrap();
        let arguments = ["--registry", &proxy.address(), "--slots", "3"];
        let world = World::start_with_failpoints(&arguments, failpoints.path(), DISK).await;
        test_support::push_busybox(&registry.address(), "base/busybox:1");
        let repository = TestRepository::new();
        repository.commit_to("shared", &[("Dockerfile", SHARED), ("file", "shared\n")]);
        repository.commit_to("twin", &[("Dockerfile", TWIN), ("file", "twin\n")]);
        let git = GitServer::start(&repository);
        let told = Arc::<Mutex<Vec<Value>>>::default();
        let receiver = receive(Arc::clone(&told)).await;
        let arms = Arms::in_folder(failpoints.path());
        let second = SecondPublisher::start(&world, failpoints.path());
        let stage = Self {
            second,
            world,
            registry,
            proxy,
            arms,
            told,
            bounds: Bounds::default(),
            failpoints,
            _repository: repository,
            git,
        };
        stage.credentials().await;
        for (branch, epoch) in [("shared", None), ("twin", Some(0))] {
            stage.task(branch, epoch, &receiver).await;
        }
        stage
    }

    /// Whoever was killed for good is started again, before the next fleet.
    pub(crate) fn mend(&mut self) {
        if !self.second.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.second = SecondPublisher::start(&self.world, self.failpoints.path());
        }
    }

    async fn credentials(&self) {
        let whsec = base64::engine::general_purpose::STANDARD.encode([7; 24]);
        for (name, credential) in [
            ("canary", json!({ "kind": "build", "secret": CANARY })),
            ("ours", json!({ "kind": "webhook", "secret": format!("whsec_{whsec}") })),
        ] {
            let put = self.world.http.put(self.url(&format!("credentials/{name}"))).json(&credential);
            assert!(put.send().await.unwrap().status().is_success());
        }
    }

    async fn task(&self, branch: &str, epoch: Option<u32>, receiver: &str) {
        let task = json!({
            "name": branch,
            "build": {
                "source": format!("{}#{branch}", self.git.url()), "secrets": { "canary": "canary" },
                "build_args": { "BASE": format!("{}/base/busybox:1", self.proxy.address()) },
                "source_date_epoch": epoch,
            },
            "notify": [{ "url": receiver, "credential": "ours", "events": ["run.finished"] }],
        });
        let made = self.world.http.post(self.url("tasks")).json(&task).send().await.unwrap();
        assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/v1/registries/local/{path}", self.world.server)
    }

    /// Processes that a fault strikes.
    pub(crate) fn processes(&self, target: Target) -> Vec<i32> {
        let up = self.world.pid();
        match target {
            Target::Server => self.world.role("server"),
            Target::Worker => self.world.role("worker"),
            Target::Publisher => {
                let second = i32::try_from(self.second.0.id()).expect("a process id");
                self.world.role("publisher").into_iter().chain([second]).collect()
            }
            Target::Registry => vec![self.registry.pid()],
            Target::Cell => {
                let children = self.world.role("worker").into_iter().flat_map(residue::children_of);
                children.filter(|pid| residue::argument_zero(*pid) == "slipway-cell").collect()
            }
            Target::Postgres => residue::children_of(up)
                .into_iter()
                .filter(|pid| residue::argument_zero(*pid).ends_with("/postgres"))
                .collect(),
        }
    }

    /// PostgreSQL's ends of its lines to one of its clients, or to all: a line whose end is stopped is dead without a word.
    pub(crate) fn lines(&self, of: Option<Target>) -> Vec<i32> {
        let role = match of {
            Some(Target::Server) => "slipway_server",
            Some(Target::Worker) => "slipway_worker",
            Some(Target::Publisher) => "slipway_publisher",
            _ => "slipway_%",
        };
        let pids = self.sql(&format!(
            "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE usename LIKE '{role}' AND pid <> pg_backend_pid()"
        ));
        pids.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Statements as the cluster's administrator. None while it is away.
    pub(crate) fn sql(&self, statements: &str) -> Option<String> {
        let socket = self.world.runtime.join("postgres");
        let mut command = Identity::Root.command(Path::new("psql"));
        command.args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-U", "slipway_admin", "-d", "slipway", "-h"]);
        let output = command.arg(socket).args(["-c", statements]).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Rows as JSON.
    pub(crate) fn rows(&self, query: &str) -> Vec<Value> {
        let text = self.sql(&format!("SELECT coalesce(json_agg(t), '[]') FROM ({query}) t"));
        serde_json::from_str(&text.expect("the database is back")).unwrap()
    }
}

/// Beside the one of `up`, on the same store: where one is stopped or dies, the other goes on with its publications.
struct SecondPublisher(Child);

impl SecondPublisher {
    fn start(world: &World, failpoints: &Path) -> Self {
        let secret = |name: &str| world.data.join("secrets").join(name);
        let log = std::fs::File::options().append(true).open(world.data.with_extension("log"));
        let mut command = Identity::Root.command(Path::new("env"));
        command.arg(format!("{}={}", failpoint::VARIABLE, failpoints.display())).arg(slipway());
        command.arg("publisher").arg("--store").arg(world.data.join("store"));
        command.arg("--key-file").arg(secret("publisher.key"));
        command.arg("--database-url-file").arg(secret("publisher.database-url"));
        command.arg("--socket").arg(world.runtime.join("second.sock"));
        if nix::unistd::geteuid().is_root() {
            command.arg("--parent").arg(std::process::id().to_string());
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.unwrap()).spawn();
        Self(child.expect("a second publisher starts"))
    }
}

impl Drop for SecondPublisher {
    fn drop(&mut self) {
        if self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            Identity::Root.kill(i32::try_from(self.0.id()).expect("a process id"), "TERM");
            let _ = self.0.wait();
        }
    }
}

/// Answers every webhook, and keeps its body.
async fn receive(told: Arc<Mutex<Vec<Value>>>) -> String {
    let listener = tokio::net::TcpListener::bind((GIT_HOSTS, 0)).await.unwrap();
    let address = format!("http://{}/told", listener.local_addr().unwrap());
    let hear = move |Json(body): Json<Value>| async move {
        told.lock().unwrap().push(body);
        axum::http::StatusCode::NO_CONTENT
    };
    let router = axum::Router::new().route("/told", axum::routing::post(hear));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}
