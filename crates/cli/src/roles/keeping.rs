//! What is kept and how long: what `slipway worker`, `slipway server` and `slipway up` take, and hand on.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use content::Quota;
use database::Keep;
use worker::Cleaning;

use crate::client::seconds;

/// Of a worker's store.
#[derive(Debug, Clone, Args)]
pub(crate) struct KeepingArgs {
    /// What the store may take of its disk, as bytes (20G) or as a part of the disk (50%); what was used last stays
    #[arg(long, env = "SLIPWAY_STORE_QUOTA", value_name = "SIZE", default_value = "50%")]
    pub(crate) store_quota: Quota,
    /// How often the store is cleaned
    #[arg(long, env = "SLIPWAY_CLEAN_EVERY", value_name = "TIME", default_value = "1m", value_parser = pause)]
    clean_every: Duration,
    /// How long an unpacked layer is believed before it is read again, while no run is at work
    #[arg(long, env = "SLIPWAY_COMPARE_AFTER", value_name = "TIME", default_value = "1d", value_parser = time)]
    compare_after: Duration,
}

/// Of the service's past.
#[derive(Debug, Clone, Args)]
pub(crate) struct RetentionArgs {
    /// How long ended runs are kept, with their steps and logs
    #[arg(long, env = "SLIPWAY_KEEP_RUNS", value_name = "TIME", default_value = "365d", value_parser = time)]
    keep_runs: Duration,
    /// How long their logs are kept
    #[arg(long, env = "SLIPWAY_KEEP_LOGS", value_name = "TIME", default_value = "90d", value_parser = time)]
    keep_logs: Duration,
    /// What their logs may take together; the oldest go first
    #[arg(long, env = "SLIPWAY_KEEP_LOGS_SIZE", value_name = "SIZE", default_value = "20G", value_parser = size)]
    keep_logs_size: u64,
    /// How long deliveries of git hosts are kept, and what others were told
    #[arg(long, env = "SLIPWAY_KEEP_DELIVERIES", value_name = "TIME", default_value = "30d", value_parser = time)]
    keep_deliveries: Duration,
    /// What the deliveries' bodies may take together
    #[arg(long, env = "SLIPWAY_KEEP_DELIVERIES_SIZE", value_name = "SIZE", default_value = "5G", value_parser = size)]
    keep_deliveries_size: u64,
    /// How long uploaded sources are kept that no run waits for
    #[arg(long, env = "SLIPWAY_KEEP_UPLOADS", value_name = "TIME", default_value = "1d", value_parser = time)]
    keep_uploads: Duration,
}

impl KeepingArgs {
    pub(crate) fn cleaning(&self) -> Cleaning {
        Cleaning { every: self.clean_every, compare_after: self.compare_after }
    }

    /// As arguments of another process.
    pub(crate) fn arguments(&self) -> [OsString; 3] {
        [
            format!("--store-quota={}", self.store_quota).into(),
            format!("--clean-every={}ms", self.clean_every.as_millis()).into(),
            format!("--compare-after={}", self.compare_after.as_secs()).into(),
        ]
    }
}

impl RetentionArgs {
    pub(crate) fn keep(&self) -> Keep {
        Keep {
            runs: self.keep_runs,
            logs: self.keep_logs,
            log_bytes: self.keep_logs_size,
            deliveries: self.keep_deliveries,
            delivery_bytes: self.keep_deliveries_size,
            uploads: self.keep_uploads,
        }
    }

    /// As arguments of another process.
    pub(crate) fn arguments(&self) -> [OsString; 6] {
        let of = |name: &str, number: u64| format!("--keep-{name}={number}").into();
        [
            of("runs", self.keep_runs.as_secs()),
            of("logs", self.keep_logs.as_secs()),
            of("logs-size", self.keep_logs_size),
            of("deliveries", self.keep_deliveries.as_secs()),
            of("deliveries-size", self.keep_deliveries_size),
            of("uploads", self.keep_uploads.as_secs()),
        ]
    }
}

fn time(text: &str) -> Result<Duration, String> {
    seconds(text).map(|seconds| Duration::from_secs(seconds.into()))
}

/// As [`time`], also in milliseconds, and never none.
fn pause(text: &str) -> Result<Duration, String> {
    let pause = match text.strip_suffix("ms") {
        Some(number) => number.parse().map(Duration::from_millis).map_err(|error| error.to_string())?,
        None => time(text)?,
    };
    if pause.is_zero() { Err("write a time that is longer than none".to_owned()) } else { Ok(pause) }
}

fn size(text: &str) -> Result<u64, String> {
    match text.parse()? {
        Quota::Bytes(bytes) => Ok(bytes),
        Quota::Percent(_) => Err("write bytes, or 500M, 20G, 1T".to_owned()),
    }
}
