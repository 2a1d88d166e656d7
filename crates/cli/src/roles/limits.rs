//! What one run may take, and how long a worker that stops waits: what `slipway worker` and `slipway up` take alike.
//! In: arguments. Out: options of the worker.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use crate::client::shared::seconds;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits of one run (0: none)")]
pub(crate) struct LimitArgs {
    /// Memory, page cache included [default: nine tenths of the host's, by the slots]
    #[arg(long, env = "SLIPWAY_RUN_MEMORY", value_name = "SIZE", value_parser = size)]
    run_memory: Option<u64>,
    /// Cores, for instance 1.5 [default: none; runs share evenly what there is]
    #[arg(long, env = "SLIPWAY_RUN_CPUS", value_name = "CORES", value_parser = millicores)]
    run_cpus: Option<u64>,
    /// Processes and threads [default: 4096, fewer where the host has few]
    #[arg(long, env = "SLIPWAY_RUN_PROCESSES", value_name = "COUNT")]
    run_processes: Option<u64>,
    /// What it makes the store grow by [default: half of the store's disk]
    #[arg(long, env = "SLIPWAY_RUN_DISK", value_name = "SIZE", value_parser = size)]
    run_disk: Option<u64>,
    /// Files and folders, likewise [default: half of what the disk can hold]
    #[arg(long, env = "SLIPWAY_RUN_INODES", value_name = "COUNT")]
    run_inodes: Option<u64>,
    /// Length of a file that a RUN writes, holes included [default: 2T]
    #[arg(long, env = "SLIPWAY_RUN_FILE_SIZE", value_name = "SIZE", value_parser = size)]
    run_file_size: Option<u64>,
    /// Length of an attempt's log; what follows is left out [default: 128M, at most a hundredth of the disk]
    #[arg(long, env = "SLIPWAY_RUN_LOG", value_name = "SIZE", value_parser = size)]
    run_log: Option<u64>,
    /// What of the store's disk no run may take: the largest one is ended [default: a twentieth]
    #[arg(long, env = "SLIPWAY_DISK_RESERVE", value_name = "SIZE", value_parser = size)]
    disk_reserve: Option<u64>,
    /// Lease no run where this host gives no cgroup to bound it by
    #[arg(long, env = "SLIPWAY_REQUIRE_LIMITS")]
    require_limits: bool,
    /// On SIGTERM: how long runs under way may go on before they are handed back; a second signal does not wait
    #[arg(long, env = "SLIPWAY_DRAIN_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = seconds, help_heading = None)]
    drain_timeout: u32,
}

impl LimitArgs {
    pub(crate) fn options(&self) -> worker::LimitOptions {
        worker::LimitOptions {
            memory: self.run_memory,
            processes: self.run_processes,
            millicores: self.run_cpus,
            disk: self.run_disk,
            inodes: self.run_inodes,
            file_size: self.run_file_size,
            log: self.run_log,
            disk_reserve: self.disk_reserve,
            required: self.require_limits,
        }
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_timeout.into())
    }

    /// As arguments of another process.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let numbers = [
            ("--run-memory", self.run_memory),
            ("--run-processes", self.run_processes),
            ("--run-disk", self.run_disk),
            ("--run-inodes", self.run_inodes),
            ("--run-file-size", self.run_file_size),
            ("--run-log", self.run_log),
            ("--disk-reserve", self.disk_reserve),
        ];
        let mut words: Vec<OsString> = numbers
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value?).into()))
            .collect();
        words.extend(
            self.run_cpus.map(|cores| format!("--run-cpus={}.{:03}", cores / 1000, cores % 1000).into()),
        );
        words.extend(self.require_limits.then(|| "--require-limits".into()));
        words.push(format!("--drain-timeout={}s", self.drain_timeout).into());
        words
    }
}

/// `1048576`, `512K`, `64M`, `4G` or `1T`, in bytes; a B or iB behind it is fine.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_uppercase();
    let power = match unit.trim_end_matches("IB").trim_end_matches('B') {
        "" => Some(0),
        "K" => Some(10),
        "M" => Some(20),
        "G" => Some(30),
        "T" => Some(40),
        _ => None,
    };
    let number: Option<u64> = digits.parse().ok();
    let bytes = power.zip(number).and_then(|(power, number)| number.checked_mul(1 << power));
    bytes.ok_or_else(|| "write bytes, or a number with K, M, G or T: 512M, 4G".to_owned())
}

fn millicores(text: &str) -> Result<u64, String> {
    let wrong = || "write a number of cores: 2, 0.5".to_owned();
    let cores: f64 = text.parse().map_err(|_| wrong())?;
    if !(0.0..=4096.0).contains(&cores) {
        return Err(wrong());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 0 and 4,096,000"
    )]
    Ok((cores * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn parse(words: &[OsString]) -> LimitArgs {
        Command::try_parse_from([OsString::from("x")].iter().chain(words)).unwrap().limits
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let read = ["7", "512K", "64m", "4GiB", "1TB", "0"].map(|text| size(text).unwrap());
        assert_eq!(read, [7, 512 << 10, 64 << 20, 4 << 30, 1 << 40, 0]);
        assert!(["", "G", "4X", "-1", "99999999T"].iter().all(|text| size(text).is_err()));
        assert_eq!(["2", "0.5"].map(|text| millicores(text).unwrap()), [2000, 500]);
        assert!(["", "-1", "nan", "two"].iter().all(|text| millicores(text).is_err()));
    }

    #[test]
    fn limits_are_handed_on_as_they_were_read() {
        let words = [
            "--run-memory=64M",
            "--run-cpus=0.5",
            "--disk-reserve=0",
            "--require-limits",
            "--drain-timeout=2m",
        ];
        let read = parse(&words.map(OsString::from));
        let again = parse(&read.arguments());
        assert_eq!(format!("{again:?}"), format!("{read:?}"));
        let options = again.options();
        assert_eq!(
            (options.memory, options.millicores, options.disk_reserve),
            (Some(64 << 20), Some(500), Some(0))
        );
        assert_eq!((options.disk, options.required, again.drain()), (None, true, Duration::from_secs(120)));
    }
}
