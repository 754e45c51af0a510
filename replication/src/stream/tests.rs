//! Two nodes and the bytes between them: split anywhere, lost with their connection, and never out of order.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft::eraftpb::{self, Entry, MessageType};
use wire::id::{MessageId, NodeId, Partition, PartitionCount, ShardId};
use wire::time::{Instant, WallMs};

use super::*;
use crate::limits::{CREDIT_BYTES, DIAL_AGAIN_MAX, PIECE_BYTES, QUEUED_BYTES_MAX, SILENCE_MAX};
use crate::message::{Install, Message};

fn hello(node: u32, shard: u16, shards: u16) -> Hello {
    let partitions = PartitionCount::new(16).unwrap();
    let (node, shard) = (NodeId(node), ShardId(shard));
    Hello { cluster: 7, node, shard, shards, partitions, process: 99, directory: 98 }
}

fn peers(hello: Hello) -> Peers {
    Peers::new(hello, &[NodeId(1), NodeId(2), NodeId(3)])
}

fn heartbeat(from: u64, to: u64, commit: u64) -> Message {
    let mut message = eraftpb::Message::default();
    message.set_msg_type(MessageType::MsgHeartbeat);
    (message.from, message.to, message.term, message.commit) = (from, to, 3, commit);
    Message(message)
}

/// An append with one entry of at least so many bytes of records.
fn append(from: u64, to: u64, index: u64, bytes: usize) -> Message {
    let mut message = eraftpb::Message::default();
    message.set_msg_type(MessageType::MsgAppend);
    (message.from, message.to, message.term, message.index) = (from, to, 3, index - 1);
    let mut data = Vec::new();
    while data.len() < bytes {
        let record = wal::Record::Cancelled(wal::record::Cancelled { id: MessageId(7) });
        record.encode(WallMs(7), &mut data);
    }
    message.entries.push(Entry { term: 3, index, data: data.into(), ..Entry::default() });
    Message(message)
}

/// Shards of nodes, and the connections between them.
struct Net {
    now: Instant,
    ends: Vec<Peers>,
    /// The line at the other end: by end and line.
    wires: BTreeMap<(usize, LineId), (usize, LineId)>,
    chunk: usize,
    /// Whether bytes arrive at all.
    is_cut: bool,
}

impl Net {
    fn new(hellos: &[Hello]) -> Self {
        let ends = hellos.iter().map(|&hello| peers(hello)).collect();
        Self { now: Instant(1), ends, wires: BTreeMap::new(), chunk: 7, is_cut: false }
    }

    /// One round: timers, dials, bytes.
    fn round(&mut self) {
        self.now = self.now.plus(core::time::Duration::from_millis(20));
        for end in 0..self.ends.len() {
            if self.ends[end].timeout().is_some_and(|at| at <= self.now) {
                self.ends[end].handle_timeout(self.now);
            }
            while let Some(action) = self.ends[end].poll_action() {
                self.act(end, action);
            }
        }
        for end in 0..self.ends.len() {
            for line in self.ends[end].lines().collect::<Vec<_>>() {
                self.carry(end, line);
            }
        }
    }

    fn act(&mut self, end: usize, action: LineAction) {
        match action {
            LineAction::Dial { line, node, shard } => {
                let listens = |peers: &Peers| peers.seat() == (node, shard);
                let Some(other) = self.ends.iter().position(listens).filter(|_| !self.is_cut) else {
                    return self.ends[end].handle_closed(self.now, line);
                };
                let theirs = self.ends[other].handle_accepted(self.now, Proven::Nothing);
                self.wires.insert((end, line), (other, theirs));
                self.wires.insert((other, theirs), (end, line));
                self.ends[end].handle_connected(self.now, line);
            }
            LineAction::Close(line) => {
                self.carry(end, line);
                if let Some((other, theirs)) = self.wires.remove(&(end, line)) {
                    self.wires.remove(&(other, theirs));
                    self.ends[other].handle_closed(self.now, theirs);
                }
            }
        }
    }

