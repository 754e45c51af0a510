//! Where the shards of a node show their numbers, so that any of them can answer `GET /metrics` and `GET /readyz` for all.
//!
//! Each shard writes only its own row, now and then, and the control thread those of the node; readers see numbers that
//! are a moment old. Relaxed is enough: nothing is decided by them but what a probe is told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam::utils::CachePadded;
use shards::plan::Plan;
use wire::id::ShardId;

use crate::customers::openmetrics::{Sample, SampleKind};
use crate::webhooks::metrics::Tally;
use crate::webhooks::standing;

use crate::config::Member;

use super::clock;
use super::lines::{self, Line, Source};
use super::secure::Secure;

/// All shards' numbers. One for the node.
#[derive(Debug)]
pub(super) struct Board {
    node: Node,
    rows: Box<[CachePadded<Row>]>,
    /// Whose certificates there are, and until when each is good, in milliseconds since 1970.
    certificates: Vec<(String, AtomicU64)>,
    /// Whose webhooks there are, and their numbers. Locked for a moment when somebody asks, and by a reload.
    webhooks: Mutex<Vec<(String, Arc<Tally>)>>,
}

/// What is said of the node as a whole.
#[derive(Debug, Default)]
struct Node {
    started_ms: AtomicU64,
    configured_ms: AtomicU64,
    reloads: AtomicU64,
    reloads_refused: AtomicU64,
    free_bytes: AtomicU64,
}

#[derive(Debug)]
struct Row {
    is_ready: AtomicBool,
    /// What its numbers are; shards may differ in their links.
    lines: Vec<Line>,
    values: Box<[AtomicU64]>,
}

impl Board {
    /// A board for a plan's shards, all of them not ready, of a process that starts now (milliseconds since 1970).
    pub(super) fn new(plan: &Plan, others: &[Member], secure: &Secure, now_ms: u64) -> Self {
        let row = |shard| {
            let lines = lines::describe(plan, others, ShardId(shard));
            let values = lines.iter().map(|_| AtomicU64::new(0)).collect();
            CachePadded::new(Row { is_ready: AtomicBool::new(false), lines, values })
        };
        let node = Node::default();
        node.started_ms.store(now_ms, Ordering::Relaxed);
        node.configured_ms.store(now_ms, Ordering::Relaxed);
        let rows = (0..plan.shards).map(row).collect();
        let certificates = secure.certificates().iter().map(|(of, _)| (of.clone(), AtomicU64::new(0)));
        let board = Self { node, rows, certificates: certificates.collect(), webhooks: Mutex::default() };
        board.show_certificates(secure);
        board
    }

    /// Shows until when the certificates are good that were there at start.
    pub(super) fn show_certificates(&self, secure: &Secure) {
        for (of, until_ms) in &self.certificates {
            if let Some((_, certificate)) = secure.certificates().iter().find(|(other, _)| other == of) {
                let until = u64::try_from(certificate.valid_until.as_millis()).unwrap_or(u64::MAX);
                until_ms.store(until, Ordering::Relaxed);
            }
        }
    }

    /// Shows the numbers of these accounts' webhooks from now on.
    pub(super) fn show_webhooks(&self, webhooks: Vec<(String, Arc<Tally>)>) {
        *self.webhooks.lock().unwrap_or_else(PoisonError::into_inner) = webhooks;
    }

    /// Shows a shard's numbers.
    pub(super) fn publish(&self, shard: u16, plan: &Plan, mut source: Source<'_>) {
        let mut places = self.rows[usize::from(shard)].values.iter();
        lines::values(&mut source, plan, |value| {
            places.next().expect("a row has a place for each number").store(value, Ordering::Relaxed);
        });
        assert!(places.next().is_none(), "a row has no place without a number");
    }

    /// Shows that a shard decides for all its partitions.
    pub(super) fn shard_is_ready(&self, shard: u16) {
        self.rows[usize::from(shard)].is_ready.store(true, Ordering::Relaxed);
    }

