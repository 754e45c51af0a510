//! What it costs that a partition is on three nodes: the stream between them, Raft, and a replica that applies.
//!
//! ```text
//! cargo bench -p benches --bench replication
//!
//!  home: entries ─▶ groups ─▶ batch      peer: bytes ─▶ stream ─▶ groups ─▶ batch ─▶ state
//!                     └─▶ stream ─▶ bytes         (twice, and the acknowledgements back)
//! ```
//!
//! All of it in memory, and nothing waits: disks and lines take no time. One thread does the work of all nodes, and a stopwatch says which part of a round
//! was whose. Budgets: 500,000 records a second of a stream; the sender 60 ns for each record and peer; the receiver 250 ns for each record, with apply.

use core::time::Duration;
use std::sync::Arc;
use std::time::Instant as Stopwatch;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use replication::stream::{Event, Hello, LineAction, LineId, Peers, Proven};
use replication::{Bytes, Group, GroupConfig, Members, Recovery};
use shards::members::Member;
use shards::plan::{ClassPolicy, Plan};
use shards::routes::Routes;
use shards::{Shard, ShardConfig};
use wal::record::{Accepted, Answered, Attempted, Fated, Reported};
use wal::{Batch, Identity, Layout, Log, LogConfig, Lsn, Record};
use wire::id::{AccountId, CarrierId, Class, KeyHash, MessageId, NodeId, Partition, PartitionCount, ShardId};
use wire::msisdn::Msisdn;
use wire::time::{Instant, Now, WallMs};

const CLUSTER: u128 = 7;
const PARTITIONS: u16 = PartitionCount::MIN;
const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
/// Raft's and the stream's clocks stand still: nobody falls silent.
const NOW: Instant = Instant(1);
/// When the first record was made.
const BEGIN_MS: u64 = 1_795_402_975_120;
/// How long keys and messages that are over are remembered, in rounds of a millisecond: so long that little is forgotten in each, and states do not
/// grow with the time that the bench takes.
const KEPT: Duration = Duration::from_secs(1);
/// How many messages that are over a partition remembers.
const FINISHED_MAX: usize = 1 << 12;
const TEXT: &[u8] =
    b"Your code is 123456. It is good for five minutes; do not tell it to anyone who calls you. Shop";
/// Records of a message that goes all the way.
const LIFE: usize = 5;

