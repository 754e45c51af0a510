//! What a run comes to: one set of figures, as a table for people and as JSON for programs.

use std::fmt;

use serde::Serialize;

use crate::carrier::CarrierCounts;
use crate::latencies::{LatencyReport, Percentiles};
use crate::probe::Machine;

/// All figures of a run. Counts are messages, prefilled ones included; rates, latencies and CPU are of the measured ones.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// Nothing was lost, sent twice, left without its fate, or otherwise wrong.
    pub(crate) ok: bool,
    /// What is wrong, in words.
    pub(crate) wrong: Vec<String>,
    pub(crate) accepted: u64,
    /// Distinct messages that carriers saw.
    pub(crate) submitted: u64,
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    pub(crate) expired: u64,
    pub(crate) cancelled: u64,
    pub(crate) unknown: u64,
    /// Accepted, seen by no carrier, and not said to have never left.
    pub(crate) lost: u64,
    /// Taken twice by carriers without a doubt in the trace that permits it.
    pub(crate) duplicates: u64,
    /// Messages whose trace shows an attempt of unknown outcome, of those whose trace was asked for.
    pub(crate) doubtful: u64,
    /// Accepted, and no fate came.
    pub(crate) fateless: u64,
    /// The fate is not what the carrier reported.
    pub(crate) contradicted: u64,
    pub(crate) refused: u64,
    /// Submissions that were repeated, with their key.
    pub(crate) resubmitted: u64,
    /// Fates that were told more than once.
    pub(crate) fates_repeated: u64,
    /// Fates of messages that this run did not submit, or was never told the id of.
    pub(crate) fates_foreign: u64,
    /// From the first submission to the last fate, in seconds.
    pub(crate) duration_s: f64,
    /// Messages from submission to fate, a second.
    pub(crate) throughput_per_s: f64,
    /// Messages from submission to answer, a second.
    pub(crate) answered_per_s: f64,
    /// Of the daemon; `null` without `--spawn`.
    pub(crate) engine_cpu_us_per_message: Option<f64>,
    pub(crate) engine_rss_mib: Option<f64>,
    pub(crate) engine_rss_peak_mib: Option<f64>,
    /// Seconds and MiB, every five seconds.
    pub(crate) engine_rss_series: Vec<(f64, f64)>,
    /// Of this program.
    pub(crate) loadgen_cpu_us_per_message: f64,
    /// 4 KiB and an `fdatasync` alone, before the run, on the daemon's file system; `null` without `--spawn`.
    pub(crate) fdatasync_us: Option<Percentiles>,
    pub(crate) latency_us: LatencyReport,
    pub(crate) carriers: CarrierReport,
    pub(crate) machine: Machine,
    pub(crate) setup: Setup,
}

/// What the carriers counted.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct CarrierReport {
    pub(crate) submissions: u64,
    pub(crate) refused: u64,
    pub(crate) silent: u64,
    pub(crate) mangled: u64,
    pub(crate) foreign: u64,
    pub(crate) receipts: u64,
    pub(crate) receipts_taken: u64,
    pub(crate) receipts_refused: u64,
}

/// What was run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Setup {
    /// Cargo's profile of this program, and so of the daemon that it built.
    pub(crate) profile: String,
    pub(crate) protocol: &'static str,
    pub(crate) messages: u32,
    pub(crate) prefill: u32,
    /// `null`: closed loop.
    pub(crate) rate_per_s: Option<f64>,
    pub(crate) customers: u16,
    /// Unanswered messages of a customer, at most.
    pub(crate) window: u32,
    pub(crate) carriers: usize,
    pub(crate) binds: usize,
    /// Unanswered submissions of a bind, at most, if the daemon is our own.
    pub(crate) carrier_window: u16,
    /// Messages without a fate, at most, in a closed loop.
    pub(crate) open_max: u32,
    /// Asked for; `null`: the account's.
    pub(crate) class: Option<&'static str>,
    pub(crate) text_bytes: u16,
    pub(crate) kills: u32,
    pub(crate) seed: u64,
}