    fn carry(&mut self, end: usize, line: LineId) {
        let mut bytes = Vec::new();
        while self.ends[end].poll_output(self.now, line, &mut bytes) {}
        let Some(&(other, theirs)) = self.wires.get(&(end, line)).filter(|_| !self.is_cut) else { return };
        for chunk in bytes.chunks(self.chunk) {
            self.ends[other].handle_received(self.now, theirs, chunk);
        }
    }

    fn rounds(&mut self, count: usize) {
        (0..count).for_each(|_| self.round());
    }

    fn heard(&mut self, end: usize) -> Vec<Event> {
        core::iter::from_fn(|| self.ends[end].poll_event()).collect()
    }
}

fn is_up(event: &Event, node: u32) -> bool {
    matches!(event, Event::Up(hello) if hello.node == NodeId(node))
}

#[test]
fn shards_that_share_partitions_find_each_other_whatever_their_numbers() {
    // Two shards here, three there: each meets each. Four and two: each meets half.
    for (ours, theirs) in [(2, 3), (4, 2), (1, 1)] {
        let hellos = (0..ours).map(|shard| hello(1, shard, ours));
        let hellos: Vec<_> = hellos.chain((0..theirs).map(|shard| hello(2, shard, theirs))).collect();
        let mut net = Net::new(&hellos);
        net.rounds(20);
        for (place, own) in hellos.iter().enumerate() {
            let meets = hellos.iter().filter(|other| other.node != own.node && own.shares_with(other));
            let ups = net.heard(place).into_iter().filter(|event| matches!(event, Event::Up(_)));
            assert_eq!(ups.count(), meets.clone().count(), "{own:?}");
            let standing = net.ends[place].standings().find(|standing| standing.node.0 == 3 - own.node.0);
            let all = meets.count();
            assert_eq!(standing.map(|standing| standing.shards), Some((all, Some(all))));
        }
        for partition in (0..16).map(Partition) {
            let place = usize::from(ShardId::owner_of(partition, ours).0);
            assert!(net.ends[place].push_message(partition, heartbeat(1, 2, 1)));
        }
    }
}

