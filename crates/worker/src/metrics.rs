//! What a worker counts and times, in the process' own registry; `cli` serves it. Labels are words of this
//! file and nothing else: never an id, a name or an address. docs/METRICS.md explains each.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use database::Outcome;
use port::Progress;
use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, register_histogram,
    register_histogram_vec, register_int_counter, register_int_counter_vec, register_int_gauge,
    register_int_gauge_vec,
};

pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// Seconds: of a statement, and of a build.
const SHORT: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
const LONG: [f64; 13] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0, 1800.0, 3600.0];

/// Where bytes came from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum From {
    Git,
    Upload,
    BaseImage,
    Url,
}

/// What a store consists of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stored {
    Blob,
    Snapshot,
}

impl Stored {
    fn word(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Snapshot => "snapshot",
        }
    }
}

pub(crate) struct Metrics {
    pub(crate) queue_wait: Histogram,
    pub(crate) lease: Histogram,
    pub(crate) held: IntGauge,
    pub(crate) grant: Histogram,
    pub(crate) cell_start: Histogram,
    pub(crate) layer: Histogram,
    pub(crate) layer_bytes: IntCounter,
    pub(crate) log_lag: Histogram,
    pub(crate) log_bytes: IntCounter,
    pub(crate) heartbeats_failed: IntCounter,
    pub(crate) store_free: IntGauge,
    pub(crate) store_size: IntGauge,
    pub(crate) store_quota: IntGauge,
    store_used: IntGaugeVec,
    store_removed: IntCounterVec,
    store_damaged: IntCounterVec,
    pub(crate) store_compared: IntCounter,
    attempts: IntCounterVec,
    fetch: HistogramVec,
    fetch_bytes: IntCounterVec,
    vertex: Histogram,
    vertices: IntCounterVec,
    cache_lookups: IntCounterVec,
    cache_saved_bytes: IntCounter,
}

