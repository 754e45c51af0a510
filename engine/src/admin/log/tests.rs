//! Logs as a daemon writes them, and what is told of them when they are whole, torn or damaged.

use std::fs;

use wal::record::{Accepted, Fated};
use wal::{Batch, Entry, Identity, Layout, Log, LogConfig, Lsn, Record, Start};
use wire::id::{AccountId, Class, KeyHash, MessageId, NodeId, Partition, ShardId};
use wire::time::WallMs;

use super::*;

const SEGMENT_BYTES: usize = 1 << 20;

/// The bytes of a log's first segment: a start, and an entry with a message and its fate.
fn segment() -> Vec<u8> {
    let identity = Identity { cluster: 7, node: NodeId(1), shard: ShardId(0), shards: 1, partitions: 16 };
    let config = LogConfig { identity, layout: Layout::new(SEGMENT_BYTES as u64).unwrap() };
    let mut log = Log::create(config, 0xFEED);
    let mut bytes = vec![0; SEGMENT_BYTES];
    let header = log.segment_header(0);
    bytes[..header.len()].copy_from_slice(&header);
    log.handle_prepared(0);
    let mut batch = Batch::new();
    log.begin(&mut batch).unwrap();
    batch.push_start(&Start { node: NodeId(1), shard: ShardId(0), process: 5, wall: WallMs(9) });
    put(&mut log, &mut batch, &mut bytes);
    log.begin(&mut batch).unwrap();
    let id = MessageId::mint(WallMs(1000), Partition(3), 1, 0);
    let mut records = Vec::new();
    Record::Accepted(Accepted {
        id,
        account: AccountId(4),
        tenant: 0,
        recipient: "+4915112345678".parse().unwrap(),
        channel: 0,
        class: Class::Otp,
        key: KeyHash(0),
        body: 1,
        send_until_ms: 2000,
        deadline_ms: 3000,
        not_before_ms: 0,
        key_id: 0,
        alphabet: 0,
        segments: 1,
        sender: b"Bank",
        text: b"a secret text",
    })
    .encode(WallMs(1000), &mut records);
    Record::Fated(Fated { id, fate: 1, why: 5, code: 0 }).encode(WallMs(1500), &mut records);
    batch.push_entry(&Entry::of_records(Partition(3), 1, 1, &records).unwrap());
    put(&mut log, &mut batch, &mut bytes);
    bytes
}

fn put(log: &mut Log, batch: &mut Batch, bytes: &mut [u8]) {
    let write = log.seal(batch);
    let at = usize::try_from(write.offset).unwrap();
    bytes[at..at + write.bytes.len()].copy_from_slice(write.bytes);
}

/// A shard's directory with this segment.
fn shard_dir(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let data = tempfile::tempdir().unwrap();
    let dir = data.path().join("shard-0");
    fs::create_dir(&dir).unwrap();
    fs::write(segment_path(&dir, 0), bytes).unwrap();
    (data, dir)
}

fn verified(bytes: &[u8]) -> Result<String, String> {
    let (_data, dir) = shard_dir(bytes);
    let mut out = Vec::new();
    verify(&dir, &mut out).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

fn dumped(from: Lsn, shown: Shown) -> String {
    let (_data, dir) = shard_dir(&segment());
    let mut out = Vec::new();
    dump(&dir, from, shown, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_whole_log_is_called_whole_and_counted() {
    let told = verified(&segment()).unwrap();
    assert_eq!(
        told,
        "whole up to 0x3000: segment 0000000000000000.seg, byte 12288\n\
         1 segments of 1 MiB, 1 entries, 2 records, 0 hard states, 1 starts\n"
    );
}

#[test]
fn an_unfinished_write_is_a_torn_tail_and_not_an_error() {
    let mut bytes = segment();
    bytes[8192 + 100] ^= 1;
    let told = verified(&bytes).unwrap();
    assert!(told.starts_with("whole up to 0x2000"), "{told}");
    assert!(told.contains("\ntorn tail: ") && told.contains("byte 8192"), "{told}");
}

#[test]
fn what_a_segment_held_before_it_was_used_again_is_not_called_torn() {
    let mut bytes = segment();
    // A batch of another place, as a released segment brings it back.
    bytes.copy_within(4096..8192, 12_288);
    let told = verified(&bytes).unwrap();
    assert!(
        told.starts_with("whole up to 0x3000") && told.contains("\nbehind it: what its segment held"),
        "{told}"
    );
    assert!(!told.contains("torn tail"), "{told}");
}

#[test]
fn damage_is_an_error_that_says_where() {
    let mut bytes = segment();
    bytes[4096 + 100] ^= 1;
    let told = verified(&bytes).unwrap_err();
    assert!(told.contains("the log is damaged at segment 0000000000000000.seg, byte 4096"), "{told}");
    let mut bytes = segment();
    bytes[0] = 0;
    assert!(verified(&bytes).unwrap_err().contains("the head of the first segment cannot be read"));
}

#[test]
fn a_dump_has_a_line_for_each_thing_and_hides_what_is_private() {
    let told = dumped(Lsn::ZERO, Shown::default());
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "0x1000 start node=1 shard=0 process=5 at_ms=9");
    assert!(
        lines[1].starts_with("0x2000 entry partition=3 index=1 term=1 kind=records records=2 bytes="),
        "{told}"
    );
    assert!(
        lines[2].contains("to=+491********78") && lines[2].ends_with("sender=(4 bytes) text=(13 bytes)"),
        "{told}"
    );
    assert!(lines[3].contains("fated") && lines[4] == "0x3000 end", "{told}");
    assert!(!told.contains("secret") && !told.contains("12345"), "{told}");
    assert_eq!(dumped(Lsn(0x2000), Shown::default()).lines().count(), 4);
    let all = dumped(Lsn::ZERO, Shown { texts: true, numbers: true });
    assert!(all.contains("to=+4915112345678") && all.contains("text=\"a secret text\""), "{all}");
}

#[test]
fn a_directory_that_a_daemon_holds_is_named_and_one_without_a_log_is_refused() {
    let (data, dir) = shard_dir(&segment());
    let _lock = crate::files::DirLock::take(data.path()).unwrap();
    let mut out = Vec::new();
    verify(&dir, &mut out).unwrap();
    let told = String::from_utf8(out).unwrap();
    assert!(
        told.starts_with(&format!("note: process {} holds this directory", std::process::id())),
        "{told}"
    );
    let error = verify(data.path(), &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("no segments here"), "{error}");
}
