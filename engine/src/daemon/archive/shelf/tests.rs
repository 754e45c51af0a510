//! The shelf, over files that a log wrote.

use std::path::Path;

use wal::index::PAGE_BYTES;
use wal::record::{Accepted, Fated, Record};
use wal::{Batch, Entry, Identity, Layout, Log};
use wire::id::{AccountId, Class, KeyHash, MessageId, NodeId, Partition, ShardId};
use wire::msisdn::Msisdn;
use wire::time::WallMs;

use super::super::{Asker, Outcome};
use super::*;
use crate::files::{aged_path, segment_path};

const ACCOUNT: AccountId = AccountId(7);
const OWNER: Asker = Asker::Account(ACCOUNT);

fn config() -> LogConfig {
    let identity = Identity { cluster: 99, node: NodeId(1), shard: ShardId(0), shards: 1, partitions: 16 };
    LogConfig { identity, layout: Layout::new(wal::limits::SEGMENT_BYTES_MIN).unwrap() }
}

fn id(number: u64) -> MessageId {
    MessageId::mint(WallMs(1_000 + number), Partition(3), 1, number)
}

/// A log in a directory, as a shard writes it.
struct Author {
    dir: tempfile::TempDir,
    log: Log,
    batch: Batch,
    index: u64,
    durable: Lsn,
}

impl Author {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, log: Log::create(config(), 5), batch: Batch::new(), index: 0, durable: Lsn::ZERO }
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn write(&mut self, at: u64, records: &[Record<'_>]) {
        while let Some(seq) = self.log.wanted_segment() {
            let mut segment = self.log.segment_header(seq).to_vec();
            segment.resize(usize::try_from(config().layout.segment_bytes()).unwrap(), 0);
            fs::write(segment_path(self.dir(), seq), segment).unwrap();
            self.log.handle_prepared(seq);
        }
        let mut bytes = Vec::new();
        records.iter().for_each(|record| record.encode(WallMs(1_000 + at), &mut bytes));
        self.log.begin(&mut self.batch).unwrap();
        self.index += 1;
        self.batch.push_entry(&Entry::of_records(Partition(3), 1, self.index, &bytes).unwrap());
        let write = self.log.seal(&mut self.batch);
        let file = File::options().write(true).open(segment_path(self.dir.path(), write.segment)).unwrap();
        file.write_all_at(write.bytes, write.offset).unwrap();
        self.durable = write.end;
    }

    fn accept(&mut self, number: u64) {
        let accepted = Accepted {
            id: id(number),
            account: ACCOUNT,
            tenant: 0,
            recipient: Msisdn::parse(b"4915112345678").unwrap(),
            channel: 0,
            class: Class::Notification,
            key: KeyHash(0),
            body: 0,
            send_until_ms: 0,
            deadline_ms: 0,
            not_before_ms: 0,
            key_id: 0,
            alphabet: 0,
            segments: 1,
            sender: b"Acme",
            text: &[b'x'; 6000],
        };
        self.write(number, &[Record::Accepted(accepted)]);
    }

    fn end(&mut self, number: u64, at: u64) {
        self.write(at, &[Record::Fated(Fated { id: id(number), fate: 5, why: 11, code: 0 })]);
    }

    /// Messages until so many segments are complete, each ended when the 40th behind it is accepted: often in the next segment.
    fn fill(&mut self, segments: u64) -> u64 {
        let mut number = 0;
        while self.durable.0 < segments * config().layout.segment_bytes() + 40_000 {
            self.accept(number);
            if let Some(ended) = number.checked_sub(40) {
                self.end(ended, number);
            }
            number += 1;
        }
        number - 1
    }

    fn shelf(&self) -> Shelf {
        Shelf::new(self.dir().to_owned(), config())
    }

    /// How many steps of a message's trace are found; 0 when it is not known.
    fn steps(&self, shelf: &mut Shelf, number: u64) -> usize {
        shelf.find(self.durable, OWNER, id(number)).unwrap().map_or(0, |(_, view)| view.trace.len())
    }
}

fn tend(shelf: &mut Shelf, durable: Lsn) {
    while shelf.tend(durable) == Work::Left {}
}

