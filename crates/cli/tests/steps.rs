//! What is told of a run's steps: by real cells, workers and a publisher, through REST and the command line.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Identity, World};
use test_support::{GitServer, TestRepository};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const DOCKERFILE: &str = "ARG BASE\nFROM ${BASE} AS build\nCOPY word word\nRUN \\\n  cat word > made\n\n\
                          FROM ${BASE}\nCOPY --from=build made made\n";
/// Stages that need nothing of one another, and take as long as they are let.
const SIDE_BY_SIDE: &str = "ARG BASE\nFROM ${BASE} AS left\nRUN sleep 600; touch /l\nFROM ${BASE} AS right\n\
                            RUN sleep 601; touch /r\nFROM ${BASE}\nCOPY --from=left /l /\nCOPY --from=right /r /\n";

struct Story {
    world: World,
    base: String,
    git: GitServer,
    repository: TestRepository,
}

impl Story {
    async fn begin() -> Self {
        let world = World::start(Identity::Root).await;
        let base = world.base_image();
        let repository = TestRepository::new();
        let git = GitServer::start(&repository);
        Self { world, base, git, repository }
    }

    async fn submit(&self) -> String {
        let spec = json!({
            "source": { "type": "git", "url": self.git.url(), "ref": "main" },
            "images": ["steps:1"],
            "build_args": { "BASE": self.base },
        });
        self.world.submit(spec).await
    }

    async fn steps(&self, run: &str) -> Value {
        self.world.http.get(format!("{run}/steps")).send().await.unwrap().json().await.unwrap()
    }

    /// The only attempt of a run that has ended.
    async fn attempt_of(&self, run: &str, status: &str) -> Value {
        let ended = self.world.ended(run).await;
        assert_eq!(ended["status"], status, "{ended}\n{}", self.world.run_log(run).await);
        let steps = self.steps(run).await;
        assert_eq!(steps["attempts"].as_array().unwrap().len(), 1, "{steps}");
        assert_nested(&steps["attempts"][0]);
        steps["attempts"][0].clone()
    }

    fn show(&self, run: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(support::slipway());
        command.args(["run", "show", run.rsplit('/').next().unwrap()]).args(arguments);
        command.env("SLIPWAY_SERVER", &self.world.server).env("SLIPWAY_TOKEN", &self.world.token);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn time(thing: &Value, name: &str) -> OffsetDateTime {
    let text = thing[name].as_str().unwrap_or_else(|| panic!("{name} of {thing}"));
    OffsetDateTime::parse(text, &Rfc3339).unwrap()
}

/// Of an attempt that has ended: each vertex within its step, each step within the attempt.
fn assert_nested(attempt: &Value) {
    let within = |inner: &Value, outer: &Value| {
        assert!(time(inner, "started_at") >= time(outer, "started_at"), "{inner} in {outer}");
        assert!(time(inner, "finished_at") >= time(inner, "started_at"), "{inner}");
        assert!(time(inner, "finished_at") <= time(outer, "finished_at"), "{inner} in {outer}");
    };
    for step in attempt["steps"].as_array().unwrap() {
        within(step, attempt);
        step["vertices"].as_array().unwrap().iter().for_each(|vertex| within(vertex, step));
    }
}

fn vertex<'a>(attempt: &'a Value, name: &str) -> &'a Value {
    let vertices = attempt["steps"][0]["vertices"].as_array().unwrap();
    vertices.iter().find(|vertex| vertex["name"] == name).unwrap_or_else(|| panic!("{name} in {attempt}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_its_rebuild_and_its_failure_are_told_step_by_step() {
    let story = Story::begin().await;
    story.repository.commit_to("main", &[("Dockerfile", DOCKERFILE), ("word", "one\n")]);
    let run = story.submit().await;
    let first = story.attempt_of(&run, "succeeded").await;
    let steps: Vec<_> =
        first["steps"].as_array().unwrap().iter().map(|step| step["kind"].as_str().unwrap()).collect();
    assert_eq!((steps, &first["outcome"]), (vec!["build", "push"], &json!("succeeded")));
    let (copy, make) = (vertex(&first, "COPY word word"), vertex(&first, "RUN cat word > made"));
    assert_eq!(
        (&make["result"], &make["stage"], &make["line"]),
        (&json!("executed"), &json!("build"), &json!(4))
    );
    assert!(time(make, "started_at") >= time(copy, "finished_at"), "one needs the other: {first}");
    assert_eq!(vertex(&first, "COPY --from=build made made")["stage"], "stage-1");
    let log = story.world.run_log(&run).await;
    let lines = format!("#{} [build 3/3] RUN cat word > made", make["number"]);
    assert!(log.contains(&lines), "`{lines}` is not in {log}");

    let again = story.submit().await;
    let second = story.attempt_of(&again, "succeeded").await;
    for name in ["COPY word word", "RUN cat word > made", "COPY --from=build made made"] {
        assert_eq!(vertex(&second, name)["result"], "cached", "{second}");
    }

    story.repository.commit_to("main", &[("Dockerfile", "ARG BASE\nFROM ${BASE}\nRUN true\nRUN exit 7\n")]);
    let failing = story.submit().await;
    let third = story.attempt_of(&failing, "failed").await;
    assert_eq!((&third["outcome"], &third["failure"]["kind"]), (&json!("failed"), &json!("run_failed")));
    assert_eq!(vertex(&third, "RUN true")["result"], "executed");
    let failed = vertex(&third, "RUN exit 7");
    assert_eq!((&failed["result"], &failed["line"]), (&json!("failed"), &json!(4)));

    let shown = story.show(&again, &[]);
    for expected in [
        "attempt 1 on ",
        "build succeeded",
        "cached",
        "RUN cat word > made  (build, line 4)",
        "push  succeeded",
    ] {
        assert!(shown.contains(expected), "`{expected}` is not in {shown}");
    }
    let whole: Value = serde_json::from_str(&story.show(&failing, &["--json"])).unwrap();
    assert_eq!((&whole["status"], &whole["attempts"][0]), (&json!("failed"), &third));
}

#[tokio::test(flavor = "multi_thread")]
async fn stages_that_need_nothing_of_one_another_overlap_and_are_interrupted_by_a_cancel() {
    let story = Story::begin().await;
    story.repository.commit_to("main", &[("Dockerfile", SIDE_BY_SIDE)]);
    let run = story.submit().await;
    let (left, right) = ("RUN sleep 600; touch /l", "RUN sleep 601; touch /r");
    let running = |steps: &Value| {
        let vertices = steps["attempts"][0]["steps"][0]["vertices"].as_array().cloned().unwrap_or_default();
        let running = |name: &str| {
            vertices.iter().any(|vertex| vertex["name"] == name && vertex["result"] == "running")
        };
        running(left) && running(right)
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while !running(&story.steps(&run).await) {
        assert!(Instant::now() < deadline, "both run at the same time: {}", story.steps(&run).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let cancelled = story.world.http.post(format!("{run}/cancel")).send().await.unwrap();
    assert_eq!(cancelled.status(), 202);
    let attempt = story.attempt_of(&run, "cancelled").await;
    assert_eq!(
        (&attempt["outcome"], &attempt["steps"][0]["status"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    let (left, right) = (vertex(&attempt, left), vertex(&attempt, right));
    assert_eq!((&left["result"], &right["result"]), (&json!("interrupted"), &json!("interrupted")));
    assert!(time(left, "started_at") < time(right, "finished_at"), "{attempt}");
    assert!(time(right, "started_at") < time(left, "finished_at"), "{attempt}");
}
