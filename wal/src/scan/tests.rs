//! Logs that were cut, bent and swapped, and what a scan makes of them.

use proptest::prelude::*;
use wire::id::{MessageId, NodeId, Partition, ShardId};
use wire::time::WallMs;

use super::*;
use crate::batch::{BATCH_HEADER_BYTES, Batch};
use crate::limits::SEGMENT_BYTES_MIN;
use crate::log::Log;
use crate::record::{Cancelled, Record};
use crate::segment::Identity;

const SALT: u64 = 0x5A17_5A17_5A17_5A17;

fn config() -> LogConfig {
    let identity = Identity { cluster: 99, node: NodeId(1), shard: ShardId(0), shards: 1, partitions: 16 };
    LogConfig { identity, layout: Layout::new(SEGMENT_BYTES_MIN).unwrap() }
}

/// A disk of whole segments, and where its batches lie.
#[derive(Clone)]
struct Disk {
    segments: Vec<Vec<u8>>,
    /// Segment, offset and length of each batch.
    batches: Vec<(usize, usize, usize)>,
}

struct Writer {
    log: Log,
    batch: Batch,
    disk: Disk,
    next: u64,
}

impl Writer {
    fn new() -> Self {
        let disk = Disk { segments: Vec::new(), batches: Vec::new() };
        Self { log: Log::create(config(), SALT), batch: Batch::new(), disk, next: 1 }
    }

    /// The disk after batches of so many bytes of text each.
    fn of(sizes: impl IntoIterator<Item = usize>) -> Disk {
        let mut writer = Self::new();
        for bytes in sizes {
            writer.write(&vec![b'x'; bytes]);
        }
        writer.disk
    }

    /// Writes a batch whose entry carries `text`.
    fn write(&mut self, text: &[u8]) {
        while let Some(seq) = self.log.wanted_segment() {
            let mut segment = vec![0; usize::try_from(config().layout.segment_bytes()).unwrap()];
            let header = self.log.segment_header(seq);
            segment[..header.len()].copy_from_slice(&header);
            self.disk.segments.push(segment);
            self.log.handle_prepared(seq);
        }
        self.log.begin(&mut self.batch).unwrap();
        let state = HardState { partition: Partition(3), term: 1, vote: 1, commit: self.next - 1 };
        self.batch.push_hard_state(&state);
        let kind = crate::entry::EntryKind::Members;
        let (partition, index) = (Partition(3), self.next);
        self.batch.push_entry(&Entry { partition, kind, term: 1, index, records_count: 0, payload: text });
        self.next += 1;
        let write = self.log.seal(&mut self.batch);
        let (segment, offset) =
            (usize::try_from(write.segment).unwrap(), usize::try_from(write.offset).unwrap());
        self.disk.segments[segment][offset..offset + write.bytes.len()].copy_from_slice(write.bytes);
        self.disk.batches.push((segment, offset, write.bytes.len()));
    }
}

impl Disk {
    /// Scans; returns the indices of the entries that were found, and the tail.
    fn scan(&self) -> Result<(Vec<u64>, Tail), ScanError> {
        let (mut scan, mut found) = (Scan::new(config()), Vec::new());
        for (seq, segment) in (0..).zip(&self.segments) {
            scan.segment(seq, segment, |_, item| {
                if let Item::Entry(entry) = item {
                    found.push(entry.index);
                }
            })?;
        }
        Ok((found, scan.finish().expect("there is a segment")))
    }

    fn damaged_at(&self, batch: usize) {
        let (segment, offset, _) = self.batches[batch];
        match self.scan() {
            Err(ScanError::Damage(damage)) => {
                assert_eq!((damage.segment, damage.offset), (segment as u64, offset as u64), "{damage}");
            }
            other => panic!("expected damage in batch {batch}, found {other:?}"),
        }
    }