#[test]
fn messages_words_and_states_arrive_as_they_were_sent() {
    let mut net = Net::new(&[hello(1, 0, 1), hello(2, 0, 1)]);
    net.rounds(3);
    assert!(is_up(&net.heard(0)[0], 2) && is_up(&net.heard(1)[0], 1));
    let snapshot: Bytes = (0..5 * PIECE_BYTES + 3).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let install = Install { from: NodeId(2), to: NodeId(1), term: 3, last: (3, 9), snapshot };
    assert!(net.ends[1].push_install(Partition(4), install.clone()));
    let entries: Vec<_> = (1..40).map(|index| append(2, 1, index, 9000)).collect();
    for message in entries.iter().chain([&heartbeat(2, 1, 8)]) {
        assert!(net.ends[1].push_message(Partition(5), message.clone()));
    }
    for word in ["one", "", "another"] {
        assert!(net.ends[1].push_word(NodeId(1), Partition(0), Bytes::from_static(word.as_bytes())));
    }
    net.chunk = 1000;
    net.rounds(5);
    let (mut heavy, mut light, mut words, mut states) = (Vec::new(), 0, Vec::new(), Vec::new());
    for event in net.heard(0) {
        match event {
            Event::Message(Partition(5), message) if message.is_heavy() => heavy.push(message),
            Event::Message(Partition(5), message) => {
                assert_eq!(message, heartbeat(2, 1, 8));
                assert!(heavy.is_empty(), "what is light goes first");
                light += 1;
            }
            Event::Word(Hello { node: NodeId(2), .. }, word) => words.push(word),
            Event::Install(partition, install) => states.push((partition, install)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        (heavy, light, words),
        (entries, 1, vec!["one", "", "another"].into_iter().map(Bytes::from).collect())
    );
    assert_eq!(states, [(Partition(4), install)]);
}

#[test]
fn without_room_at_the_other_end_heartbeats_go_on_and_entries_wait_within_bounds() {
    let mut net = Net::new(&[hello(1, 0, 1), hello(2, 0, 1)]);
    net.chunk = 1 << 20;
    net.rounds(3);
    net.ends[1].set_room(false);
    net.heard(1);
    let (mut index, mut sent, mut arrived, mut refused) = (1, 0, 0, 0);
    for _ in 0..60 {
        for _ in 0..8 {
            let is_taken = net.ends[0].push_message(Partition(0), append(1, 2, index, 64 * 1024));
            (index, sent, refused) =
                (index + 1, sent + usize::from(is_taken), refused + usize::from(!is_taken));
        }
        assert!(net.ends[0].push_message(Partition(0), heartbeat(1, 2, 1)));
        net.round();
        let heard = net.heard(1);
        arrived += heard
            .iter()
            .filter(|event| matches!(event, Event::Message(_, message) if message.is_heavy()))
            .count();
        assert!(heard.iter().any(|event| matches!(event, Event::Message(_, message) if !message.is_heavy())));
    }
    let bytes = arrived * 64 * 1024;
    assert!((CREDIT_BYTES as usize * 3 / 4..=CREDIT_BYTES as usize + 64 * 1024).contains(&bytes), "{bytes}");
    assert!(refused > 0 && (sent - arrived) * 64 * 1024 <= QUEUED_BYTES_MAX, "{sent} sent");
    net.ends[1].set_room(true);
    for _ in 0..100 {
        net.round();
        arrived += net
            .heard(1)
            .iter()
            .filter(|event| matches!(event, Event::Message(_, message) if message.is_heavy()))
            .count();
    }
    assert_eq!(arrived, sent);
}

#[test]
fn a_node_that_is_silent_is_given_up_and_found_again() {
    let mut net = Net::new(&[hello(1, 0, 1), hello(2, 0, 1)]);
    net.rounds(3);
    net.heard(0);
    net.is_cut = true;
    net.rounds(usize::try_from(SILENCE_MAX.as_millis() / 20).unwrap() + 10);
    assert!(net.heard(0).iter().any(|event| matches!(event, Event::Down(_))));
    assert!(!net.ends[0].push_message(Partition(0), heartbeat(1, 2, 1)));
    net.is_cut = false;
    net.rounds(usize::try_from(DIAL_AGAIN_MAX.as_millis() / 20).unwrap() + 10);
    assert!(net.heard(0).iter().any(|event| is_up(event, 2)));
    // Nothing but time passes, and both stay.
    net.rounds(500);
    assert!(net.heard(0).is_empty());
}

#[test]
fn who_does_not_belong_is_told_why_and_both_say_so() {
    let other = Hello { cluster: 8, ..hello(2, 0, 1) };
    let mut net = Net::new(&[hello(1, 0, 1), other]);
    net.rounds(3);
    for end in 0..2 {
        let heard = net.heard(end);
        let of_cluster =
            |event: &Event| matches!(event, Event::Trouble { what, .. } if what.contains("cluster.name"));
        assert!(heard.iter().any(of_cluster), "{heard:?}");
        assert!(!heard.iter().any(|event| matches!(event, Event::Up(_))));
    }
    // A certificate for another node does not help.
    let mut ends = [peers(hello(1, 0, 1)), peers(hello(2, 0, 1))];
    let now = Instant(1);
    ends[0].handle_timeout(now);
    let Some(LineAction::Dial { line, node: NodeId(2), .. }) = ends[0].poll_action() else {
        panic!("no dial")
    };
    let theirs = ends[1].handle_accepted(now, Proven::To(vec![NodeId(3)]));
    ends[0].handle_connected(now, line);
    let mut bytes = Vec::new();
    assert!(ends[0].poll_output(now, line, &mut bytes));
    ends[1].handle_received(now, theirs, &bytes);
    bytes.clear();
    assert!(ends[1].poll_output(now, theirs, &mut bytes));
    assert_eq!(ends[1].poll_action(), Some(LineAction::Close(theirs)));
    ends[0].handle_received(now, line, &bytes);
    let said = ends[0].poll_event();
    assert!(matches!(&said, Some(Event::Trouble { what, .. }) if what.contains("tls_name")), "{said:?}");
}

#[test]
fn who_was_removed_or_has_lost_its_disk_is_told_so_and_says_nothing_more() {
    let known = |directory, is_removed| [Known { node: NodeId(2), directory, is_removed }];
    let is_up = |event: &Event| matches!(event, Event::Up(_));
    let said = |heard: &[Event], words: &str| {
        heard.iter().any(|event| matches!(event, Event::Trouble { what, .. } if what.contains(words)))
    };
    for (row, words) in
        [(known(98, true), "was removed from this cluster"), (known(97, false), "has data directory")]
    {
        let mut net = Net::new(&[hello(1, 0, 1), hello(2, 0, 1)]);
        net.ends[0].set_members(Instant(1), known(98, false));
        net.rounds(3);
        assert!(net.heard(0).iter().any(is_up) && net.heard(1).iter().any(is_up), "they speak");
        // While they speak, and when they meet anew.
        net.ends[0].set_members(net.now, row);
        net.rounds(3);
        let heard = net.heard(0);
        assert!(
            heard.iter().any(|event| matches!(event, Event::Down(_))) && said(&heard, words),
            "{heard:?}"
        );
        let heard = net.heard(1);
        assert!(
            heard.iter().any(|event| matches!(event, Event::Down(_))) && said(&heard, words),
            "{heard:?}"
        );
        net.rounds(30);
        assert!(!net.heard(0).iter().any(is_up), "nothing changes that");
    }
    // Who is new is spoken to.
    let mut net = Net::new(&[hello(1, 0, 1), hello(4, 0, 1)]);
    net.rounds(30);
    assert!(!net.heard(0).iter().any(is_up), "nobody knows it, so nobody calls it");
    net.ends[0].set_members(net.now, [Known { node: NodeId(4), directory: 0, is_removed: false }]);
    net.rounds(30);
    assert!(
        net.heard(0).iter().any(is_up) && net.heard(1).iter().any(is_up),
        "and it knows no better than to answer"
    );
}

#[test]
fn any_bytes_are_a_stream_or_an_error() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let mut peers = peers(hello(2, 0, 1));
        let line = peers.handle_accepted(Instant(1), Proven::Nothing);
        peers.handle_received(Instant(1), line, bytes);
        while peers.poll_event().is_some() {}
        peers.poll_output(Instant(1), line, &mut Vec::new());
    });
}

