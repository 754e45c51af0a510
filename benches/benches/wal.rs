//! What the log costs: records, batches, the scan after a crash, and Raft on one node.
//!
//! ```text
//! cargo bench -p benches --bench wal
//! ```
//!
//! Budgets: the scan reads 2 million records a second (500 ns each); Raft 1.2 µs an entry on one node.

use core::time::Duration;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use replication::{Bytes, Group, GroupConfig, Members, Recovery};
use wal::record::{Accepted, Answered, Attempted, Fated, Reported};
use wal::{Batch, Entry, Identity, Item, Layout, Log, LogConfig, Lsn, Record, Records, Scan};
use wire::id::{AccountId, CarrierId, Class, KeyHash, MessageId, NodeId, Partition, ShardId};
use wire::msisdn::Msisdn;
use wire::time::WallMs;

const TEXT: &[u8] =
    b"Your code is 123456. It is good for five minutes; do not tell it to anyone who calls you. Shop";

/// The records of one message that goes all the way.
fn life(id: u128) -> [Record<'static>; 5] {
    let (id, carrier) = (MessageId(id), CarrierId(7));
    let recipient = Msisdn::parse(b"4915112345678").expect("a number");
    let accepted = Accepted {
        id,
        account: AccountId(1),
        tenant: 0,
        recipient,
        channel: 0,
        class: Class::Transactional,
        key: KeyHash(5),
        body: 6,
        send_until_ms: 1,
        deadline_ms: 2,
        not_before_ms: 0,
        key_id: 0,
        alphabet: 0,
        segments: 1,
        sender: b"Shop",
        text: TEXT,
    };
    let attempted = Attempted {
        id,
        attempt: 1,
        parts: 1,
        carrier,
        link: 1,
        node: NodeId(1),
        process: 1,
        bind: 1,
        why: 0,
        skipped: 0,
        segments: 1,
        cut: 0,
    };
    let answered = Answered {
        id,
        attempt: 1,
        part: 0,
        outcome: 0,
        status: 0,
        retry_at_ms: 0,
        receipt: 8,
        carrier_id: b"0123456789abcdef",
    };
    [
        Record::Accepted(accepted),
        Record::Attempted(attempted),
        Record::Answered(answered),
        Record::Reported(Reported { id, attempt: 1, part: 0, state: 2, error: 0, carrier, fate: 1, why: 5 }),
        Record::Fated(Fated { id, fate: 1, why: 0, code: 0 }),
    ]
}

fn encoded(lives: u128) -> Vec<u8> {
    let mut out = Vec::new();
    for record in (0..lives).flat_map(life) {
        record.encode(WallMs(1), &mut out);
    }
    out
}

fn config() -> LogConfig {
    let identity = Identity { cluster: 1, node: NodeId(1), shard: ShardId(0), shards: 1, partitions: 16 };
    LogConfig { identity, layout: Layout::default() }
}

/// A log whose first segment is prepared.
fn log() -> Log {
    let mut log = Log::create(config(), 7);
    log.handle_prepared(0);
    log
}

fn records(c: &mut Criterion) {
    let mut group = c.benchmark_group("record");
    let mut out = Vec::with_capacity(1 << 20);
    for (name, record) in ["accepted", "attempted", "answered", "reported", "fated"].into_iter().zip(life(9))
    {
        group.bench_function(format!("{name}/encode"), |b| {
            b.iter(|| {
                out.clear();
                black_box(&record).encode(WallMs(1), &mut out);
            });
        });
        assert_eq!(Records::new(&out).collect::<Vec<_>>(), [Ok((WallMs(1), record))]);
        group.bench_function(format!("{name}/decode"), |b| b.iter(|| Records::new(black_box(&out)).next()));
    }
    group.finish();
}

fn batches(c: &mut Criterion) {
    let mut group = c.benchmark_group("batch of 8 entries");
    let mut batch = Batch::new();
    for lives in [1, 20, 200] {
        let records = encoded(lives);
        let count = 8 * wal::record::count(&records).expect("whole records");
        group.throughput(Throughput::Elements(u64::from(count)));
        group.bench_function(format!("{count} records"), |b| {
            b.iter_batched(
                log,
                |mut log| {
                    log.begin(&mut batch).expect("a prepared segment");
                    for partition in 0..8 {
                        let entry =
                            Entry::of_records(Partition(partition), 1, 1, &records).expect("whole records");
                        batch.push_entry(&entry);
                    }
                    log.seal(&mut batch).end
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A segment of entries of 100 records, and how many there are.
fn segment() -> (Vec<u8>, u64) {
    let (records, mut log, mut batch) = (encoded(20), log(), Batch::new());
    let mut bytes = vec![0; usize::try_from(config().layout.segment_bytes()).expect("a size in memory")];
    bytes[..4096].copy_from_slice(&log.segment_header(0));
    let (mut index, mut count) = (0, 0);
    // A segment of 64 MiB would only make the bench slow.
    while index < 2000 && log.begin(&mut batch).is_ok() {
        index += 1;
        for partition in 0..8 {
            batch.push_entry(
                &Entry::of_records(Partition(partition), 1, index, &records).expect("whole records"),
            );
            count += 100;
        }
        let write = log.seal(&mut batch);
        let from = usize::try_from(write.offset).expect("a place in memory");
        bytes[from..from + write.bytes.len()].copy_from_slice(write.bytes);
    }
    (bytes, count)
}

fn scan(c: &mut Criterion) {
    let (bytes, count) = segment();
    let mut group = c.benchmark_group("scan");
    group.throughput(Throughput::Elements(count)).measurement_time(Duration::from_secs(2)).sample_size(10);
    group.bench_function("a segment, every record read", |b| {
        b.iter(|| {
            let (mut scan, mut read) = (Scan::new(config()), 0);
            let visit = |_, item: Item<'_>| {
                if let Item::Entry(entry) = item {
                    for record in entry.records() {
                        black_box(record.expect("a whole record"));
                        read += 1;
                    }
                }
            };
            scan.segment(0, &bytes, visit).expect("a whole log");
            assert_eq!(read, count);
        });
    });
    group.finish();
}

/// A home of a group of one voter, and the batch that it writes to.
fn home() -> (Group, Batch) {
    let node = NodeId(1);
    let config = GroupConfig {
        partition: Partition(1),
        node,
        election_ticks: 10,
        rank_ticks_max: 0,
        heartbeat_ticks: 2,
        records_bytes_max: config().layout.records_bytes_max(),
    };
    let mut group =
        Group::new(&config, Recovery::new(Partition(1), Members::voting(&[node]))).expect("a group");
    let mut batch = Batch::new();
    group.campaign();
    commit(&mut group, &mut batch);
    assert!(group.can_decide());
    (group, batch)
}

/// One turn of the disk, which takes no time.
fn commit(group: &mut Group, batch: &mut Batch) {
    log().begin(batch).expect("a prepared segment");
    group.poll_append(batch);
    group.handle_durable(Lsn(u64::MAX));
    while group.poll_committed().is_some() {
        group.handle_applied();
    }
}

fn raft(c: &mut Criterion) {
    let mut criterion_group = c.benchmark_group("raft on one node, an entry with its append");
    for lives in [1, 12, 100] {
        let records = Bytes::from(encoded(lives));
        let (mut group, mut batch) = home();
        criterion_group.bench_function(format!("{} records", lives * 5), |b| {
            b.iter(|| {
                group.propose(records.clone()).expect("a home decides");
                commit(&mut group, &mut batch);
            });
        });
    }
    criterion_group.finish();
}

criterion_group! {
    name = wal;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = records, batches, scan, raft
}
criterion_main!(wal);
