//! What happened in a run, step by step.

use std::time::Duration;

use database::{LeasedRun, VertexRecord};
use model::VertexResult;
use serde_json::{Value, json};

use crate::world::{World, json_of, problem};

async fn record(world: &World, leased: &LeasedRun, number: u32, name: &str, result: Option<VertexResult>) {
    let name = name.to_owned();
    let (stage, line) = ((number > 1).then(|| "build".to_owned()), (number > 1).then_some(number));
    let started = Duration::from_millis(number.into());
    let ended = result.map(|result| (result, Duration::from_millis(u64::from(number) + 1)));
    let vertex = VertexRecord { number, name, stage, line, started, ended };
    world.db.worker.record_vertices(leased.run, leased.epoch, &leased.token, &[vertex]).await.unwrap();
}

/// Without the times, which are there or not.
fn without_times(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for name in ["started_at", "finished_at"] {
                if let Some(time) = fields.get_mut(name) {
                    assert!(
                        time.as_str().is_some_and(|time| time.starts_with("20") && time.ends_with('Z')),
                        "{time}"
                    );
                    *time = json!("…");
                }
            }
            value
                .as_object_mut()
                .unwrap()
                .values_mut()
                .for_each(|field| *field = without_times(field.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_times(item.take())),
        _ => {}
    }
    value
}

#[tokio::test]
async fn each_attempt_is_told_with_its_steps_and_their_vertices() {
    let world = World::new().await;
    let path = world.submit().await;
    let steps = async || without_times(json_of(world.get(&format!("{path}/steps"))).await);
    assert_eq!(steps().await, json!({ "attempts": [] }), "nobody has taken it yet");

    let leased = world.lease().await;
    record(&world, &leased, 1, "FROM base", Some(VertexResult::Executed)).await;
    record(&world, &leased, 2, "RUN <make>", None).await;
    let from = json!({ "number": 1, "name": "FROM base", "result": "executed", "started_at": "…", "finished_at": "…" });
    let mut run = json!({ "number": 2, "name": "RUN <make>", "stage": "build", "line": 2, "result": "running", "started_at": "…" });
    let build = json!({ "kind": "build", "status": "started", "started_at": "…", "vertices": [from, run] });
    let under_way = json!({ "attempt": 1, "worker": "w", "started_at": "…", "steps": [build] });
    assert_eq!(steps().await, json!({ "attempts": [under_way] }));

    world.fail(&leased, true).await;
    world.db.execute("UPDATE slipway.run_queue SET not_before = now()").await;
    let second = world.lease().await;
    record(&world, &second, 1, "FROM base", Some(VertexResult::Cached)).await;
    let failure =
        json!({ "kind": "cell_died", "blame": "service", "message": "The cell ended.", "hint": "" });
    run["result"] = json!("interrupted");
    run["finished_at"] = json!("…");
    let build = json!({ "kind": "build", "status": "failed", "started_at": "…", "finished_at": "…", "vertices": [from, run] });
    let first = json!({ "attempt": 1, "worker": "w", "started_at": "…", "finished_at": "…", "outcome": "failed",
        "failure": failure, "steps": [build] });
    let told = steps().await;
    assert_eq!(told["attempts"][0], first);
    assert_eq!(told["attempts"][1]["attempt"], 2);
    assert_eq!(told["attempts"][1]["steps"][0]["vertices"][0]["result"], "cached");
}

#[tokio::test]
async fn a_run_that_is_not_there_has_no_steps() {
    let world = World::new().await;
    let path = format!("/v1/registries/local/runs/{}/steps", uuid::Uuid::nil());
    let (status, kind, _) = problem(world.get(&path).send().await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (404, "run_not_found"));
}
