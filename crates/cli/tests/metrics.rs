//! What the roles serve to Prometheus after real runs: no label holds what a stranger wrote, a hundred runs
//! add no series, and the board and the alert rules ask for nothing that is not served.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use support::{Identity, World};
use test_support::{GitServer, TestRepository};

const RUNS: usize = 100;
/// Labels and their words; the server's `route` and `status` are looked at apart.
const ALLOWED: [(&str, &[&str]); 14] = [
    (
        "outcome",
        &[
            "handed_on",
            "failed",
            "cancelled",
            "timed_out",
            "handed_back",
            "lost",
            "published",
            "refused",
            "waits",
            "stored",
            "again",
            "matched",
            "ignored",
            "sent",
            "retried",
            "given_up",
        ],
    ),
    ("blame", &["user", "limits", "service", "none"]),
    ("result", &["hit", "miss", "cached", "executed"]),
    ("from", &["git", "upload", "base_image"]),
    ("how", &["exists", "mounted", "uploaded"]),
    ("why", &["unauthorized", "too_many_requests", "unavailable"]),
    ("became", &["queued", "cancelled", "timed_out", "failed"]),
    ("host", &["github", "gitea", "gitlab", "azure_devops", "standard"]),
    ("kind", &["commit_status", "webhook"]),
    ("method", &["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "other"]),
    ("status", &["queued", "started", "publishing"]),
    ("what", &["blob", "snapshot", "log", "run", "delivery", "report", "upload", "cached_step"]),
    ("le", &[]),
    ("route", &[]),
];

/// A series: its name and its labels, without its number.
type Series = (String, BTreeMap<String, String>);

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_runs_add_no_series_and_every_label_is_a_word_of_ours() {
    let world = World::start(Identity::Root).await;
    let base = world.base_image();
    let repository = TestRepository::new();
    let dockerfile = "ARG BASE\nFROM ${BASE}\nCOPY word word\nRUN echo built > made\n";
    repository.commit_to("main", &[("Dockerfile", dockerfile), ("word", "first")]);
    let git = GitServer::start(&repository);
    let build = async |image: String| {
        let source = json!({ "type": "git", "url": git.url(), "ref": "main" });
        let spec = json!({ "source": source, "images": [image], "build_args": { "BASE": base } });
        let ended = world.build(spec).await;
        assert_eq!(ended["status"], "succeeded", "{ended}\n{}", world.log());
    };
    // Twice: the second time everything is cached.
    build("counted:warm".to_owned()).await;
    build("counted:cached".to_owned()).await;
    let before = scrape(&world).await;
    check_labels(&before);
    check_questions(&before);
    for number in 0..RUNS {
        build(format!("counted-{number}:tag-{number}")).await;
    }
    // The first look at /metrics is a route, too.
    let after: BTreeSet<_> = scrape(&world).await.difference(&before).cloned().collect();
    let grown: Vec<_> =
        after.iter().filter(|(_, labels)| labels.get("route").is_none_or(|r| r != "/metrics")).collect();
    assert!(grown.is_empty(), "{RUNS} runs made new series: {grown:#?}");
}

/// Every series of all three roles.
async fn scrape(world: &World) -> BTreeSet<Series> {
    let mut all = BTreeSet::new();
    let ready = std::fs::read_to_string(world.data.with_extension("ready")).unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let of = |name: &str| format!("http://{}/metrics", ready[name].as_str().unwrap());
    for address in [format!("{}/metrics", world.server), of("worker_metrics"), of("publisher_metrics")] {
        let answer = world.http.get(&address).send().await.unwrap().error_for_status().unwrap();
        let text = answer.text().await.unwrap();
        assert!(text.contains("# TYPE"), "{address} serves metrics: {text}");
        all.extend(text.lines().filter(|line| !line.starts_with('#')).map(series));
    }
    all
}

fn series(line: &str) -> Series {
    let (series, _) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty());
    let pair = |label: &str| {
        let (name, value) = label.split_once('=').unwrap();
        (name.to_owned(), value.trim_matches('"').to_owned())
    };
    (name.to_owned(), labels.map(pair).collect())
}

fn check_labels(all: &BTreeSet<Series>) {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi.yaml");
    let document = std::fs::read_to_string(document).unwrap();
    for (name, labels) in all {
        for (label, value) in labels {
            let words = ALLOWED.iter().find(|(known, _)| known == label);
            let (_, words) = words.unwrap_or_else(|| panic!("{name} has a label {label}"));
            let fine = match label.as_str() {
                "le" => value == "+Inf" || value.parse::<f64>().is_ok(),
                "route" => document.contains(&format!("  {value}:")) || value == "unmatched",
                "status" if name == "slipway_http_requests_total" => value.parse::<u16>().is_ok(),
                _ => words.contains(&value.as_str()),
            };
            assert!(fine, "{name} has {label}=\"{value}\"");
        }
    }
}

/// Names that the board and the rules ask for are served, and what is served is documented.
fn check_questions(all: &BTreeSet<Series>) {
    let served: BTreeSet<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    let read =
        |path: &str| std::fs::read_to_string(format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for file in ["deploy/grafana/slipway.json", "deploy/prometheus/rules.yaml"] {
        let text = read(file);
        // The job's label, the board's own id and the jobs' names are no metrics.
        for name in words(&text).filter(|word| word.starts_with("slipway_")) {
            assert!(served.contains(name), "{file} asks for {name}, which nobody serves");
        }
    }
    let page = read("docs/METRICS.md");
    for name in
        served.iter().filter(|name| name.starts_with("slipway_") && !name.starts_with("slipway_process_"))
    {
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(page.contains(&format!("`{family}`")), "docs/METRICS.md does not explain {family}");
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
}