    fn cut_after(&self, batches: usize) {
        let (found, tail) = self.scan().unwrap();
        assert_eq!(found, (1..=batches as u64).collect::<Vec<_>>());
        let (segment, offset, _) = self.batches[batches];
        let expected = if offset == SEGMENT_HEADER_BYTES && segment > 0 {
            let (segment, offset, len) = self.batches[batches - 1];
            (segment, offset + len)
        } else {
            (segment, offset)
        };
        assert_eq!((tail.segment, tail.offset), (expected.0 as u64, expected.1 as u64));
    }
}

#[test]
fn a_log_reads_as_it_was_written_over_many_segments() {
    let disk = Writer::of((0..60).map(|place| place * 977 % 30_000));
    assert!(disk.segments.len() > 3);
    let (found, tail) = disk.scan().unwrap();
    assert_eq!(found, (1..=60).collect::<Vec<_>>());
    let (segment, offset, len) = disk.batches[59];
    assert_eq!((tail.segment, tail.offset, tail.torn), (segment as u64, (offset + len) as u64, None));
    assert_eq!(tail.segments_count, disk.segments.len() as u64);
}

#[test]
fn every_flipped_bit_before_the_last_batch_is_damage_and_in_it_is_a_torn_tail() {
    let disk = Writer::of([100, 5000, 10]);
    let last = disk.batches[2];
    for (batch, &(segment, offset, len)) in disk.batches.iter().enumerate() {
        for bit in 0..len * 8 {
            // All bits of the first block; of the rest every 29th, so that each place of a byte comes up.
            if bit > 4096 * 8 && bit % 29 != 0 {
                continue;
            }
            let mut bent = disk.clone();
            bent.segments[segment][offset + bit / 8] ^= 1 << (bit % 8);
            if (segment, offset, len) == last {
                bent.cut_after(2);
            } else {
                bent.damaged_at(batch);
            }
        }
    }
}

#[test]
fn a_rotten_batch_at_the_end_of_a_segment_is_missed_by_the_next() {
    let disk = Writer::of((0..60).map(|_| 20_000));
    let last_of_first = disk.batches.iter().rposition(|batch| batch.0 == 0).unwrap();
    let (segment, offset, len) = disk.batches[last_of_first];
    for zeros in [len, 1, 4096] {
        let mut bent = disk.clone();
        bent.segments[segment][offset..offset + zeros].fill(0);
        bent.damaged_at(last_of_first);
    }
}

#[test]
fn a_torn_batch_behind_a_rotten_one_gives_it_away() {
    let disk = Writer::of((0..60).map(|_| 20_000));
    let first_of_second = disk.batches.iter().position(|batch| batch.0 == 1).unwrap();
    let mut cut = disk;
    cut.segments.truncate(2);
    cut.batches.truncate(first_of_second + 1);
    let (segment, offset, len) = cut.batches[first_of_second];
    cut.segments[segment][offset + 4096..].fill(0);
    assert!(len > 4096);
    cut.cut_after(first_of_second);
    let (segment, offset, len) = cut.batches[first_of_second - 1];
    for rot in [offset..offset + len, offset + 100..offset + 101] {
        let mut bent = cut.clone();
        bent.segments[segment][rot].iter_mut().for_each(|byte| *byte = 0x55);
        bent.damaged_at(first_of_second - 1);
    }
}

#[test]
fn a_whole_segment_of_zeros_before_others_is_damage() {
    let disk = Writer::of((0..60).map(|_| 20_000));
    for segment in 0..disk.segments.len() - 1 {
        let mut bent = disk.clone();
        bent.segments[segment].fill(0);
        assert!(matches!(bent.scan(), Err(ScanError::Damage(_))), "segment {segment}");
        let mut bent = disk.clone();
        bent.segments[segment][SEGMENT_HEADER_BYTES..].fill(0);
        if segment + 2 < disk.segments.len() {
            assert!(matches!(bent.scan(), Err(ScanError::Damage(_))), "segment {segment}");
        }
    }
}

#[test]
fn a_segment_that_was_made_and_never_headed_is_not_yet_there() {
    let mut disk = Writer::of([10, 10]);
    assert_eq!(disk.segments.len(), 2);
    disk.segments[1].fill(0);
    let (found, tail) = disk.scan().unwrap();
    assert_eq!((found.len(), tail.segments_count), (2, 1));
    let log = Log::resume(config(), &tail);
    assert_eq!(log.wanted_segment(), Some(1));
    assert_eq!(Scan::new(config()).finish(), None);
}

