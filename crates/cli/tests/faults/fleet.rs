//! A small fleet of builds, and what its client saw: three runs that share a tag, in order, and two twins. In: a
//! seed. Out: a journal of each run, kept without a look at the database.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::Stage;

/// Runs of one fleet.
pub(crate) const RUNS: u32 = 5;
pub(crate) const NAMES: [&str; RUNS as usize] = ["first", "second", "third", "twin-a", "twin-b"];
/// How many of them share a tag.
pub(crate) const SHARED: usize = 3;
/// How long any of them may take.
const LIMIT: Duration = Duration::from_secs(240);

/// What a client saw of a run.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) name: &'static str,
    pub(crate) id: String,
    /// Attempt and status, each time that they changed.
    pub(crate) moves: Vec<(i64, String)>,
    /// Log bytes that were read, by attempt.
    pub(crate) logs: BTreeMap<i64, String>,
    /// As it ended; null when it did not in time.
    pub(crate) ended: Value,
    /// What was answered to a cancel.
    pub(crate) cancelled: Option<u16>,
}

/// How to reach the service.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    seed: u64,
    round: u128,
}

impl Client {
    pub(crate) fn of(stage: &Stage, seed: u64) -> Self {
        let round = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        Self { http: stage.world.http.clone(), base: stage.url(""), seed, round }
    }

    /// What the fleet's builds print, and part of their names. A seed may be played more than once.
    pub(crate) fn mark(&self) -> String {
        format!("{}-{}", self.seed, self.round)
    }

    pub(crate) fn image(&self, number: usize) -> String {
        match number {
            0..SHARED => format!("shared:{}", self.mark()),
            _ => format!("{}:{}", NAMES[number], self.mark()),
        }
    }

    /// As often as it takes, always with the same key.
    async fn submit(&self, number: usize) -> String {
        let task = if number < SHARED { "shared" } else { "twin" };
        let mut arguments = json!({ "SEED": self.mark() });
        if number < SHARED {
            arguments["NAME"] = json!(NAMES[number]);
        }
        let body = json!({ "build": { "images": [self.image(number)], "build_args": arguments } });
        let key = format!("{}-{}", self.mark(), NAMES[number]);
        loop {
            let request = self.http.post(format!("{}tasks/{task}/runs", self.base)).json(&body);
            let request = request.header("idempotency-key", &key).timeout(Duration::from_secs(10));
            if let Ok(answer) = request.send().await {
                let status = answer.status();
                if status == 201 {
                    if let Ok(run) = answer.json::<Value>().await {
                        return run["id"].as_str().unwrap().to_owned();
                    }
                } else {
                    assert!(
                        status.is_server_error(),
                        "{status}: {}",
                        answer.text().await.unwrap_or_default()
                    );
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn cancel(&self, id: &str) -> Option<u16> {
        for _ in 0..100 {
            let request = self.http.post(format!("{}runs/{id}/cancel", self.base));
            match request.timeout(Duration::from_secs(10)).send().await {
                Ok(answer) if !answer.status().is_server_error() => return Some(answer.status().as_u16()),
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
        None
    }

    async fn get(&self, path: &str) -> Option<reqwest::Response> {
        let answer = self.http.get(format!("{}runs/{path}", self.base)).timeout(Duration::from_secs(10));
        answer.send().await.ok().filter(|answer| answer.status().is_success())
    }

    /// All of an attempt's log from `offset` on.
    pub(crate) async fn log(&self, id: &str, attempt: i64, offset: usize) -> Option<String> {
        let answer = self.get(&format!("{id}/logs?attempt={attempt}&offset={offset}")).await?;
        answer.text().await.ok()
    }

    /// Looks until it has ended.
    async fn watch(&self, number: usize, id: String) -> Seen {
        let mut seen = Seen { name: NAMES[number], id, ..Seen::default() };
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline && seen.ended.is_null() {
            self.look(&mut seen).await;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        seen
    }

    async fn look(&self, seen: &mut Seen) {
        let Some(answer) = self.get(&seen.id).await else { return };
        let Ok(run) = answer.json::<Value>().await else { return };
        let now = (run["attempt"].as_i64().unwrap(), run["status"].as_str().unwrap().to_owned());
        if seen.moves.last() != Some(&now) {
            seen.moves.push(now.clone());
        }
        let known = seen.logs.get(&now.0).map_or(0, String::len);
        if let Some(more) = self.log(&seen.id, now.0, known).await {
            seen.logs.entry(now.0).or_default().push_str(&more);
        }
        if is_end(&now.1) {
            seen.ended = run;
        }
    }
}

pub(crate) fn is_end(status: &str) -> bool {
    matches!(status, "succeeded" | "failed" | "cancelled" | "timed_out")
}

/// A fleet under way.
pub(crate) struct Fleet {
    watchers: Vec<tokio::task::JoinHandle<Seen>>,
    ids: tokio::sync::watch::Receiver<Vec<Option<String>>>,
}

impl Fleet {
    /// The shared ones one after the other: their order is the client's.
    pub(crate) fn send(client: &Client) -> Self {
        let (sender, ids) = tokio::sync::watch::channel(vec![None; RUNS as usize]);
        let sender = std::sync::Arc::new(sender);
        let mut before: Option<tokio::sync::oneshot::Receiver<()>> = None;
        let mut watchers = Vec::new();
        for number in 0..RUNS as usize {
            let (done, next) = tokio::sync::oneshot::channel();
            let turn = if number < SHARED { before.replace(next) } else { None };
            let (client, sender) = (client.clone(), std::sync::Arc::clone(&sender));
            watchers.push(tokio::spawn(async move {
                if let Some(turn) = turn {
                    let _ = turn.await;
                }
                let id = client.submit(number).await;
                sender.send_modify(|ids| ids[number] = Some(id.clone()));
                let _ = done.send(());
                client.watch(number, id).await
            }));
        }
        Self { watchers, ids }
    }

    /// A run's id, if it has one.
    pub(crate) fn id_now(&self, number: usize) -> Option<String> {
        self.ids.borrow()[number].clone()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.watchers.iter().all(tokio::task::JoinHandle::is_finished)
    }

    /// Waits for every run.
    pub(crate) async fn ended(self) -> Vec<Seen> {
        let mut all = Vec::new();
        for watcher in self.watchers {
            all.push(watcher.await.expect("a client does not fail"));
        }
        all
    }
}
