//! One group, from its first start on, over a disk that is a list of segments.

mod three;

use wal::{Identity, Item, Layout, Log, LogConfig, Record, Scan};
use wire::id::{MessageId, ShardId};
use wire::time::WallMs;

use super::*;
use crate::recovery::Recovered;

const PARTITION: Partition = Partition(5);

/// A group of one voter of which nothing has been found.
fn first_start() -> Recovery {
    Recovery::new(PARTITION, Members::voting(&[NodeId(1)]))
}

fn layout() -> Layout {
    Layout::new(wal::limits::SEGMENT_BYTES_MIN).unwrap()
}

fn group_config() -> GroupConfig {
    GroupConfig {
        partition: PARTITION,
        node: NodeId(1),
        election_ticks: 10,
        rank_ticks_max: 10,
        heartbeat_ticks: 2,
        records_bytes_max: layout().records_bytes_max(),
    }
}

/// A node's disk and its log: written at once, durable when the test says so.
struct Disk {
    config: LogConfig,
    log: Log,
    batch: Batch,
    segments: Vec<Vec<u8>>,
    /// Segment, offset and length of the last write.
    last: (usize, usize, usize),
}

impl Disk {
    fn new() -> Self {
        Self::of(NodeId(1))
    }

    fn of(node: NodeId) -> Self {
        let identity = Identity { cluster: 1, node, shard: ShardId(0), shards: 1, partitions: 16 };
        let config = LogConfig { identity, layout: layout() };
        let log = Log::create(config, 0xA11CE);
        Self { config, log, batch: Batch::new(), segments: Vec::new(), last: (0, 0, 0) }
    }

    fn begin(&mut self) {
        while let Some(seq) = self.log.wanted_segment() {
            let mut segment = vec![0; usize::try_from(layout().segment_bytes()).unwrap()];
            let header = self.log.segment_header(seq);
            segment[..header.len()].copy_from_slice(&header);
            self.segments.push(segment);
            self.log.handle_prepared(seq);
        }
        self.log.begin(&mut self.batch).unwrap();
    }

    /// Takes what the group has to write into a batch; returns up to where it will be durable.
    fn write(&mut self, group: &mut Group) -> Option<Lsn> {
        self.begin();
        match group.poll_append(&mut self.batch) {
            Appended::Nothing => return None,
            Appended::Written => {}
            Appended::NoRoom => panic!("a fresh batch has room"),
        }
        let write = self.log.seal(&mut self.batch);
        let (from, segment) =
            (usize::try_from(write.offset).unwrap(), usize::try_from(write.segment).unwrap());
        self.segments[segment][from..from + write.bytes.len()].copy_from_slice(write.bytes);
        self.last = (segment, from, write.bytes.len());
        Some(write.end)
    }

    /// The last write never came to the disk.
    fn lose_last(&mut self) {
        let (segment, from, len) = self.last;
        self.segments[segment][from..from + len].fill(0);
    }