/// The records of one message that goes all the way.
fn life(partition: Partition, at: WallMs, counter: u64) -> [Record<'static>; LIFE] {
    let (id, carrier) = (MessageId::mint(at, partition, 1, counter), CarrierId(7));
    let recipient = Msisdn::parse(b"4915112345678").expect("a number");
    let accepted = Accepted {
        id,
        account: AccountId(1),
        tenant: 0,
        recipient,
        channel: 0,
        class: Class::Otp,
        key: KeyHash(u128::from(counter)),
        body: 6,
        send_until_ms: at.plus(KEPT).0,
        deadline_ms: at.plus(KEPT).0,
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
        node: NODES[0],
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
        receipt: counter,
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

/// So many records of lives that begin one after the other, for one entry.
fn records(partition: Partition, at: WallMs, first: u64, count: usize) -> Bytes {
    let mut out = Vec::new();
    let lives = (first..).flat_map(|counter| life(partition, at, counter));
    lives.take(count).for_each(|record| record.encode(at, &mut out));
    Bytes::from(out)
}

/// A log, and the batch that is made as it would be written.
struct Disk {
    log: Log,
    batch: Batch,
}

impl Disk {
    fn new(node: NodeId) -> Self {
        let identity =
            Identity { cluster: CLUSTER, node, shard: ShardId(0), shards: 1, partitions: PARTITIONS };
        Self { log: Log::create(LogConfig { identity, layout: Layout::default() }, 7), batch: Batch::new() }
    }

    /// One batch, filled by `fill`; `None` when there was nothing to write.
    fn write(&mut self, fill: impl FnOnce(&mut Batch)) -> Option<Lsn> {
        while let Err(need) = self.log.begin(&mut self.batch) {
            self.log.handle_prepared(need.0);
        }
        fill(&mut self.batch);
        (!self.batch.is_empty()).then(|| self.log.seal(&mut self.batch).end)
    }
}

fn group(node: NodeId, partition: Partition) -> Group {
    let config = GroupConfig {
        partition,
        node,
        election_ticks: 10,
        rank_ticks_max: 0,
        heartbeat_ticks: 2,
        records_bytes_max: Layout::default().records_bytes_max(),
    };
    Group::new(&config, Recovery::new(partition, Members::voting(&NODES))).expect("a group")
}

/// What is durable was told to a group: what is committed by that is taken note of.
fn applied(group: &mut Group) {
    while group.poll_committed().is_some() {
        group.handle_applied();
    }
}

/// Which part of a round takes time.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    /// The home's groups and its batch.
    decide: Duration,
    /// From the home's groups to bytes, for all peers.
    send: Duration,
    /// From bytes to messages, at all peers.
    hear: Duration,
    /// From messages to a batch, a changed state and an acknowledgement in bytes, at all peers.
    take: Duration,
}

/// One of them, or all.
type Part = fn(Spent) -> Duration;

impl Spent {
    const fn all(self) -> Duration {
        self.decide.saturating_add(self.send).saturating_add(self.hear).saturating_add(self.take)
    }
}

/// A node that replicates and applies: a shard as the daemon runs it, without customers and carriers.
struct Replica {
    shard: Shard,
    peers: Peers,
    disk: Disk,
    line: LineId,
    /// The line at the home.
    at_home: LineId,
}

/// A home of all partitions and two replicas.
struct World {
    groups: Vec<Group>,
    peers: Peers,
    disk: Disk,
    replicas: Vec<Replica>,
    bytes: Vec<u8>,
    round: u64,
    spent: Spent,
}

fn peers(node: NodeId) -> Peers {
    let partitions = PartitionCount::new(PARTITIONS).expect("the least");
    let own =
        Hello { cluster: CLUSTER, node, shard: ShardId(0), shards: 1, partitions, process: 1, directory: 1 };
    Peers::new(own, &NODES)
}

fn shard(node: NodeId) -> Shard {
    let plan = Plan {
        node,
        founders: NODES.map(Member::of).to_vec(),
        is_clustered: true,
        shards: 1,
        partitions: PartitionCount::new(PARTITIONS).expect("the least"),
        accounts: Vec::new(),
        carriers: Vec::new(),
        routes: Routes::new(Vec::new()),
        inbound: shards::inbound::Inbound::default(),
        classes: Class::ALL.map(ClassPolicy::default_of),
        open_messages_max: 1 << 20,
        keys_max: 1 << 20,
        retention: KEPT,
        finished_max: FINISHED_MAX,
    };
    let config = ShardConfig {
        id: ShardId(0),
        process: 1,
        seed: 1,
        records_bytes_max: Layout::default().records_bytes_max(),
        cluster: CLUSTER,
        directory: 1,
        snapshot_every_bytes: 1 << 50,
        snapshot_piece_bytes: 1 << 20,
    };
    let mut shard = Shard::new(config, Arc::new(plan));
    shard.handle_start(now(BEGIN_MS)).expect("an empty log");
    shard
}

const fn now(wall_ms: u64) -> Now {
    Now { mono: NOW, wall: WallMs(wall_ms) }
}

impl World {
    /// All connected, and the first node home of all partitions.
    fn new() -> Self {
        let mut home = peers(NODES[0]);
        home.handle_timeout(NOW);
        let dials: Vec<_> = core::iter::from_fn(|| home.poll_action()).collect();
        let replica = |dial: LineAction| {
            let LineAction::Dial { line: at_home, node, .. } = dial else { panic!("it dials first") };
            let mut peers = peers(node);
            let line = peers.handle_accepted(NOW, Proven::Nothing);
            home.handle_connected(NOW, at_home);
            Replica { shard: shard(node), peers, disk: Disk::new(node), line, at_home }
        };
        let mut world = Self {
            replicas: dials.into_iter().map(replica).collect(),
            groups: (0..PARTITIONS).map(|partition| group(NODES[0], Partition(partition))).collect(),
            peers: home,
            disk: Disk::new(NODES[0]),
            bytes: Vec::new(),
            round: 0,
            spent: Spent::default(),
        };
        // Who they are, then votes, then the term's first entry: a turn each way for each.
        world.turns(4);
        world.groups.iter_mut().for_each(Group::campaign);
        world.turns(8);
        assert!(world.groups.iter().all(Group::can_decide), "{:?}", world.groups[0]);
        world
    }

    fn turns(&mut self, count: usize) {
        (0..count).for_each(|_| self.turn());
    }

    /// An entry of so many records in each partition, on all three nodes.
    fn round(&mut self, count: usize) {
        self.round += 1;
        let at = WallMs(BEGIN_MS + self.round);
        let first = 1 + self.round * count.div_ceil(LIFE) as u64;
        let entries: Vec<_> =
            self.groups.iter().map(|group| records(group.partition(), at, first, count)).collect();
        let begun = Stopwatch::now();
        for (group, records) in self.groups.iter_mut().zip(entries) {
            group.propose(records).expect("a home decides");
        }
        self.spent.decide += begun.elapsed();
        // The entries go out and come back acknowledged; the commit goes out.
        self.turns(2);
        let lags = self.groups.iter().flat_map(Group::lags).map(|(_, lag)| lag);
        assert!(lags.into_iter().all(|lag| lag == Some(0)), "an entry is not everywhere");
    }

    /// One round, by which the replicas have come to the same other state.
    fn check(&mut self, count: usize) {
        let digests = |world: &Self| -> Vec<Vec<u64>> {
            world.replicas.iter().map(|replica| replica.shard.state_digests()).collect()
        };
        let before = digests(self);
        self.round(count);
        let after = digests(self);
        assert!(
            after[0] == after[1] && after[0].iter().zip(&before[0]).all(|(after, before)| after != before)
        );
    }

    /// Everybody's turn: the home's, then each replica's.
    fn turn(&mut self) {
        let begun = Stopwatch::now();
        let end = self.disk.write(|batch| {
            self.groups.iter_mut().for_each(|group| {
                group.poll_append(batch);
            });
        });
        for group in &mut self.groups {
            end.into_iter().for_each(|end| group.handle_durable(end));
            applied(group);
        }
        self.spent.decide += begun.elapsed();
        let begun = Stopwatch::now();
        for group in &mut self.groups {
            while let Some(message) = group.poll_message() {
                self.peers.push_message(group.partition(), message);
            }
        }
        self.spent.send += begun.elapsed();
        for place in 0..self.replicas.len() {
            self.exchange(place);
        }
        let begun = Stopwatch::now();
        while let Some(event) = self.peers.poll_event() {
            if let Event::Message(partition, message) = event {
                self.groups[usize::from(partition.0)].handle_message(message).expect("a member's message");
            }
        }
        self.spent.decide += begun.elapsed();
    }

    /// What the home has for a replica, and what the replica has for the home.
    fn exchange(&mut self, place: usize) {
        let replica = &mut self.replicas[place];
        loop {
            self.bytes.clear();
            let begun = Stopwatch::now();
            let has_some = self.peers.poll_output(NOW, replica.at_home, &mut self.bytes);
            self.spent.send += begun.elapsed();
            if !has_some {
                break;
            }
            let begun = Stopwatch::now();
            replica.peers.handle_received(NOW, replica.line, &self.bytes);
            self.spent.hear += begun.elapsed();
        }
        let (begun, now) = (Stopwatch::now(), now(BEGIN_MS + self.round));
        while let Some(event) = replica.peers.poll_event() {
            match event {
                Event::Message(partition, message) => {
                    replica.shard.handle_peer(now, partition, message);
                }
                Event::Up(_) => {}
                other => panic!("{other:?}"),
            }
        }
        let end = replica.disk.write(|batch| {
            replica.shard.poll_append(now, batch);
        });
        end.into_iter().for_each(|end| replica.shard.handle_durable(now, end));
        while let Some((partition, message)) = replica.shard.poll_peer() {
            // For the other replica there is no line, and it is asked for nothing but its vote.
            replica.peers.push_message(partition, message);
        }
        self.bytes.clear();
        while replica.peers.poll_output(NOW, replica.line, &mut self.bytes) {}
        self.spent.take += begun.elapsed();
        let begun = Stopwatch::now();
        self.peers.handle_received(NOW, replica.at_home, &self.bytes);
        self.spent.decide += begun.elapsed();
    }
}

fn stream(c: &mut Criterion) {
    for count in [LIFE, 13 * LIFE, 102 * LIFE] {
        let mut group = c.benchmark_group(format!("16 entries of {count} records on three nodes"));
        let in_round = (count * usize::from(PARTITIONS)) as u64;
        let with_peers = in_round * (NODES.len() - 1) as u64;
        let parts: [(&str, u64, Part); 5] = [
            ("all: a record", in_round, Spent::all),
            ("home, Raft and batch: a record", in_round, |spent| spent.decide),
            ("sender, stream: a record and peer", with_peers, |spent| spent.send),
            ("receiver, stream: a record", with_peers, |spent| spent.hear),
            ("receiver, Raft, batch and apply: a record", with_peers, |spent| spent.take),
        ];
        let mut world = World::new();
        world.check(count);
        for (name, records, part) in parts {
            group.throughput(Throughput::Elements(records));
            group.bench_function(name, |b| {
                b.iter_custom(|rounds| {
                    world.spent = Spent::default();
                    (0..rounds).for_each(|_| world.round(count));
                    part(world.spent)
                });
            });
        }
        group.finish();
    }
}

/// A home and its peers as groups alone: their messages are handed over as they are.
struct Three {
    groups: [Group; 3],
    disks: [Disk; 3],
}

impl Three {
    fn new() -> Self {
        let groups = NODES.map(|node| group(node, Partition(0)));
        let mut three = Self { groups, disks: NODES.map(Disk::new) };
        three.groups[0].campaign();
        three.settle();
        assert!(three.groups[0].can_decide());
        three
    }

    /// Until nobody has anything to write or to say; how long the home was at it.
    fn settle(&mut self) -> Duration {
        let mut at_home = Duration::ZERO;
        while self.groups.iter().any(Group::has_ready) {
            for place in 0..self.groups.len() {
                let (begun, mut messages) = (Stopwatch::now(), Vec::new());
                let (group, disk) = (&mut self.groups[place], &mut self.disks[place]);
                if let Some(end) = disk.write(|batch| _ = group.poll_append(batch)) {
                    group.handle_durable(end);
                }
                applied(group);
                messages.extend(core::iter::from_fn(|| group.poll_message()));
                at_home += if place == 0 { begun.elapsed() } else { Duration::ZERO };
                for message in messages {
                    let to = NODES.iter().position(|node| *node == message.to()).expect("a member");
                    let begun = Stopwatch::now();
                    self.groups[to].handle_message(message).expect("a member's message");
                    at_home += if to == 0 { begun.elapsed() } else { Duration::ZERO };
                }
            }
        }
        at_home
    }
}

fn raft(c: &mut Criterion) {
    let mut criterion_group = c.benchmark_group("Raft of three, an entry with its append");
    for count in [1, 64, 512] {
        let entry = records(Partition(0), WallMs(BEGIN_MS), 1, count);
        let mut three = Three::new();
        let mut round = |is_home: bool| {
            let begun = Stopwatch::now();
            three.groups[0].propose(entry.clone()).expect("a home decides");
            let proposed = begun.elapsed();
            let at_home = three.settle();
            assert_eq!(three.groups[0].told().1, three.groups[2].told().1, "all know what is committed");
            if is_home { proposed + at_home } else { begun.elapsed() }
        };
        for (name, is_home) in [("at the home", true), ("on all three", false)] {
            criterion_group.bench_function(format!("{count} records {name}"), |b| {
                b.iter_custom(|rounds| (0..rounds).map(|_| round(is_home)).sum());
            });
        }
    }
    criterion_group.finish();
}

criterion_group! {
    name = replication;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = stream, raft
}
criterion_main!(replication);