impl Metrics {
    #[expect(
        clippy::expect_used,
        reason = "names and labels are constants; every test of this room makes them"
    )]
    fn new() -> Self {
        let made = Self::make().expect("the names of metrics are unique");
        // A counter that is not there can't be seen to grow.
        for outcome in ["handed_on", "failed", "cancelled", "timed_out", "handed_back", "lost"] {
            for blame in if outcome == "failed" { &["user", "limits", "service"][..] } else { &["none"] } {
                made.attempts.with_label_values(&[outcome, *blame]);
            }
        }
        for what in [Stored::Blob, Stored::Snapshot] {
            made.removed(what, 0);
            made.damaged(what, 0);
            made.used(what, 0);
        }
        for result in ["hit", "miss"] {
            made.cache_lookups.with_label_values(&[result]);
        }
        for result in ["cached", "executed"] {
            made.vertices.with_label_values(&[result]);
        }
        made
    }

    fn make() -> prometheus::Result<Self> {
        let (short, long) = (SHORT.to_vec(), LONG.to_vec());
        Ok(Self {
            queue_wait: register_histogram!(
                "slipway_queue_wait_seconds",
                "From queued, or the end of a pause, to leased",
                long.clone()
            )?,
            lease: register_histogram!(
                "slipway_lease_seconds",
                "A question for a run to lease",
                short.clone()
            )?,
            held: register_int_gauge!("slipway_runs_held", "Runs that this worker holds")?,
            grant: register_histogram!(
                "slipway_grant_seconds",
                "What a run needs, from the publisher",
                long.clone()
            )?,
            cell_start: register_histogram!("slipway_cell_start_seconds", "Start of a cell", short.clone())?,
            layer: register_histogram!(
                "slipway_layer_seconds",
                "A layer: packed, hashed, compressed, linked",
                long.clone()
            )?,
            layer_bytes: register_int_counter!("slipway_layer_bytes_total", "Compressed bytes of new blobs")?,
            log_lag: register_histogram!(
                "slipway_log_lag_seconds",
                "From a log line's arrival at the worker until readers can have it",
                long.clone()
            )?,
            log_bytes: register_int_counter!("slipway_log_bytes_total", "Bytes of logs")?,
            heartbeats_failed: register_int_counter!(
                "slipway_heartbeats_failed_total",
                "Heartbeats that did not reach the database"
            )?,
            store_free: register_int_gauge!("slipway_store_free_bytes", "Room left on the store's disk")?,
            store_size: register_int_gauge!("slipway_store_size_bytes", "Size of the store's disk")?,
            store_quota: register_int_gauge!("slipway_store_quota_bytes", "What the store may take")?,
            store_used: register_int_gauge_vec!(
                "slipway_store_used_bytes",
                "What the store takes",
                &["what"]
            )?,
            store_removed: register_int_counter_vec!(
                "slipway_store_removed_total",
                "Blobs and unpacked layers removed to make room",
                &["what"]
            )?,
            store_damaged: register_int_counter_vec!(
                "slipway_store_damaged_total",
                "Blobs and unpacked layers that were not what they had been",
                &["what"]
            )?,
            store_compared: register_int_counter!(
                "slipway_store_compared_total",
                "Unpacked layers read again and compared"
            )?,
            attempts: register_int_counter_vec!(
                "slipway_attempts_total",
                "Attempts of this worker by how they ended and who is to blame",
                &["outcome", "blame"]
            )?,
            fetch: register_histogram_vec!(
                "slipway_fetch_seconds",
                "Source, base image layer or added file, fetched",
                &["from"],
                long.clone()
            )?,
            fetch_bytes: register_int_counter_vec!("slipway_fetch_bytes_total", "Bytes fetched", &["from"])?,
            vertex: register_histogram!("slipway_vertex_seconds", "A vertex of a build graph, done", long)?,
            vertices: register_int_counter_vec!(
                "slipway_vertices_total",
                "Vertices of build graphs that are done",
                &["result"]
            )?,
            cache_lookups: register_int_counter_vec!(
                "slipway_cache_lookups_total",
                "Keys looked up in the cache",
                &["result"]
            )?,
            cache_saved_bytes: register_int_counter!(
                "slipway_cache_saved_bytes_total",
                "Compressed bytes of layers found in the cache"
            )?,
        })
    }

    pub(crate) fn used(&self, what: Stored, bytes: u64) {
        self.store_used.with_label_values(&[what.word()]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn removed(&self, what: Stored, count: u64) {
        self.store_removed.with_label_values(&[what.word()]).inc_by(count);
    }

    pub(crate) fn damaged(&self, what: Stored, count: u64) {
        self.store_damaged.with_label_values(&[what.word()]).inc_by(count);
    }

    /// How an attempt ended; none when its lease was lost.
    pub(crate) fn ended(&self, outcome: Option<&Outcome>) {
        let (outcome, blame) = match outcome {
            None => ("lost", "none"),
            Some(Outcome::Publishing { .. } | Outcome::Succeeded { .. }) => ("handed_on", "none"),
            Some(Outcome::Cancelled) => ("cancelled", "none"),
            Some(Outcome::TimedOut(_)) => ("timed_out", "none"),
            Some(Outcome::HandedBack(_)) => ("handed_back", "none"),
            Some(Outcome::Failed { failure, .. }) => ("failed", failure.blame.as_str()),
        };
        self.attempts.with_label_values(&[outcome, blame]).inc();
    }

    pub(crate) fn looked_up(&self, hits: &[Option<port::CacheHit>]) {
        let layers = hits.iter().flatten().filter_map(|hit| hit.layer.as_ref());
        // A vertex has more than one key, and all of them may be known.
        let sizes: HashMap<_, u64> = layers.map(|layer| (&layer.blob.digest, layer.blob.size)).collect();
        self.cache_saved_bytes.inc_by(sizes.values().sum());
        let (keys, hits) = (hits.len(), hits.iter().flatten().count());
        self.cache_lookups.with_label_values(&["hit"]).inc_by(hits as u64);
        self.cache_lookups.with_label_values(&["miss"]).inc_by(keys.saturating_sub(hits) as u64);
    }

    /// What a cell says it did between two words of it. It is a stranger: numbers only ever grow.
    pub(crate) fn progressed(&self, before: &Progress, now: &Progress) {
        let done = now.done.saturating_sub(before.done);
        let cached = now.cached.saturating_sub(before.cached);
        self.vertices.with_label_values(&["cached"]).inc_by(cached.into());
        self.vertices.with_label_values(&["executed"]).inc_by(done.saturating_sub(cached).into());
        if done > 0 {
            let spent = Duration::from_millis(now.milliseconds.saturating_sub(before.milliseconds));
            self.vertex.observe(spent.as_secs_f64() / f64::from(done));
        }
    }

    pub(crate) fn fetched(&self, from: From, bytes: u64, began: Instant) {
        let from = match from {
            From::Git => "git",
            From::Upload => "upload",
            From::BaseImage => "base_image",
            From::Url => "url",
        };
        self.fetch.with_label_values(&[from]).observe(began.elapsed().as_secs_f64());
        self.fetch_bytes.with_label_values(&[from]).inc_by(bytes);
    }
}
