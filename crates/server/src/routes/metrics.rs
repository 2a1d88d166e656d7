//! `/metrics` in Prometheus' text format, and the counters that the rest of the server turns. Labels are
//! bounded: routes as patterns, methods and statuses from fixed lists; never an id or a name.

use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use database::{Forget, QueueStatistics, Report, Rescued};
use model::GitHost;

use crate::App;
use crate::http::problem::Problem;

const METHODS: [Method; 7] =
    [Method::GET, Method::POST, Method::HEAD, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS];
/// Seconds; the long ones are for receivers that were away.
const LAGS: [f64; 9] = [0.1, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 7200.0, 86400.0];
/// Seconds. The long ones are for `Prefer: wait`.
const BUCKETS: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 75.0];

pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    streams: IntGauge,
    uploaded_bytes: IntCounter,
    rescued: IntCounterVec,
    deliveries: IntCounterVec,
    reports: IntCounterVec,
    report_seconds: HistogramVec,
    report_lag_seconds: HistogramVec,
    forgotten: IntCounterVec,
    outbox_waiting: IntGauge,
    outbox_oldest_seconds: IntGauge,
    runs: IntGaugeVec,
    queue_oldest_seconds: IntGauge,
    leases_expired: IntGauge,
    workers: IntGauge,
    slots: IntGauge,
}

/// Counts a log stream as open until it is dropped.
pub(crate) struct OpenStream(IntGauge);

/// Numbers about the service.
#[utoipa::path(get, path = "/metrics", tag = "operation", operation_id = "metrics",
    responses((status = 200, description = "Prometheus' text format 0.0.4", body = String)))]
pub(crate) async fn metrics(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    // The other numbers are worth having while the database is away, too.
    match app.database.queue_statistics().await {
        Ok(statistics) => app.metrics.queue(&statistics),
        Err(error) => tracing::warn!(%error, "the queue's numbers are old"),
    }
    match app.database.outbox_age().await {
        Ok((waiting, oldest)) => app.metrics.outbox(waiting, oldest),
        Err(error) => tracing::warn!(%error, "the outbox's numbers are old"),
    }
    let text = TextEncoder::new().encode_to_string(&app.metrics.registry.gather()).unwrap_or_default();
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text))
}

impl Metrics {
    /// # Panics
    /// Never: names are fixed, and each is registered once.
    #[expect(clippy::expect_used, reason = "names and labels are constants; a test makes one")]
    pub(crate) fn new() -> Self {
        let made = Self::make();
        made.expect("the names of metrics are unique")
    }