    /// Reads all back.
    fn scan(&mut self, mut visit: impl FnMut(Item<'_>)) {
        let mut scan = Scan::new(self.config);
        for (seq, segment) in (0..).zip(&self.segments) {
            scan.segment(seq, segment, |_, item| visit(item)).unwrap();
        }
        let tail = scan.finish();
        self.log =
            tail.map_or_else(|| Log::create(self.config, 0xA11CE), |tail| Log::resume(self.config, &tail));
    }

    /// Restarts a single voter: its group, and the records that its state is made of.
    fn restart(&mut self) -> (Group, Vec<u128>) {
        let (mut recovery, mut ids) = (first_start(), Vec::new());
        self.scan(|item| match item {
            Item::Entry(entry) => {
                assert_eq!(recovery.handle_entry(&entry), Ok(Recovered::Next));
                ids.extend(entry.records().map(|record| id_of(&record.unwrap().1)));
            }
            Item::HardState(state) => {
                recovery.handle_hard_state(&state).unwrap();
            }
            Item::Start(_) => {}
        });
        (Group::new(&group_config(), recovery).unwrap(), ids)
    }
}

fn id_of(record: &Record<'_>) -> u128 {
    match record {
        Record::Cancelled(cancelled) => cancelled.id.0,
        other => panic!("only cancellations are written here, not {other:?}"),
    }
}

fn records(ids: impl IntoIterator<Item = u128>) -> Bytes {
    let mut bytes = Vec::new();
    for id in ids {
        let record = Record::Cancelled(wal::record::Cancelled { id: MessageId(id) });
        record.encode(WallMs(7), &mut bytes);
    }
    bytes.into()
}

/// Polls what is committed, as a shard does.
fn committed(group: &mut Group) -> Vec<(u64, u64)> {
    let mut told = Vec::new();
    while let Some(Committed { term, index }) = group.poll_committed() {
        group.handle_applied();
        told.push((term, index));
    }
    told
}

fn home(disk: &mut Disk, group: &mut Group) {
    group.campaign();
    let end = disk.write(group).unwrap();
    assert!(!group.can_decide(), "nothing of its own term is committed yet");
    group.handle_durable(end);
    assert_eq!(committed(group), [(group.term(), group.last_index())]);
    assert!(group.can_decide());
}

#[test]
fn a_first_start_ends_in_a_home_that_decides() {
    let mut disk = Disk::new();
    let mut group = Group::new(&group_config(), first_start()).unwrap();
    assert_eq!((group.is_home(), group.term(), group.next_index()), (false, 0, 1));
    assert_eq!(group.propose(records([1])), Err(Refused::NotHome));
    group.campaign();
    assert_eq!((group.is_home(), group.term(), group.next_index()), (true, 1, 2));
    assert_eq!(group.propose(records([1])), Err(Refused::NotYet));
    let end = disk.write(&mut group).unwrap();
    assert_eq!(committed(&mut group), [], "nothing is committed before it is durable");
    group.handle_durable(end);
    assert_eq!(committed(&mut group), [(1, 1)]);
    assert_eq!(group.propose(records([1])), Ok(Proposed { term: 1, index: 2 }));
}

#[test]
fn nothing_is_committed_before_its_own_batch_is_durable() {
    let mut disk = Disk::new();
    let mut group = Group::new(&group_config(), first_start()).unwrap();
    home(&mut disk, &mut group);
    group.propose(records([1])).unwrap();
    let first = disk.write(&mut group).unwrap();
    group.propose(records([2, 3])).unwrap();
    let second = disk.write(&mut group).unwrap();
    assert_eq!(committed(&mut group), []);
    group.handle_durable(first);
    assert_eq!(committed(&mut group), [(1, 2)]);
    group.handle_durable(first);
    assert_eq!(committed(&mut group), []);
    group.handle_durable(second);
    assert_eq!(committed(&mut group), [(1, 3)]);
    // What is left is to take note of the commit, which is not worth a write.
    assert!(group.has_ready());
    assert_eq!(disk.write(&mut group), None);
    assert!(!group.has_ready());
}

#[test]
fn a_restart_keeps_all_and_opens_a_higher_term() {
    let mut disk = Disk::new();
    let mut group = Group::new(&group_config(), first_start()).unwrap();
    let (mut next, mut written, mut term) = (0, Vec::new(), 0);
    for start in 0..20 {
        home(&mut disk, &mut group);
        assert!(group.term() > term, "no two starts share a term");
        term = group.term();
        for entry in 0..start {
            let ids = next..next + entry % 5;
            next = ids.end;
            written.extend(ids.clone());
            group.propose(records(ids)).unwrap();
            let end = disk.write(&mut group).unwrap();
            if entry % 3 == 0 {
                group.handle_durable(end);
                committed(&mut group);
            }
        }
        // The process dies, whatever it had been told.
        let (restarted, read) = disk.restart();
        assert_eq!(read, written);
        assert_eq!(restarted.last_index(), group.last_index());
        group = restarted;
    }
    assert!(disk.segments.len() >= 2, "the log rolled over");
}

#[test]
fn a_batch_without_room_is_left_alone() {
    let mut disk = Disk::new();
    let mut group = Group::new(&group_config(), first_start()).unwrap();
    home(&mut disk, &mut group);
    let many = records(0..u128::try_from(layout().records_bytes_max() / 32).unwrap());
    assert!(many.len() <= layout().records_bytes_max());
    for index in 0..8 {
        disk.begin();
        let mut rounds = 0;
        while disk.batch.room_bytes() > many.len() + 100 {
            disk.batch.push_entry(&wal::Entry::of_records(Partition(9), 1, 1, &many).unwrap());
            rounds += 1;
        }
        assert!(rounds > 0);
        group.propose(many.clone()).unwrap();
        assert!(matches!(group.propose(records([1])), Err(Refused::Full { .. })));
        assert_eq!(group.poll_append(&mut disk.batch), Appended::NoRoom);
        disk.log.seal(&mut disk.batch);
        let end = disk.write(&mut group).unwrap();
        group.handle_durable(end);
        assert_eq!(committed(&mut group), [(1, index + 2)]);
    }
}

#[test]
fn a_proposal_beyond_an_entry_is_refused_and_nothing_has_happened() {
    let mut disk = Disk::new();
    let mut group = Group::new(&group_config(), first_start()).unwrap();
    home(&mut disk, &mut group);
    let bytes_max = layout().records_bytes_max();
    let large = Bytes::from(vec![0; bytes_max + 1]);
    assert_eq!(group.propose(large), Err(Refused::Large { bytes: bytes_max + 1, bytes_max }));
    assert_eq!(group.next_index(), 2);
}

#[test]
fn memory_holds_no_more_than_what_waits() {
    let mut disk = Disk::new();
    let mut group = Group::new(&group_config(), first_start()).unwrap();
    home(&mut disk, &mut group);
    for id in 0..1000 {
        group.propose(records([id])).unwrap();
        let end = disk.write(&mut group).unwrap();
        group.handle_durable(end);
        committed(&mut group);
        let store = group.raw.store();
        assert!(store.last_index() - store.first_index() < 4, "{store:?}");
    }
}

#[test]
fn ticks_leave_a_single_voter_at_home() {
    let mut disk = Disk::new();
    let mut group = Group::new(&group_config(), first_start()).unwrap();
    for _ in 0..50 {
        group.tick();
    }
    assert!(group.is_home(), "the election time-out makes a home too");
    let end = disk.write(&mut group).unwrap();
    group.handle_durable(end);
    committed(&mut group);
    for _ in 0..100 {
        group.tick();
        assert!(group.can_decide());
    }
    assert_eq!((group.home(), group.term()), (Some(NodeId(1)), 1));
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let refused = |config: GroupConfig| Group::new(&config, first_start()).unwrap_err().to_string();
    let config = group_config();
    assert_eq!(
        refused(GroupConfig { node: NodeId(0), ..config.clone() }),
        "partition 5: node numbers begin at 1"
    );
    let nobody = Group::new(&config, Recovery::new(PARTITION, Members::default())).unwrap_err();
    assert_eq!(nobody.to_string(), "partition 5: expected somebody who votes");
    assert!(refused(GroupConfig { election_ticks: 2, ..config }).contains("more ticks"));
}

#[test]
fn a_home_that_counts_on_what_a_disk_has_lost_is_not_believed() {
    let voters = Members::voting(&[1, 2, 3].map(NodeId));
    let mut group = Group::new(&group_config(), Recovery::new(PARTITION, voters).with_peers()).unwrap();
    let heartbeat = |commit| {
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgHeartbeat);
        (message.from, message.to, message.term, message.commit) = (2, 1, 3, commit);
        crate::message::Message(message)
    };
    assert_eq!(
        group.handle_message(heartbeat(5)),
        Err(crate::Unsteppable::Forgotten { acknowledged: 5, last: 0 })
    );
    assert_eq!(group.handle_message(heartbeat(0)), Ok(()));
    assert_eq!(group.home(), Some(NodeId(2)));
}