#[test]
fn a_log_goes_on_behind_a_torn_tail() {
    let mut writer = Writer::new();
    for _ in 0..5 {
        writer.write(&[b'x'; 9000]);
    }
    let (segment, offset, len) = *writer.disk.batches.last().unwrap();
    // The last of its three blocks never came to the disk; what lies there is from before.
    writer.disk.segments[segment][offset + len - 4096..offset + len].fill(0xAA);
    let (found, tail) = writer.disk.scan().unwrap();
    assert_eq!(found, [1, 2, 3, 4]);
    assert!(tail.torn.clone().unwrap().to_string().contains("checksum"), "{:?}", tail.torn);
    writer.log = Log::resume(config(), &tail);
    writer.disk.batches.pop();
    writer.next = 5;
    writer.write(b"short");
    assert_eq!(writer.disk.batches[4].1, offset);
    assert_eq!(writer.disk.scan().unwrap().0, [1, 2, 3, 4, 5]);
    writer.write(b"and on");
    assert_eq!(writer.disk.scan().unwrap().0, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_text_cannot_imitate_a_batch() {
    // A customer who knew everything but the salt: the batch of the next block, as its text, at that very block.
    let mut forger = Writer::new();
    forger.log = Log::create(config(), SALT + 1);
    forger.write(&[b'x'; 6000]);
    forger.write(b"forged");
    let (segment, offset, len) = forger.disk.batches[1];
    let forged = forger.disk.segments[segment][offset..offset + len].to_vec();
    let mut writer = Writer::new();
    // Text in front, so that the forged block begins at a block.
    let in_front = 4096 - BATCH_HEADER_BYTES - frame::HARD_STATE_FRAME_BYTES - frame::ENTRY_FRAME_BYTES;
    let text: Vec<u8> = vec![b'x'; in_front].into_iter().chain(forged.iter().copied()).collect();
    writer.write(&text);
    let (_, first, len) = writer.disk.batches[0];
    assert_eq!(
        writer.disk.segments[0][first + 4096..first + 8192],
        forged[..],
        "the forged block is at a block"
    );
    // The batch is torn in its first block: without the salt, the forged one behind it would look like damage.
    writer.disk.segments[0][first + 100] ^= 1;
    assert_eq!(len, 8192);
    writer.disk.cut_after(0);
}

#[test]
fn the_leftovers_of_a_recycled_segment_are_nothing() {
    let disk = Writer::of((0..8).map(|_| 20_000));
    let mut writer = Writer::new();
    writer.write(&[b'x'; 100]);
    // Segment 1 is segment 0 of before with a new header: its batches carry other places.
    let leftovers = disk.segments[0][SEGMENT_HEADER_BYTES..].to_vec();
    writer.disk.segments[1][SEGMENT_HEADER_BYTES..].copy_from_slice(&leftovers);
    let (found, tail) = writer.disk.scan().unwrap();
    assert_eq!((found, tail.segment), (vec![1], 0));
}

#[test]
fn a_log_of_something_else_is_refused_in_words() {
    let disk = Writer::of([10]);
    let refused = |config: LogConfig| {
        let mut scan = Scan::new(config);
        scan.segment(0, &disk.segments[0], |_, _| {}).unwrap_err().to_string()
    };
    let LogConfig { identity, layout } = config();
    let other = |identity| LogConfig { identity, layout };
    let text = refused(other(Identity { cluster: 100, ..identity }));
    assert!(text.contains("expected cluster 00000000000000000000000000000064, found"), "{text}");
    let text = refused(other(Identity { node: NodeId(2), ..identity }));
    assert!(text.contains("expected node 2, found 1. Is this the right data directory?"), "{text}");
    let text = refused(other(Identity { shard: ShardId(7), ..identity }));
    assert!(text.contains("expected shard 7, found 0"), "{text}");
    let text = refused(other(Identity { shards: 4, ..identity }));
    assert!(text.contains("written by a node of 1 shards, and this one has 4"), "{text}");
    let text = refused(other(Identity { partitions: 32, ..identity }));
    assert!(text.contains("expected a partition count of 32, found 16"), "{text}");
    let text = refused(LogConfig { identity, layout: Layout::default() });
    assert!(text.contains("expected a segment size of 67108864, found 262144"), "{text}");
}

#[test]
fn a_missing_or_swapped_segment_is_refused() {
    let disk = Writer::of((0..40).map(|_| 20_000));
    let mut scan = Scan::new(config());
    scan.segment(0, &disk.segments[0], |_, _| {}).unwrap();
    let error = scan.segment(2, &disk.segments[2], |_, _| {}).unwrap_err();
    assert_eq!(error, ScanError::MissingSegment { expected: 1, found: 2 });
    let mut scan = Scan::new(config());
    scan.segment(0, &disk.segments[0], |_, _| {}).unwrap();
    let error = scan.segment(1, &disk.segments[2], |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("expected number 1, found 2"), "{error}");
    let mut scan = Scan::new(config());
    let error = scan.segment(0, &disk.segments[0][..8192], |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("expected 262144 bytes, found 8192 bytes"), "{error}");
}

#[test]
fn a_log_may_begin_at_any_segment() {
    let disk = Writer::of((0..40).map(|_| 20_000));
    let mut scan = Scan::new(config());
    let mut found = Vec::new();
    for (seq, segment) in (0..).zip(&disk.segments).skip(2) {
        let visit = |_, item: Item<'_>| {
            if let Item::Entry(entry) = item {
                found.push(entry.index)
            }
        };
        scan.segment(seq, segment, visit).unwrap();
    }
    let first = disk.batches.iter().position(|batch| batch.0 == 2).unwrap();
    assert_eq!(found, (first as u64 + 1..=40).collect::<Vec<_>>());
}

#[test]
fn a_frame_of_a_newer_program_is_told_from_damage() {
    let mut disk = Writer::of([10]);
    let (_, offset, len) = disk.batches[0];
    let batch = &mut disk.segments[0][offset..offset + len];
    batch[BATCH_HEADER_BYTES + 4] = 9;
    let crc = crate::crc::crc32c(&batch[8..]);
    batch[4..8].copy_from_slice(&crc.to_le_bytes());
    let error = disk.scan().unwrap_err();
    assert_eq!(error, ScanError::OtherFrame { segment: 0, offset: 4096, kind: 9, version: 1 });
}

#[test]
fn records_come_back_out_of_a_log() {
    let mut writer = Writer::new();
    writer.write(b"");
    let mut records = Vec::new();
    for id in 0..10 {
        Record::Cancelled(Cancelled { id: MessageId(id) }).encode(WallMs(3), &mut records);
    }
    writer.log.begin(&mut writer.batch).unwrap();
    let start = Start { node: NodeId(1), shard: ShardId(0), process: 77, wall: WallMs(1) };
    writer.batch.push_start(&start);
    writer.batch.push_entry(&Entry::of_records(Partition(3), 1, 2, &records).unwrap());
    let write = writer.log.seal(&mut writer.batch);
    let offset = usize::try_from(write.offset).unwrap();
    let end = write.end;
    writer.disk.segments[0][offset..offset + write.bytes.len()].copy_from_slice(write.bytes);
    let (mut scan, mut read, mut starts) = (Scan::new(config()), Vec::new(), Vec::new());
    let visit = |lsn: Lsn, item: Item<'_>| match item {
        Item::Entry(entry) => {
            read.extend(entry.records().map(|record| (lsn < end, record.unwrap().1.kind())))
        }
        Item::Start(start) => starts.push(start),
        Item::HardState(_) => {}
    };
    scan.segment(0, &writer.disk.segments[0], visit).unwrap();
    assert_eq!((read, starts), (vec![(true, 12); 10], vec![start]));
    assert_eq!(scan.finish().unwrap().lsn, end);
}

