//! A worker that is told to stop: it takes nothing more, what is under way ends or is handed back, and nothing
//! counts as an attempt that was not one.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Identity, World};
use test_support::{GitServer, TestRepository};

struct Stage {
    world: World,
    base: String,
    git: GitServer,
    _repository: TestRepository,
}

impl Stage {
    async fn new(drain: &str, line: &str) -> Self {
        let world = World::start_with(Identity::Root, &[&format!("--drain-timeout={drain}")]).await;
        let (base, repository) = (world.base_image(), TestRepository::new());
        repository.commit_to("main", &[("Dockerfile", &format!("ARG BASE\nFROM ${{BASE}}\n{line}\n"))]);
        let git = GitServer::start(&repository);
        Self { world, base, git, _repository: repository }
    }

    async fn submit(&self, tag: &str) -> String {
        let source = json!({ "type": "git", "url": self.git.url(), "ref": "main" });
        let arguments = json!({ "BASE": self.base });
        let images = [format!("drain:{tag}")];
        let spec = json!({ "source": source, "images": images, "build_args": arguments, "no_cache": true });
        self.world.submit(spec).await
    }

    fn tell_the_worker(&self) {
        self.world.role("worker").into_iter().for_each(|pid| self.world.identity.kill(pid, "TERM"));
    }

    async fn attempts(&self, run: &str) -> Vec<Value> {
        let answer = self.world.http.get(format!("{run}/steps")).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["attempts"].as_array().unwrap().clone()
    }

    /// Waits until the run is at work anew, and answers its first attempt.
    async fn handed_back(&self, run: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.world.run(run).await["attempt"] == 1 {
            assert!(Instant::now() < deadline, "{}", self.world.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.world.wait_for_log(run, "in the middle").await;
        let now = self.world.run(run).await;
        assert_eq!(
            (&now["attempt"], &now["max_attempts"]),
            (&json!(2), &json!(4)),
            "it does not count: {now}"
        );
        self.attempts(run).await.remove(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_ends_and_what_waits_is_for_another() {
    let stage = Stage::new("60s", "RUN echo in the middle; sleep 4").await;
    let under_way = stage.submit("a").await;
    stage.world.wait_for_log(&under_way, "in the middle").await;
    stage.tell_the_worker();
    let waits = stage.submit("b").await;

    let ended = stage.world.ended(&under_way).await;
    assert_eq!((&ended["status"], &ended["attempt"]), (&json!("succeeded"), &json!(1)), "{ended}");
    let other = stage.world.ended(&waits).await;
    assert_eq!((&other["status"], &other["attempt"]), (&json!("succeeded"), &json!(1)), "{other}");
    let log = stage.world.log();
    let lines: Vec<_> = log.lines().collect();
    let at = |words: &[&str]| lines.iter().rposition(|line| words.iter().all(|word| line.contains(word)));
    let (ready, id) = (at(&["worker ready"]), waits.rsplit('/').next().unwrap());
    assert!(ready > at(&["no run is leased any more"]), "another worker was started: {log}");
    assert!(at(&["run started", id]) > ready, "a worker that stops leases nothing: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_ended_in_time_is_handed_back() {
    let stage = Stage::new("2s", "RUN echo in the middle; sleep 600").await;
    let run = stage.submit("a").await;
    stage.world.wait_for_log(&run, "in the middle").await;
    stage.tell_the_worker();
    let first = stage.handed_back(&run).await;
    assert_eq!(first["failure"]["kind"], "worker_stopped", "{first}");
    stage.world.cancel(&run).await;
    assert_eq!(stage.world.ended(&run).await["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn told_twice_it_does_not_wait() {
    let stage = Stage::new("1h", "RUN echo in the middle; sleep 600").await;
    let run = stage.submit("a").await;
    stage.world.wait_for_log(&run, "in the middle").await;
    stage.tell_the_worker();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !stage.world.log().contains("no run is leased any more") {
        assert!(Instant::now() < deadline, "{}", stage.world.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stage.world.run(&run).await["attempt"], 1, "it goes on");
    stage.tell_the_worker();
    assert_eq!(stage.handed_back(&run).await["failure"]["kind"], "worker_stopped");
    stage.world.cancel(&run).await;
    assert_eq!(stage.world.ended(&run).await["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_service_waits_for_what_is_under_way() {
    let mut stage = Stage::new("60s", "RUN echo in the middle; sleep 3; echo at the end").await;
    let run = stage.submit("a").await;
    stage.world.wait_for_log(&run, "in the middle").await;
    stage.world.stop();
    let log = stage.world.log();
    assert!(log.contains("run handed on") && log.contains("\"status\":\"publishing\""), "{log}");
}
