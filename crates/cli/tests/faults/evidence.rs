//! What is known of a fleet afterwards, from records that do not know of each other: the client's journal, the
//! proxy's, a dump of the database, the registry's own answers, the file system and the process table.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use test_support::JournalEntry;

use crate::draw::Draw;
use crate::fleet::{Client, Seen};
use crate::stage::Stage;
use crate::support::residue::Residue;

/// How long what a run left may take to be swept.
const SWEEP: Duration = Duration::from_secs(30);

/// All records of one fleet.
pub(crate) struct Evidence {
    pub(crate) draw: Draw,
    pub(crate) seen: Vec<Seen>,
    /// Whole logs, as they are read afterwards: by run and attempt.
    pub(crate) logs: BTreeMap<(String, i64), String>,
    pub(crate) runs: Vec<Value>,
    pub(crate) attempts: Vec<Value>,
    pub(crate) publications: Vec<Value>,
    pub(crate) chunks: Vec<Value>,
    pub(crate) outbox: Vec<Value>,
    pub(crate) told: Vec<Value>,
    /// From the fleet's start on.
    pub(crate) journal: Vec<JournalEntry>,
    /// What names point to afterwards, by image.
    pub(crate) tags: BTreeMap<String, Option<String>>,
    /// None: nothing is left.
    pub(crate) residue: Option<String>,
    /// What the service holds on to. None: no more than before.
    pub(crate) held: Option<String>,
    pub(crate) service_log: String,
    /// Of the fleet's three runs that share one.
    pub(crate) shared: String,
    pub(crate) images: Vec<String>,
    pub(crate) mark: String,
}

impl Evidence {
    pub(crate) async fn gather(
        stage: &Stage,
        draw: Draw,
        client: &Client,
        seen: Vec<Seen>,
        before: usize,
    ) -> Self {
        let residue = until_swept(stage).await;
        let list = |column: &str| {
            let ids: Vec<String> = seen.iter().map(|seen| format!("'{}'", seen.id)).collect();
            format!("{column} IN ({})", ids.join(", "))
        };
        let rows = |select: &str, column: &str, rest: &str| {
            stage.rows(&format!("{select} WHERE {} {rest}", list(column)))
        };
        let mark = client.mark();
        let runs = stage.rows(&format!(
            "SELECT id, number, status, attempt, digest, failure, extract(epoch FROM finished_at)::float8 AS finished, extract(epoch FROM created_at)::float8 AS created FROM slipway.runs WHERE spec::text LIKE '%{mark}%' ORDER BY number"
        ));
        let attempts = rows(
            "SELECT run_id, attempt, outcome, failure, extract(epoch FROM started_at)::float8 AS started FROM slipway.attempts",
            "run_id",
            "ORDER BY run_id, attempt",
        );
        let publications = rows(
            "SELECT run_id, attempt, status, tries, failure, manifest ->> 'digest' AS digest FROM slipway.publications",
            "run_id",
            "",
        );
        let chunks = rows(
            "SELECT run_id, attempt, start, length(bytes) AS length FROM slipway.log_chunks",
            "run_id",
            "ORDER BY run_id, attempt, start",
        );
        let outbox = rows("SELECT run_id, event, status, tries FROM slipway.outbox", "run_id", "");
        let mut logs = BTreeMap::new();
        for row in &attempts {
            let (id, attempt) = (text(row, "run_id"), row["attempt"].as_i64().unwrap());
            let log = client.log(&id, attempt, 0).await.expect("the service is back");
            logs.insert((id, attempt), log);
        }
        let images: Vec<String> = (0..seen.len()).map(|number| client.image(number)).collect();
        let mut tags = BTreeMap::new();
        for image in &images {
            tags.insert(image.clone(), tag(stage, image));
        }
        Self {
            draw,
            seen,
            logs,
            runs,
            attempts,
            publications,
            chunks,
            outbox,
            tags,
            residue,
            held: stage.bounds.exceeded(stage),
            images,
            mark,
            told: stage.told.lock().unwrap().clone(),
            journal: stage.proxy.journal().split_off(before),
            service_log: stage.world.log(),
            shared: client.image(0),
        }
    }

    /// Rows of a run.
    pub(crate) fn of<'a>(rows: &'a [Value], run: &'a str) -> impl Iterator<Item = &'a Value> {
        rows.iter().filter(move |row| row["run_id"] == run)
    }
}

pub(crate) fn text(row: &Value, column: &str) -> String {
    row[column].as_str().unwrap_or_default().to_owned()
}

/// The digest that a tag names, out of the registry's own files.
fn tag(stage: &Stage, image: &str) -> Option<String> {
    let (repository, tag) = image.split_once(':').expect("a tag");
    let link = format!("docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}/current/link");
    std::fs::read_to_string(stage.registry.files().join(link)).ok().map(|text| text.trim().to_owned())
}

/// What is left of cells when it no longer becomes less.
async fn until_swept(stage: &Stage) -> Option<String> {
    let deadline = Instant::now() + SWEEP;
    loop {
        let left = Residue::of_service(&stage.world.data, &[stage.world.pid()]);
        if left.is_none() {
            return None;
        }
        if Instant::now() > deadline {
            return Some(format!("{left:?}"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