#[test]
fn a_segment_and_its_batches_have_the_bytes_that_are_on_disks_already() {
    let mut log = Log::create(config(), SALT);
    log.handle_prepared(0);
    let mut batch = Batch::new();
    let mut bytes = log.segment_header(0).to_vec();
    let mut records = Vec::new();
    Record::Cancelled(Cancelled { id: MessageId(5) }).encode(WallMs(6), &mut records);
    let (node, shard, partition) = (NodeId(1), ShardId(0), Partition(13));
    for index in 1..3 {
        log.begin(&mut batch).unwrap();
        batch.push_start(&Start { node, shard, process: 77, wall: WallMs(1) });
        batch.push_hard_state(&HardState { partition, term: 3, vote: 4, commit: 5 });
        batch.push_entry(&Entry::of_records(partition, 3, index, &records).unwrap());
        bytes.extend_from_slice(log.seal(&mut batch).bytes);
    }
    // What is not zeros: the two headers' blocks begin with it, and 300 bytes hold all.
    let used: Vec<u8> = bytes.chunks(4096).flat_map(|block| block[..300].to_vec()).collect();
    assert!(bytes.chunks(4096).all(|block| block[300..].iter().all(|&byte| byte == 0)));
    let golden = crate::golden::check("segment-1", &used);
    let mut segment = vec![0; usize::try_from(config().layout.segment_bytes()).unwrap()];
    for (block, used) in segment.chunks_mut(4096).zip(golden.chunks(300)) {
        block[..300].copy_from_slice(used);
    }
    let (mut scan, mut items) = (Scan::new(config()), 0);
    scan.segment(0, &segment, |_, _| items += 1).unwrap();
    assert_eq!((items, scan.finish().map(|tail| (tail.offset, tail.torn))), (6, Some((3 * 4096, None))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A crash keeps any subset of the sectors of the batch in flight: all before it is found, and it is found whole or
    /// not at all.
    #[test]
    fn a_crash_loses_the_batch_in_flight_or_nothing(
        sizes in prop::collection::vec(0_usize..20_000, 1..30),
        keeps in prop::collection::vec(any::<bool>(), 64),
        sector in prop::sample::select(vec![512_usize, 4096]),
    ) {
        let mut disk = Writer::of(sizes.iter().copied());
        let &(segment, offset, len) = disk.batches.last().unwrap();
        let mut whole = true;
        for (sector, keep) in disk.segments[segment][offset..offset + len].chunks_mut(sector).zip(keeps.iter().cycle()) {
            // A lost sector still holds the zeros that were written in advance.
            whole &= *keep || sector.iter().all(|&byte| byte == 0);
            if !keep {
                sector.fill(0);
            }
        }
        let (found, tail) = disk.scan().unwrap();
        let expected = sizes.len() - usize::from(!whole);
        prop_assert_eq!(found, (1..=expected as u64).collect::<Vec<_>>());
        // And the log goes on from there.
        let mut writer = Writer { log: Log::resume(config(), &tail), batch: Batch::new(), disk, next: expected as u64 + 1 };
        writer.disk.batches.truncate(expected);
        writer.write(&[b'y'; 3000]);
        writer.write(&[b'y'; 30]);
        let (found, _) = writer.disk.scan().unwrap();
        prop_assert_eq!(found, (1..=expected as u64 + 2).collect::<Vec<_>>());
    }

    /// Any bytes over a part of any sector: never a panic, and never an entry that was not written.
    #[test]
    fn any_bytes_over_a_log_invent_nothing(
        sector in 0_usize..80,
        at in 0_usize..212,
        bytes in prop::collection::vec(any::<u8>(), 1..300),
    ) {
        let mut disk = Writer::of([5000, 100, 9000, 3, 7000]);
        let written = disk.scan().unwrap().0;
        let at = sector * 512 + at;
        disk.segments[0][at..at + bytes.len()].copy_from_slice(&bytes);
        if let Ok((found, _)) = disk.scan() {
            prop_assert!(written.starts_with(&found));
            prop_assert!(found.len() >= 4, "only the last may be cut");
        }
    }
}
