//! Two servers, two workers and two publishers at one database: they share the runs, and nothing is done twice.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Identity, World};
use test_support::{GitServer, TestRepository};

/// A second machine's roles, as far as the first one knows; ended when dropped.
struct Second {
    server: String,
    children: Vec<Child>,
}

impl Second {
    async fn start(world: &World) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let secret = |name: &str| world.data.join("secrets").join(name).display().to_string();
        let (store, socket) = (world.data.with_extension("second"), world.runtime.join("second.sock"));
        let [store, socket] = [store, socket].map(|path: PathBuf| path.display().to_string());
        let mut second = Self { server: format!("http://{free}"), children: Vec::new() };
        second.role(world, "server", &["--listen", &free.to_string(), "--key-file", &secret("server.key")]);
        second.role(world, "worker", &["--store", &store, "--publisher-socket", &socket, "--name", "second"]);
        let key = secret("publisher.key");
        second.role(world, "publisher", &["--store", &store, "--socket", &socket, "--key-file", &key]);
        let deadline = Instant::now() + Duration::from_secs(60);
        while second.workers(world).await < 2 {
            assert!(Instant::now() < deadline, "{}", world.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        second
    }

    fn role(&mut self, world: &World, role: &str, words: &[&str]) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(world.data.with_extension("log"))
            .unwrap();
        let mut command = Identity::Root.command(&support::slipway());
        command.arg(role).args(words).arg("--database-url-file");
        command.arg(world.data.join("secrets").join(format!("{role}.database-url")));
        command.arg(format!("--egress-allow={}", test_support::GIT_HOSTS));
        self.children.push(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// Workers that give a sign of life, as the second server sees them.
    async fn workers(&self, world: &World) -> usize {
        let answer = world.http.get(format!("{}/v1/workers", self.server)).send().await;
        let Ok(answer) = answer else { return 0 };
        let workers: Value = answer.json().await.unwrap();
        workers["workers"].as_array().map_or(0, Vec::len)
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        for child in &mut self.children {
            Identity::Root.kill(i32::try_from(child.id()).unwrap(), "TERM");
            let _ = child.wait();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_each_share_the_runs_and_nothing_is_done_twice() {
    let world = World::start(Identity::Root).await;
    let base = world.base_image();
    let second = Second::start(&world).await;
    let repository = TestRepository::new();
    repository.commit_to(
        "main",
        &[("Dockerfile", &format!("FROM {base}\nARG KIND\nRUN echo ${{KIND}} > /kind\n"))],
    );
    repository
        .commit_to("slow", &[("Dockerfile", &format!("FROM {base}\nRUN echo in the middle; sleep 600\n"))]);
    let git = GitServer::start(&repository);
    let spec = |branch: &str, number: usize| {
        let source = json!({ "type": "git", "url": git.url(), "ref": branch });
        json!({ "source": source, "images": [format!("shared-{number}:1")], "build_args": { "KIND": number.to_string() } })
    };
    let servers = [world.server.clone(), second.server.clone()];
    let submit = async |branch: &str, number: usize| {
        let server = &servers[number % 2];
        let answer =
            world.http.post(format!("{server}/v1/registries/local/runs")).json(&spec(branch, number)).send();
        let run: Value = answer.await.unwrap().json().await.unwrap();
        // Followed and cancelled at the other one.
        format!("{}/v1/registries/local/runs/{}", servers[(number + 1) % 2], run["id"].as_str().unwrap())
    };
    let workers_of = async |run: &str| -> Vec<String> {
        let steps: Value = world.http.get(format!("{run}/steps")).send().await.unwrap().json().await.unwrap();
        let attempts = steps["attempts"].as_array().unwrap_or_else(|| panic!("{steps}"));
        attempts.iter().map(|attempt| attempt["worker"].as_str().unwrap().to_owned()).collect()
    };

    // Each worker has two slots: four runs are at work at the same time only if both lease.
    let mut running = Vec::new();
    for number in 0..4 {
        running.push(submit("slow", number).await);
    }
    let mut shares: BTreeMap<String, usize> = BTreeMap::new();
    for run in &running {
        world.wait_for_log(run, "in the middle").await;
        let workers = workers_of(run).await;
        assert_eq!(workers.len(), 1, "one has it: {workers:?}");
        *shares.entry(workers[0].clone()).or_default() += 1;
    }
    assert_eq!(shares.values().copied().collect::<Vec<_>>(), [2, 2], "{shares:?}");
    for run in &running {
        assert!(world.http.post(format!("{run}/cancel")).send().await.unwrap().status().is_success());
        assert_eq!(world.ended(run).await["status"], "cancelled");
    }

    let mut runs = Vec::new();
    for number in 0..8 {
        runs.push(submit("main", number).await);
    }
    for (number, run) in runs.iter().enumerate() {
        let ended = world.ended(run).await;
        assert_eq!(
            (&ended["status"], &ended["attempt"]),
            (&json!("succeeded"), &json!(1)),
            "{ended}\n{}",
            world.log()
        );
        assert_eq!(workers_of(run).await.len(), 1);
        assert_eq!(world.pull(&format!("shared-{number}"), "1").await.len(), 2);
    }
    // One manifest each, however many publishers there are.
    let log =
        Identity::Root.command(Path::new("cat")).arg(world.runtime.join("registry.log")).output().unwrap();
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    for number in 0..8 {
        let put = format!("\"PUT /v2/shared-{number}/manifests/1 ");
        assert_eq!(log.matches(&put).count(), 1, "{put}: {log}");
    }
}
