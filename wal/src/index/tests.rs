//! Indexes: every message is found where it is, every flipped bit is seen, golden bytes.

use wire::id::{MessageId, NodeId, Partition, ShardId};
use wire::time::WallMs;

use super::*;
use crate::Entry;
use crate::batch::Batch;
use crate::golden;
use crate::limits::{SEGMENT_BYTES_MIN, SEGMENT_HEADER_BYTES};
use crate::log::{Log, LogConfig};
use crate::place::Layout;
use crate::record::{Cancelled, Fated, Record, Strayed};
use crate::segment::Identity;

const SALT: u64 = 0x5A17_5A17_5A17_5A17;

fn id(number: u64) -> MessageId {
    MessageId::mint(WallMs(1_795_402_975_120 + number), Partition(3), 1, number)
}

/// One segment whose batches have a record of each of these messages, at the time that is its number; and where they lie.
fn segment(batches: &[Vec<u64>]) -> (Vec<u8>, Vec<u32>) {
    let identity = Identity { cluster: 99, node: NodeId(1), shard: ShardId(0), shards: 1, partitions: 16 };
    let layout = Layout::new(SEGMENT_BYTES_MIN).unwrap();
    let mut log = Log::create(LogConfig { identity, layout }, SALT);
    let mut bytes = vec![0; usize::try_from(layout.segment_bytes()).unwrap()];
    bytes[..SEGMENT_HEADER_BYTES].copy_from_slice(&log.segment_header(0));
    log.handle_prepared(0);
    let (mut batch, mut places) = (Batch::new(), Vec::new());
    for (index, numbers) in (1..).zip(batches) {
        let mut records = Vec::new();
        for &number in numbers {
            let fated = Fated { id: id(number), fate: 1, why: 5, code: 0 };
            Record::Fated(fated).encode(WallMs(number), &mut records);
            Record::Cancelled(Cancelled { id: id(number) }).encode(WallMs(number), &mut records);
        }
        let recipient = wire::msisdn::Msisdn::parse(b"4915112345678").unwrap();
        let carrier = wire::id::CarrierId(1);
        let strayed = Strayed { carrier, receipt: 1, recipient, state: 2, why: 0 };
        Record::Strayed(strayed).encode(WallMs(500), &mut records);
        log.begin(&mut batch).unwrap();
        batch.push_entry(&Entry::of_records(Partition(3), 1, index, &records).unwrap());
        let write = log.seal(&mut batch);
        let at = usize::try_from(write.offset).unwrap();
        bytes[at..at + write.bytes.len()].copy_from_slice(write.bytes);
        places.push(u32::try_from(at).unwrap());
    }
    (bytes, places)
}

fn gathered(segment: &[u8]) -> Gather {
    let mut gather = Gather::new(Header::decode(segment).unwrap());
    gather.read(&segment[SEGMENT_HEADER_BYTES..]);
    gather
}

/// The batches that an index as a file names for a message, as whoever reads the file finds them.
fn look_up(file: &[u8], segment: &Header, id: MessageId) -> Result<Vec<u32>, IndexError> {
    let head = file.get(..Index::head_bytes(file)?);
    let index = Index::decode(head.ok_or(IndexError::Damaged("a whole head"))?, segment)?;
    let mut found = Vec::new();
    for page in index.pages_of(id) {
        let at = usize::try_from(index.page_at(page)).unwrap();
        index.find(page, file.get(at..at + PAGE_BYTES).unwrap_or_default(), id, &mut found)?;
    }
    Ok(found)
}