    fn make() -> prometheus::Result<Self> {
        let registry = Registry::new_custom(Some("slipway".to_owned()), None)?;
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new("http_requests_total", "Answers by route, method and status"),
                &["route", "method", "status"],
            )?,
            request_seconds: HistogramVec::new(
                HistogramOpts::new("http_request_seconds", "Time until an answer began")
                    .buckets(BUCKETS.to_vec()),
                &["route", "method"],
            )?,
            streams: IntGauge::new("log_streams", "Log streams that are open")?,
            uploaded_bytes: IntCounter::new("source_uploaded_bytes_total", "Bytes of uploaded sources")?,
            rescued: IntCounterVec::new(
                Opts::new(
                    "runs_rescued_total",
                    "Runs taken from a holder that was gone, by what became of them",
                ),
                &["became"],
            )?,
            deliveries: IntCounterVec::new(
                Opts::new("deliveries_total", "Deliveries of hooks, by host and what became of them"),
                &["host", "outcome"],
            )?,
            reports: IntCounterVec::new(
                Opts::new("reports_total", "What others were told of runs, by kind and outcome"),
                &["kind", "outcome"],
            )?,
            report_seconds: HistogramVec::new(
                HistogramOpts::new("report_seconds", "A try to tell others of a run, until it was answered")
                    .buckets(BUCKETS.to_vec()),
                &["kind"],
            )?,
            report_lag_seconds: HistogramVec::new(
                HistogramOpts::new(
                    "report_lag_seconds",
                    "From what became of a run until others heard of it",
                )
                .buckets(LAGS.to_vec()),
                &["kind"],
            )?,
            forgotten: IntCounterVec::new(
                Opts::new("forgotten_rows_total", "Rows removed because they were kept for long enough"),
                &["what"],
            )?,
            outbox_waiting: IntGauge::new("outbox_waiting", "Reports that are not sent yet")?,
            outbox_oldest_seconds: IntGauge::new("outbox_oldest_seconds", "Age of the oldest of them")?,
            runs: IntGaugeVec::new(
                Opts::new("queue_runs", "Runs that have not ended, by status"),
                &["status"],
            )?,
            queue_oldest_seconds: IntGauge::new("queue_oldest_seconds", "Age of the oldest queued run")?,
            leases_expired: IntGauge::new(
                "leases_expired",
                "Runs whose holder's lease ran out and that were not taken from it yet",
            )?,
            workers: IntGauge::new("workers", "Workers that gave a sign of life lately")?,
            slots: IntGauge::new("worker_slots", "Runs that those workers can do at the same time")?,
            registry,
        };
        metrics.register()?;
        metrics.begin();
        Ok(metrics)
    }

    /// A counter that is not there can't be seen to grow.
    fn begin(&self) {
        for became in ["queued", "cancelled", "timed_out", "failed"] {
            self.rescued.with_label_values(&[became]);
        }
        for host in GitHost::ALL {
            for outcome in ["stored", "again", "refused", "matched", "ignored", "failed"] {
                self.deliveries.with_label_values(&[host.as_str(), outcome]);
            }
        }
        for what in Forget::ALL {
            self.forgotten.with_label_values(&[what.as_str()]);
        }
        for kind in ["commit_status", "webhook"] {
            self.report_seconds.with_label_values(&[kind]);
            self.report_lag_seconds.with_label_values(&[kind]);
            for outcome in ["sent", "retried", "given_up"] {
                self.reports.with_label_values(&[kind, outcome]);
            }
        }
    }

    fn register(&self) -> prometheus::Result<()> {
        let registry = &self.registry;
        registry.register(Box::new(self.requests.clone()))?;
        registry.register(Box::new(self.request_seconds.clone()))?;
        registry.register(Box::new(self.streams.clone()))?;
        registry.register(Box::new(self.uploaded_bytes.clone()))?;
        registry.register(Box::new(self.rescued.clone()))?;
        registry.register(Box::new(self.deliveries.clone()))?;
        registry.register(Box::new(self.reports.clone()))?;
        registry.register(Box::new(self.report_seconds.clone()))?;
        registry.register(Box::new(self.report_lag_seconds.clone()))?;
        registry.register(Box::new(self.forgotten.clone()))?;
        registry.register(Box::new(self.outbox_waiting.clone()))?;
        registry.register(Box::new(self.outbox_oldest_seconds.clone()))?;
        registry.register(Box::new(self.runs.clone()))?;
        registry.register(Box::new(self.queue_oldest_seconds.clone()))?;
        registry.register(Box::new(self.leases_expired.clone()))?;
        registry.register(Box::new(self.workers.clone()))?;
        registry.register(Box::new(self.slots.clone()))?;
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
    }

    /// Counts an answer. `route` is a pattern, never a path.
    pub(crate) fn answered(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let method = METHODS.iter().find(|known| *known == method).map_or("other", Method::as_str);
        self.requests.with_label_values(&[route, method, status.as_str()]).inc();
        self.request_seconds.with_label_values(&[route, method]).observe(took.as_secs_f64());
    }

    pub(crate) fn stream_opened(&self) -> OpenStream {
        self.streams.inc();
        OpenStream(self.streams.clone())
    }

    pub(crate) fn uploaded(&self, bytes: u64) {
        self.uploaded_bytes.inc_by(bytes);
    }

    pub(crate) fn rescued(&self, rescued: &[Rescued]) {
        for run in rescued {
            tracing::warn!(run = %run.run, became = %run.became, "a run was taken from a holder that is gone");
            self.rescued.with_label_values(&[run.became.as_str()]).inc();
        }
    }

    pub(crate) fn delivered(&self, host: GitHost, outcome: &str) {
        self.deliveries.with_label_values(&[host.as_str(), outcome]).inc();
    }

    pub(crate) fn reported(&self, report: &Report, outcome: &str, how_many: u64) {
        self.reports.with_label_values(&[word(report), outcome]).inc_by(how_many);
    }

    pub(crate) fn report_tried(&self, report: &Report, took: Duration) {
        self.report_seconds.with_label_values(&[word(report)]).observe(took.as_secs_f64());
    }

    /// `seconds` by the database's clock.
    pub(crate) fn report_heard(&self, report: &Report, seconds: f64) {
        self.report_lag_seconds.with_label_values(&[word(report)]).observe(seconds);
    }

    pub(crate) fn forgotten(&self, what: Forget, rows: u64) {
        self.forgotten.with_label_values(&[what.as_str()]).inc_by(rows);
    }

    fn outbox(&self, waiting: i64, oldest_seconds: i64) {
        self.outbox_waiting.set(waiting);
        self.outbox_oldest_seconds.set(oldest_seconds);
    }

    fn queue(&self, statistics: &QueueStatistics) {
        for (status, runs) in [
            ("queued", statistics.queued),
            ("started", statistics.started),
            ("publishing", statistics.publishing),
        ] {
            self.runs.with_label_values(&[status]).set(runs);
        }
        self.queue_oldest_seconds.set(statistics.oldest_seconds);
        self.leases_expired.set(statistics.expired);
        self.workers.set(statistics.workers);
        self.slots.set(statistics.slots);
    }
}

fn word(report: &Report) -> &'static str {
    match report {
        Report::CommitStatus => "commit_status",
        Report::Webhook { .. } => "webhook",
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}