/// The format is fixed: another program reads these bytes.
#[test]
fn the_first_frame_has_the_bytes_that_it_always_had() {
    let mut peers = peers(hello(1, 0, 2));
    peers.handle_timeout(Instant(1));
    let Some(LineAction::Dial { line, .. }) = peers.poll_action() else { panic!("no dial") };
    peers.handle_connected(Instant(1), line);
    let mut bytes = Vec::new();
    assert!(peers.poll_output(Instant(1), line, &mut bytes));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("../../testdata/hello.hex").trim());
}

/// What follows a good hello is any bytes, sealed as frames are: the checksum keeps nobody out who computes it.
#[test]
fn any_body_of_any_kind_is_heard_or_an_error() {
    bolero::check!().with_type::<(u8, Vec<u8>)>().for_each(|(kind, body)| {
        let mut ends = [peers(hello(1, 0, 1)), peers(hello(2, 0, 1))];
        let now = Instant(1);
        ends[0].handle_timeout(now);
        let Some(LineAction::Dial { line, .. }) = ends[0].poll_action() else { panic!("no dial") };
        ends[0].handle_connected(now, line);
        let mut bytes = Vec::new();
        ends[0].poll_output(now, line, &mut bytes);
        let kinds = [header::Kind::Messages, header::Kind::Words, header::Kind::Piece, header::Kind::Credit];
        let start = bytes.len();
        bytes.resize(start + header::HEADER_BYTES, 0);
        bytes.extend_from_slice(body);
        header::seal(&mut bytes, start, kinds[usize::from(*kind) % 4], 1, 5);
        let theirs = ends[1].handle_accepted(now, Proven::Nothing);
        ends[1].handle_received(now, theirs, &bytes);
        while ends[1].poll_event().is_some() {}
    });
}