impl From<CarrierCounts> for CarrierReport {
    fn from(counts: CarrierCounts) -> Self {
        Self {
            submissions: counts.submissions,
            refused: counts.refused,
            silent: counts.silent,
            mangled: counts.mangled,
            foreign: counts.foreign,
            receipts: counts.receipts,
            receipts_taken: counts.receipts_taken,
            receipts_refused: counts.receipts_refused,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setup { profile, protocol, customers, window, carriers, binds, text_bytes, .. } = &self.setup;
        let Machine { cpu, cores, kernel } = &self.machine;
        let rate = self
            .setup
            .rate_per_s
            .map_or_else(|| "closed loop".to_owned(), |rate| format!("{rate}/s offered"));
        writeln!(f, "{cpu}, {cores} cores, Linux {kernel}, profile {profile}")?;
        writeln!(
            f,
            "{customers} {protocol} customers × {window}, {carriers} carriers, {binds} binds, {text_bytes} octets, {rate}\n"
        )?;
        self.write_messages(f)?;
        writeln!(f)?;
        self.write_costs(f)?;
        writeln!(f)?;
        self.write_latencies(f)?;
        for wrong in &self.wrong {
            writeln!(f, "\nWRONG: {wrong}")?;
        }
        if self.ok { write!(f, "\nEvery message is accounted for.") } else { Ok(()) }
    }
}

impl Report {
    fn write_messages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, count: u64, always: Always| {
            let wanted = matches!(always, Always::Yes) || count > 0;
            if wanted { writeln!(f, "{name:<14} {count:>12}") } else { Ok(()) }
        };
        row("accepted", self.accepted, Always::Yes)?;
        row("submitted", self.submitted, Always::Yes)?;
        row("delivered", self.delivered, Always::Yes)?;
        row("failed", self.failed, Always::No)?;
        row("expired", self.expired, Always::No)?;
        row("cancelled", self.cancelled, Always::No)?;
        row("unknown", self.unknown, Always::No)?;
        row("refused", self.refused, Always::No)?;
        row("resubmitted", self.resubmitted, Always::No)?;
        row("fates again", self.fates_repeated, Always::No)?;
        row("doubtful", self.doubtful, Always::No)?;
        row("fateless", self.fateless, Always::No)?;
        row("lost", self.lost, Always::Yes)?;
        row("duplicates", self.duplicates, Always::Yes)
    }

    fn write_costs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "throughput     {:>12.0} fully tracked/s over {:.2} s",
            self.throughput_per_s, self.duration_s
        )?;
        writeln!(f, "answers        {:>12.0} /s", self.answered_per_s)?;
        if let Some(cpu) = self.engine_cpu_us_per_message {
            writeln!(f, "engine CPU     {cpu:>12.2} µs a message")?;
        }
        writeln!(f, "loadgen CPU    {:>12.2} µs a message", self.loadgen_cpu_us_per_message)?;
        if let (Some(rss), Some(peak)) = (self.engine_rss_mib, self.engine_rss_peak_mib) {
            writeln!(f, "engine memory  {rss:>12.0} MiB, at most {peak:.0}")?;
        }
        Ok(())
    }

    fn write_latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<14} {:>12} {:>12} {:>12} {:>12}", "µs", "p50", "p99", "p999", "max")?;
        let mut row = |name: &str, of: Percentiles| {
            writeln!(f, "{name:<14} {:>12.0} {:>12.0} {:>12.0} {:>12.0}", of.p50, of.p99, of.p999, of.max)
        };
        row("to answer", self.latency_us.answer)?;
        row("to carrier", self.latency_us.submit)?;
        row("to fate", self.latency_us.fate)?;
        self.fdatasync_us.map_or(Ok(()), |alone| row("fdatasync", alone))
    }
}

enum Always {
    Yes,
    No,
}
