//! What a publisher counts and times, in the process' own registry; `cli` serves it. Labels are words of this
//! file and nothing else: never an id, a name or an address. docs/METRICS.md explains each.

use std::sync::LazyLock;

use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, register_histogram, register_histogram_vec,
    register_int_counter, register_int_counter_vec, register_int_gauge,
};
use registry::{Observe, Trouble};

pub(crate) static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// Seconds.
const BUCKETS: [f64; 11] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0];

pub(crate) struct Metrics {
    pub(crate) open: IntGauge,
    pub(crate) sign_in: Histogram,
    pub(crate) manifest: Histogram,
    pub(crate) upload: Histogram,
    pub(crate) pushed_bytes: IntCounter,
    pub(crate) damaged_blobs: IntCounter,
    publications: IntCounterVec,
    push: HistogramVec,
    blobs: IntCounterVec,
    retries: IntCounterVec,
    throttled: IntCounter,
}

/// Counts the trouble of pushes.
pub(crate) struct Troubles;

impl Observe for Troubles {
    fn trouble(&self, trouble: Trouble, is_repeated: bool) {
        if trouble == Trouble::TooManyRequests {
            METRICS.throttled.inc();
        }
        if is_repeated {
            METRICS.retries.with_label_values(&[word(trouble)]).inc();
        }
    }
}

fn word(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Unauthorized => "unauthorized",
        Trouble::TooManyRequests => "too_many_requests",
        Trouble::Unavailable => "unavailable",
    }
}

impl Metrics {
    #[expect(
        clippy::expect_used,
        reason = "names and labels are constants; every test of this room makes them"
    )]
    fn new() -> Self {
        let made = Self::make().expect("the names of metrics are unique");
        // A counter that is not there can't be seen to grow.
        for outcome in ["published", "failed", "refused", "lost", "waits"] {
            made.publications.with_label_values(&[outcome]);
        }
        for how in ["exists", "mounted", "uploaded"] {
            made.blobs.with_label_values(&[how]);
        }
        for trouble in [Trouble::Unauthorized, Trouble::TooManyRequests, Trouble::Unavailable] {
            made.retries.with_label_values(&[word(trouble)]);
        }
        made
    }

    fn make() -> prometheus::Result<Self> {
        let buckets = BUCKETS.to_vec();
        Ok(Self {
            open: register_int_gauge!("slipway_publications_open", "Publications that are worked on")?,
            sign_in: register_histogram!(
                "slipway_sign_in_seconds",
                "What is needed to sign in to the registry, found",
                buckets.clone()
            )?,
            manifest: register_histogram!(
                "slipway_push_manifest_seconds",
                "Manifest and tags, put and read back",
                buckets.clone()
            )?,
            upload: register_histogram!("slipway_push_blob_seconds", "Upload of a blob", buckets.clone())?,
            pushed_bytes: register_int_counter!("slipway_push_bytes_total", "Bytes of uploaded blobs")?,
            damaged_blobs: register_int_counter!(
                "slipway_push_damaged_blobs_total",
                "Blobs of the store that were not what they had been"
            )?,
            publications: register_int_counter_vec!(
                "slipway_publications_total",
                "Tries to publish, by how they ended",
                &["outcome"]
            )?,
            push: register_histogram_vec!(
                "slipway_push_seconds",
                "A publication from lease to end; the build may still go on meanwhile",
                &["outcome"],
                buckets
            )?,
            blobs: register_int_counter_vec!(
                "slipway_push_blobs_total",
                "Blobs by how the registry came to have them",
                &["how"]
            )?,
            retries: register_int_counter_vec!(
                "slipway_push_retries_total",
                "Requests of pushes that were repeated, by why",
                &["why"]
            )?,
            throttled: register_int_counter!(
                "slipway_push_throttled_total",
                "Answers of registries that there were too many requests (429)"
            )?,
        })
    }

    pub(crate) fn ended(&self, outcome: &str, seconds: f64) {
        self.publications.with_label_values(&[outcome]).inc();
        self.push.with_label_values(&[outcome]).observe(seconds);
    }

    pub(crate) fn blob(&self, how: &str) {
        self.blobs.with_label_values(&[how]).inc();
    }
}