#[test]
fn messages_are_found_whole_in_complete_segments_and_in_the_last_one() {
    let mut author = Author::new();
    let last = author.fill(3);
    let mut shelf = author.shelf();
    assert_eq!(shelf.tend(Lsn::ZERO), Work::Done, "nothing is touched before the log was read back");
    assert!(!index_path(author.dir(), 0).exists());
    tend(&mut shelf, author.durable);
    assert!((0..3).all(|seq| index_path(author.dir(), seq).exists()), "complete segments have indexes");
    assert!(!index_path(author.dir(), 3).exists() && shelf.indexes_built() == 3);
    for number in 0..=last {
        let expected = if number + 40 <= last { 2 } else { 1 };
        assert_eq!(author.steps(&mut shelf, number), expected, "message {number} of {last}");
    }
    assert_eq!(author.steps(&mut shelf, last + 1), 0);
    let view = shelf.find(author.durable, Asker::Account(AccountId(8)), id(3)).unwrap();
    assert_eq!(view, None, "another account's message is not known");
    // The log goes on: the last segment is read on, and indexed from where it was left off when it is complete.
    author.accept(last + 1);
    assert_eq!(author.steps(&mut shelf, last + 1), 1);
    for more in 2..60 {
        author.accept(last + more);
    }
    assert_eq!((author.steps(&mut shelf, last + 1), author.steps(&mut shelf, last + 59)), (1, 1));
    assert_eq!(shelf.indexes_built(), author.durable.0 / config().layout.segment_bytes());
    let mut another = author.shelf();
    tend(&mut another, author.durable);
    assert_eq!(
        (author.steps(&mut another, last + 1), another.indexes_built()),
        (1, 0),
        "indexes are used again"
    );
}

#[test]
fn what_is_not_on_disk_is_not_told() {
    let mut author = Author::new();
    author.accept(1);
    let before = author.durable;
    author.end(1, 2);
    let mut shelf = author.shelf();
    let (_, view) = shelf.find(before, OWNER, id(1)).unwrap().unwrap();
    assert_eq!(view.trace.len(), 1);
    assert_eq!(author.steps(&mut shelf, 1), 2);
}

#[test]
fn a_damaged_or_missing_index_is_made_again() {
    let mut author = Author::new();
    author.fill(2);
    let mut shelf = author.shelf();
    tend(&mut shelf, author.durable);
    let path = index_path(author.dir(), 0);
    let whole = fs::read(&path).unwrap();
    for damage in [100, whole.len() - PAGE_BYTES + 20] {
        let mut bytes = whole.clone();
        bytes[damage] ^= 1;
        fs::write(&path, &bytes).unwrap();
        // A page while it is open, a head at the next start.
        assert_eq!(
            (author.steps(&mut shelf, 3), author.steps(&mut author.shelf(), 3)),
            (2, 2),
            "byte {damage}"
        );
        assert_eq!(fs::read(&path).unwrap(), whole, "byte {damage}");
    }
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!((author.steps(&mut shelf, 3), author.steps(&mut author.shelf(), 3)), (2, 2));
    fs::remove_file(&path).unwrap();
    assert_eq!((author.steps(&mut shelf, 3), fs::read(&path).unwrap()), (2, whole));
}

#[test]
fn a_segment_may_be_aged_used_again_or_removed_at_any_time() {
    let mut author = Author::new();
    author.fill(3);
    let mut shelf = author.shelf();
    tend(&mut shelf, author.durable);
    let aged = |seq| fs::rename(segment_path(author.dir(), seq), aged_path(author.dir(), seq)).unwrap();
    aged(0);
    aged(1);
    assert_eq!(author.steps(&mut shelf, 3), 2);
    // The file of the first becomes another segment of the log, while the archive still believes in it.
    let other = Header { seq: 9, ..*shelf.last.as_ref().unwrap().segment() };
    let (old, new) = (aged_path(author.dir(), 0), segment_path(author.dir(), 9));
    fs::rename(&old, &new).unwrap();
    File::options().write(true).open(&new).unwrap().write_all_at(&other.encode(), 0).unwrap();
    assert_eq!(author.steps(&mut shelf, 3), 0);
    tend(&mut shelf, author.durable);
    assert!(!index_path(author.dir(), 0).exists() && index_path(author.dir(), 1).exists());
    fs::remove_file(aged_path(author.dir(), 1)).unwrap();
    assert_eq!(author.steps(&mut shelf, 3), 0);
}

#[test]
fn another_logs_segment_is_left_alone_and_what_it_hides_is_not_told_by_half() {
    let mut author = Author::new();
    let last = author.fill(2);
    fs::write(aged_path(author.dir(), 1), "not a segment").unwrap();
    fs::remove_file(segment_path(author.dir(), 1)).unwrap();
    let mut shelf = author.shelf();
    tend(&mut shelf, author.durable);
    assert_eq!((author.steps(&mut shelf, 0), author.steps(&mut shelf, last)), (1, 1));
    author.end(last, last + 1);
    let mut ask = |number| shelf.ask(author.durable, OWNER, id(number));
    assert!(matches!(ask(last), Outcome::Found(_, view) if view.trace.len() == 2));
    assert!(matches!(ask(0), Outcome::Failed), "its end was in the segment that is not there");
    assert!(matches!(ask(last + 1), Outcome::Unknown));
    let mut shelf = author.shelf();
    tend(&mut shelf, author.durable);
    assert!(shelf.complaint.contains("0000000000000001.aged"), "{}", shelf.complaint);
}