#[test]
fn every_message_is_found_in_its_batches_and_their_records_are_read() {
    let batches: Vec<Vec<u64>> = vec![(0..700).collect(), vec![3, 900], (100..900).collect()];
    let (bytes, places) = segment(&batches);
    let header = Header::decode(&bytes).unwrap();
    let gather = gathered(&bytes);
    assert_eq!((gather.skipped(), gather.times()), (0, Some(Times { first: WallMs(0), last: WallMs(900) })));
    let file = gather.encode();
    assert!(file.len() > 3 * PAGE_BYTES, "more than one page");
    let index = Index::decode(&file[..Index::head_bytes(&file).unwrap()], &header).unwrap();
    assert_eq!((index.file_bytes(), Some(index.times())), (file.len() as u64, gather.times()));
    for number in 0..1000 {
        let has_it = places.iter().zip(&batches).filter(|(_, batch)| batch.contains(&number));
        let expected: Vec<u32> = has_it.map(|(&place, _)| place).collect();
        assert_eq!(look_up(&file, &header, id(number)).unwrap(), expected, "message {number}");
        let mut found = Vec::new();
        gather.find(id(number), &mut found);
        assert_eq!(found, expected, "message {number}");
        for place in expected {
            let batch = &bytes[place as usize..];
            let batch = &batch[..batch_bytes(&header, place, &batch[..BLOCK_BYTES]).unwrap()];
            let mut kinds = Vec::new();
            visit_batch(&header, place, batch, id(number), |at, record| kinds.push((at.0, record.kind())))
                .unwrap();
            assert_eq!(kinds, [(number, 10), (number, 12)]);
        }
    }
    assert_eq!(batch_bytes(&header, places[0] + 4096, &bytes[places[0] as usize + 4096..]), None);
}

#[test]
fn a_segment_that_is_written_to_is_read_on_and_a_damaged_batch_hides_no_other() {
    let batches: Vec<Vec<u64>> = (0..20).map(|number| vec![number]).collect();
    let (mut bytes, places) = segment(&batches);
    let mut gather = Gather::new(Header::decode(&bytes).unwrap());
    for end in places.iter().skip(1) {
        let from = usize::try_from(gather.offset()).unwrap();
        gather.read(&bytes[from..*end as usize]);
        assert_eq!(gather.offset(), u64::from(*end));
    }
    gather.read(&bytes[usize::try_from(gather.offset()).unwrap()..]);
    assert_eq!(gather.encode(), gathered(&bytes).encode());
    bytes[places[7] as usize + 70] ^= 1;
    let gather = gathered(&bytes);
    let found = |number| {
        let mut found = Vec::new();
        gather.find(id(number), &mut found);
        found
    };
    assert_eq!(
        (gather.skipped(), found(7), found(6), found(8)),
        (1, vec![], vec![places[6]], vec![places[8]])
    );
}

#[test]
fn an_index_keeps_its_bytes_and_every_flipped_bit_that_a_look_up_reads_is_seen() {
    let (bytes, _) = segment(&[vec![1, 2, 3], vec![2]]);
    let header = Header::decode(&bytes).unwrap();
    let file = golden::check("index-1", &gathered(&bytes).encode());
    assert_eq!(look_up(&file, &header, id(2)).unwrap().len(), 2);
    assert_eq!(file.len(), 2 * BLOCK_BYTES, "a head and a page");
    for bit in 0..file.len() * 8 {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(look_up(&flipped, &header, id(2)).is_err(), "bit {bit}");
    }
    for len in [0, 1, 55, 56, 4095, 4096, 8191] {
        assert!(look_up(&file[..len], &header, id(2)).is_err(), "{len} bytes");
    }
    let others = [Header { seq: 1, ..header }, Header { salt: 1, ..header }];
    assert!(others.iter().all(|other| matches!(look_up(&file, other, id(2)), Err(IndexError::Other { .. }))));
}

#[test]
fn a_segment_without_messages_has_an_index_that_names_none() {
    let (bytes, _) = segment(&[]);
    let header = Header::decode(&bytes).unwrap();
    let file = gathered(&bytes).encode();
    assert_eq!((file.len(), look_up(&file, &header, id(2))), (BLOCK_BYTES, Ok(vec![])));
}

#[test]
fn a_hash_on_a_fence_is_looked_for_on_both_sides() {
    let hash = hash_of(id(1));
    let entries: Vec<u64> = (0..2000).map(|place| u64::from(hash) << 32 | place).collect();
    let times = Times { first: WallMs(1), last: WallMs(2) };
    let (bytes, _) = segment(&[]);
    let file = encode(SALT, 0, times, &entries);
    let found = look_up(&file, &Header::decode(&bytes).unwrap(), id(1)).unwrap();
    assert_eq!(found, (0..2000).collect::<Vec<u32>>());
}

#[test]
fn any_bytes_are_a_head_or_an_error() {
    let (segment, _) = segment(&[]);
    let header = Header::decode(&segment).unwrap();
    bolero::check!().for_each(|bytes: &[u8]| {
        let _ = Index::decode(bytes, &header);
    });
}
