//! Data directories that earlier releases left behind, in `tests/golden/`: each opens, whatever has changed since.
//!
//! One is kept for each format of the directory: `kill -9` under open messages. Their times are long past, so what a daemon
//! does with them today is not compared; what they hold is, by reading them as a start does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::json;
use shards::plan::{ClassPolicy, Plan};
use shards::routes::Routes;
use shards::{Shard, ShardConfig};
use wal::segment::Header;
use wal::{LogConfig, Scan};
use wire::id::{Class, NodeId, Partition, PartitionCount, ShardId};

use crate::carrier::Carrier;
use crate::daemon::{KEY, Setup, temporary_dir};
use crate::http;

/// What a directory holds: messages that are kept, messages that are not over, keys.
type Held = (u64, u64, u64);

#[test]
fn a_directory_of_the_first_format_opens() {
    opens("data-format-1.tar.gz", "0", &["shard-0"], (340, 40, 340));
}

#[test]
fn a_directory_with_snapshots_that_was_dealt_anew_opens() {
    opens("data-format-2.tar.gz", "0, 1", &["shard-0.2", "shard-1.2"], (3040, 40, 3040));
}

fn opens(golden: &str, cores: &str, logs: &[&str], held: Held) {
    let (dir, carrier) = (temporary_dir(), Carrier::start());
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(golden);
    let unpacked = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(dir.path()).status();
    assert!(unpacked.expect("every Debian has tar").success());
    let setup = Setup::new(dir.path(), carrier.address()).with_cores(cores).with_log("segment_mib = 1");
    let data = setup.data();
    let logs: Vec<PathBuf> = logs.iter().map(|log| data.join(log)).collect();
    let read = (0..).map(ShardId).zip(&logs).map(|(shard, log)| read(&data, shard, log));
    let sum = read.fold((0, 0, 0), |sum, held| (sum.0 + held.0, sum.1 + held.1, sum.2 + held.2));
    assert_eq!(sum, held, "{golden} is read back as something else");

    let mut daemon = setup.start();
    let message = json!({"to": "+4915112345678", "text": "after all this time"});
    let answer = http::post(daemon.http, "/v1/messages", KEY, &message).expect("the daemon takes requests");
    let path = format!("/v1/messages/{}", answer.json()["id"].as_str().expect("it was taken"));
    let http = daemon.http;
    daemon.until("a new message is delivered", || {
        let answer = http::get(http, &path, Some(KEY)).expect("the daemon takes requests");
        (answer.json()["state"] == "delivered").then_some(())
    });
}

/// Reads one log and the snapshots of its partitions, as a start does.
fn read(data: &Path, shard: ShardId, log: &Path) -> Held {
    let mut segments: Vec<PathBuf> = files(log).into_iter().filter(|path| ends_with(path, "seg")).collect();
    segments.sort();
    let first = fs::read(&segments[0]).expect("a segment can be read");
    let Header { identity, layout, .. } = Header::decode(&first).expect("a segment has a header");
    assert_eq!(identity.shard, shard);
    let mut brain = Shard::new(
        ShardConfig {
            id: shard,
            process: 0,
            seed: 0,
            records_bytes_max: layout.records_bytes_max(),
            directory: 1,
            cluster: identity.cluster,
            snapshot_every_bytes: 1 << 30,
            snapshot_piece_bytes: shards::limits::SNAPSHOT_PIECE_BYTES,
        },
        Arc::new(plan(identity.shards, identity.partitions)),
    );
    let partitions = (0..identity.partitions).map(Partition);
    for partition in partitions.filter(|&partition| ShardId::owner_of(partition, identity.shards) == shard) {
        if let Ok(bytes) = fs::read(data.join(format!("snapshots/p{:05}.snap", partition.0))) {
            brain.handle_snapshot(partition, &bytes).expect("a snapshot reads");
        }
    }
    let mut scan = Scan::new(LogConfig { identity, layout });
    for path in segments {
        let seq = u64::from_str_radix(&path.file_stem().expect("a number").to_string_lossy(), 16);
        let bytes = fs::read(&path).expect("a segment can be read");
        let visit = |lsn, item: wal::Item<'_>| brain.handle_recovered(lsn, &item).expect("a log reads");
        scan.segment(seq.expect("a number"), &bytes, visit).expect("a log is whole");
    }
    let counts = brain.observe();
    let kept = counts.kept_messages;
    (kept, open_of(&mut brain), brain.observe().keys)
}

/// Messages that are not over. The shard counts them when it starts.
fn open_of(brain: &mut Shard) -> u64 {
    brain.handle_start(wire::time::Now::default()).expect("the log is one that a shard can go on with");
    brain.observe().open_messages
}

fn plan(shards: u16, partitions: u16) -> Plan {
    Plan {
        node: NodeId(1),
        founders: vec![shards::members::Member::of(NodeId(1))],
        is_clustered: false,
        shards,
        partitions: PartitionCount::new(partitions).expect("as many as there may be"),
        accounts: Vec::new(),
        carriers: Vec::new(),
        routes: Routes::new(Vec::new()),
        classes: Class::ALL.map(ClassPolicy::default_of),
        open_messages_max: 1 << 20,
        keys_max: 1 << 20,
        retention: core::time::Duration::from_secs(24 * 3600),
        finished_max: 1 << 20,
        inbound: shards::inbound::Inbound::default(),
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory of the daemon");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

fn ends_with(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}