    /// Whether every partition of the node decides.
    pub(super) fn all_are_ready(&self) -> bool {
        self.rows.iter().all(|row| row.is_ready.load(Ordering::Relaxed))
    }

    /// Shows that a configuration was read again: taken at this time, or refused.
    pub(super) fn reloaded(&self, taken_ms: Option<u64>) {
        match taken_ms {
            Some(now_ms) => {
                self.node.configured_ms.store(now_ms, Ordering::Relaxed);
                self.node.reloads.fetch_add(1, Ordering::Relaxed);
            }
            None => {
                self.node.reloads_refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Shows how much may still be written where the data is.
    pub(super) fn show_free(&self, bytes: u64) {
        self.node.free_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Lends all numbers of the node and of all shards to `read`.
    pub(super) fn with_samples<R>(&self, read: impl FnOnce(&[Sample<'_>]) -> R) -> R {
        let names: Vec<String> = (0..self.rows.len()).map(|shard| shard.to_string()).collect();
        let rows = self.rows.iter().zip(&names);
        let labels: Vec<Vec<Vec<(&str, &str)>>> = rows.map(|(row, name)| labels_of(row, name)).collect();
        let webhooks = self.webhooks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let of_webhooks: Vec<_> = webhooks.iter().map(|(account, _)| standing::labels_of(account)).collect();
        let mut samples = self.samples_of_node();
        for ((_, tally), labels) in webhooks.iter().zip(&of_webhooks) {
            standing::put_samples(tally, labels, clock::now().wall.0, &mut samples);
        }
        let of: Vec<_> = self.certificates.iter().map(|(of, _)| [("certificate", of.as_str())]).collect();
        for (labels, (_, until_ms)) in of.iter().zip(&self.certificates) {
            let name = "switchyard_tls_certificate_expires_seconds";
            let help = "When the certificate expires, since 1970.";
            let value = until_ms.load(Ordering::Relaxed);
            samples.push(Sample { name, help, kind: SampleKind::GaugeMs, labels, value });
        }
        for (row, labels) in self.rows.iter().zip(&labels) {
            for ((line, labels), value) in row.lines.iter().zip(labels).zip(&row.values) {
                let value = value.load(Ordering::Relaxed);
                samples.push(Sample { name: &line.name, help: line.help, kind: line.kind, labels, value });
            }
        }
        for (row, labels) in self.rows.iter().zip(&labels) {
            let ready = u64::from(row.is_ready.load(Ordering::Relaxed));
            let (name, help) =
                ("switchyard_shard_ready", "Whether the shard decides for all its partitions.");
            let labels = &labels[0][..1];
            samples.push(Sample { name, help, kind: SampleKind::Gauge, labels, value: ready });
        }
        read(&samples)
    }

    fn samples_of_node(&self) -> Vec<Sample<'_>> {
        const VERSION: &[(&str, &str)] = &[("version", env!("CARGO_PKG_VERSION"))];
        let Node { started_ms, configured_ms, reloads, reloads_refused, free_bytes } = &self.node;
        let (gauge, counter, time) = (SampleKind::Gauge, SampleKind::Counter, SampleKind::GaugeMs);
        let of = |name, help, kind, value: &AtomicU64| Sample {
            name,
            help,
            kind,
            labels: &[],
            value: value.load(Ordering::Relaxed),
        };
        let build = "The program that runs; always 1.";
        vec![
            Sample { name: "switchyard_build_info", help: build, kind: gauge, labels: VERSION, value: 1 },
            of("switchyard_start_time_seconds", "When the process started, since 1970.", time, started_ms),
            of(
                "switchyard_config_time_seconds",
                "When its configuration was read, since 1970.",
                time,
                configured_ms,
            ),
            of("switchyard_config_reloads", "Configurations that were taken while it ran.", counter, reloads),
            of("switchyard_config_refused", "Configurations that were not taken.", counter, reloads_refused),
            of("switchyard_data_free_bytes", "Room on the disk of the data.", gauge, free_bytes),
        ]
    }
}

fn labels_of<'a>(row: &'a Row, shard: &'a str) -> Vec<Vec<(&'a str, &'a str)>> {
    let own = |line: &'a Line| line.labels.iter().map(|(name, value)| (*name, value.as_str()));
    row.lines.iter().map(|line| std::iter::once(("shard", shard)).chain(own(line)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use shards::histogram::{FAST_US, Histogram};
    use shards::{Shard, ShardConfig};
    use std::sync::Arc;
    use wire::id::PartitionCount;
    use wire::time::WallMs;

    use super::super::metrics::ShellCounts;
    use super::*;
    use crate::config::{Config, Host};
    use crate::customers::metrics::Counts;
    use crate::customers::openmetrics::render;

    const FILE: &str = "[[account]]\nname = \"a\"\nkey = \"0123456789abcdef\"\nsender = \"A\"\n\
        [[carrier]]\nname = \"c\"\naddress = \"127.0.0.1:2775\"\nsystem_id = \"me\"\nbinds_per_shard = 2\n\
        [[route]]\nprefix = \"\"\ncarriers = [\"c\"]\n";

    fn plan() -> Arc<Plan> {
        let partitions = PartitionCount::new(16).unwrap();
        let config = Config::parse("test", FILE).unwrap();
        Arc::new(config.plan(Host { shards: 2, partitions, memory_bytes: 1 << 30 }))
    }

    fn secure() -> Secure {
        Secure::load(&Config::parse("test", FILE).unwrap()).unwrap()
    }

    #[test]
    fn every_shard_shows_every_number_under_its_own_label() {
        let plan = plan();
        let board = Board::new(&plan, &[], &secure(), 5000);
        let config = ShardConfig {
            id: ShardId(1),
            process: 1,
            seed: 1,
            records_bytes_max: 4096,
            directory: 1,
            cluster: 0,
            snapshot_every_bytes: 1 << 30,
            snapshot_piece_bytes: 4096,
        };
        let mut brain = Shard::new(config, Arc::clone(&plan));
        let shell = ShellCounts { syncs: 9, ..ShellCounts::default() };
        let mut syncs = Histogram::new(&FAST_US);
        syncs.record(core::time::Duration::from_micros(150));
        let customers = Counts::default();
        let (customers, shell, syncs) = (&customers, &shell, &syncs);
        board.publish(
            1,
            &plan,
            Source { brain: &mut brain, members: &[], customers, shell, syncs, now: WallMs(0) },
        );
        board.show_free(77);
        let mut text = String::new();
        board.with_samples(|samples| render(samples, &mut text));
        for line in [
            "switchyard_link_binds_total{shard=\"0\"} 0\n",
            "switchyard_log_syncs_total{shard=\"1\"} 9\n",
            "switchyard_fates_total{shard=\"0\",fate=\"delivered\"} 0\n",
            "switchyard_log_sync_seconds_bucket{shard=\"1\",le=\"0.0001\"} 0\n",
            "switchyard_log_sync_seconds_bucket{shard=\"1\",le=\"0.0002\"} 1\n",
            "switchyard_log_sync_seconds_sum{shard=\"1\"} 0.00015\n",
            "switchyard_carrier_queue{shard=\"1\",carrier=\"c\",class=\"otp\"} 0\n",
            "switchyard_link_window{shard=\"1\",carrier=\"c\",link=\"1\"} 64\n",
            "switchyard_submissions_refused_total{shard=\"1\",reason=\"busy\"} 0\n",
            "switchyard_shard_ready{shard=\"0\"} 0\n",
            "switchyard_data_free_bytes 77\n",
            "switchyard_start_time_seconds 5.0\n",
        ] {
            assert!(text.contains(line), "no {line:?} in\n{text}");
        }
    }

    #[test]
    fn a_node_is_ready_when_all_its_shards_are() {
        let board = Board::new(&plan(), &[], &secure(), 0);
        board.shard_is_ready(1);
        assert!(!board.all_are_ready());
        board.shard_is_ready(0);
        assert!(board.all_are_ready());
    }
}
