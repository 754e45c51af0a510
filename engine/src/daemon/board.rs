//! Where the shards of a node show their numbers, so that any of them can answer `GET /metrics` and `GET /readyz` for all.
//!
//! Each shard writes only its own row, now and then; readers see numbers that are a moment old. Relaxed is enough:
//! nothing is decided by them but what a probe is told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam::utils::CachePadded;
use shards::counters::{Counters, MetricKind};

use crate::customers::metrics::Counts;
use crate::customers::openmetrics::{Sample, SampleKind};

use super::metrics::ShellCounts;

/// All shards' numbers. One for the node.
#[derive(Debug)]
pub(super) struct Board {
    rows: Box<[CachePadded<Row>]>,
}

#[derive(Debug)]
struct Row {
    is_ready: AtomicBool,
    values: Box<[AtomicU64]>,
}

/// One number with its description.
#[derive(Clone, Debug)]
struct Line {
    name: String,
    label: (&'static str, &'static str),
    kind: SampleKind,
    help: &'static str,
    value: u64,
}

impl Board {
    /// A board for so many shards, all of them not ready.
    pub(super) fn new(shards: u16) -> Self {
        let count = lines(&Counters::default(), &Counts::default(), &ShellCounts::default()).len();
        let values = || (0..count).map(|_| AtomicU64::new(0)).collect();
        let row = |_| CachePadded::new(Row { is_ready: AtomicBool::new(false), values: values() });
        Self { rows: (0..shards).map(row).collect() }
    }

    /// Shows a shard's numbers.
    pub(super) fn publish(&self, shard: u16, brain: &Counters, customers: &Counts, shell: &ShellCounts) {
        let values = &self.rows[usize::from(shard)].values;
        let shown = lines(brain, customers, shell);
        assert_eq!(values.len(), shown.len(), "a row has a place for each number");
        for (place, line) in values.iter().zip(shown) {
            place.store(line.value, Ordering::Relaxed);
        }
    }

    /// Shows that a shard decides for all its partitions.
    pub(super) fn shard_is_ready(&self, shard: u16) {
        self.rows[usize::from(shard)].is_ready.store(true, Ordering::Relaxed);
    }

    /// Whether every partition of the node decides.
    pub(super) fn all_are_ready(&self) -> bool {
        self.rows.iter().all(|row| row.is_ready.load(Ordering::Relaxed))
    }

    /// Lends all numbers of all shards to `read`.
    pub(super) fn with_samples<R>(&self, read: impl FnOnce(&[Sample<'_>]) -> R) -> R {
        let described = lines(&Counters::default(), &Counts::default(), &ShellCounts::default());
        let names: Vec<String> = (0..self.rows.len()).map(|shard| shard.to_string()).collect();
        let labels: Vec<Vec<[(&str, &str); 2]>> = names
            .iter()
            .map(|name| described.iter().map(|line| [("shard", name.as_str()), line.label]).collect())
            .collect();
        let mut samples = Vec::with_capacity(described.len() * self.rows.len());
        for (row, labels) in self.rows.iter().zip(&labels) {
            for ((line, labels), value) in described.iter().zip(labels).zip(&row.values) {
                let count = if line.label.0.is_empty() { 1 } else { 2 };
                samples.push(Sample {
                    name: &line.name,
                    help: line.help,
                    kind: line.kind,
                    labels: &labels[..count],
                    value: value.load(Ordering::Relaxed),
                });
            }
        }
        read(&samples)
    }
}

/// Every number of a shard, always in the same order.
fn lines(brain: &Counters, customers: &Counts, shell: &ShellCounts) -> Vec<Line> {
    let of_brain = Counters::METRICS.iter().zip(brain.values()).map(|(metric, value)| Line {
        name: metric.name.to_owned(),
        label: metric.label,
        kind: match metric.kind {
            MetricKind::Counter => SampleKind::Counter,
            MetricKind::Gauge => SampleKind::Gauge,
        },
        help: metric.help,
        value,
    });
    let mut lines: Vec<Line> = of_brain.collect();
    customers.each(|name, help, value| {
        let name = format!("switchyard_customers_{name}");
        lines.push(Line { name, label: ("", ""), kind: SampleKind::Counter, help, value });
    });
    lines.extend(shell.all().map(|(name, help, grows, value)| Line {
        name: name.to_owned(),
        label: ("", ""),
        kind: if grows { SampleKind::Counter } else { SampleKind::Gauge },
        help,
        value,
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::customers::openmetrics::render;

    #[test]
    fn every_shard_shows_every_number_under_its_own_label() {
        let board = Board::new(2);
        let brain = Counters { binds: 7, ..Counters::default() };
        let shell = ShellCounts { syncs: 9, ..ShellCounts::default() };
        board.publish(1, &brain, &Counts::default(), &shell);
        let mut text = String::new();
        board.with_samples(|samples| render(samples, &mut text));
        assert!(text.contains("switchyard_link_binds_total{shard=\"0\"} 0\n"), "{text}");
        assert!(text.contains("switchyard_link_binds_total{shard=\"1\"} 7\n"), "{text}");
        assert!(text.contains("switchyard_log_syncs_total{shard=\"1\"} 9\n"), "{text}");
        assert!(text.contains("switchyard_fates_total{shard=\"0\",fate=\"delivered\"} 0\n"), "{text}");
    }

    #[test]
    fn a_node_is_ready_when_all_its_shards_are() {
        let board = Board::new(2);
        board.shard_is_ready(1);
        assert!(!board.all_are_ready());
        board.shard_is_ready(0);
        assert!(board.all_are_ready());
    }
}
