//! Lines of a push for the run's log. They wait until the worker has written its last line.

use database::{Database, PublicationLease};

#[derive(Debug, Default)]
pub(crate) struct PushLog {
    lines: std::sync::Mutex<String>,
}

impl PushLog {
    pub(crate) fn line(&self, line: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lines.push_str(line);
        lines.push('\n');
    }

    /// Writes what waits. A log that can't be written stops no push.
    pub(crate) async fn flush(&self, database: &Database, lease: &PublicationLease) {
        let lines =
            std::mem::take(&mut *self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        if lines.is_empty() {
            return;
        }
        if let Err(error) = database.append_publication_log(lease, &lines).await {
            tracing::warn!(%error, "lines of a push are missing in the log");
        }
    }
}

/// `12.3 MB`, in powers of ten as registries count.
pub(crate) fn size(bytes: u64) -> String {
    let mut rest = bytes;
    for unit in ["B", "kB", "MB"] {
        if rest < 1000 {
            return format!("{rest} {unit}");
        }
        if rest < 10_000 && unit != "B" {
            return format!("{rest} {unit}");
        }
        rest /= 1000;
    }
    format!("{rest} GB")
}
