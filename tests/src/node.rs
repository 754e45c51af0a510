//! A node under test: cores with the production machines, their inboxes, and the disks that outlive them.

use std::collections::VecDeque;
use std::sync::Arc;

use replication::stream::{Hello, LineId, Peers};
use shards::api::Origin;
use shards::plan::Plan;
use shards::{Cross, LinkId, Rebuild, Shard};
use wal::{Batch, Log, Lsn, Start};
use wire::id::{Partition, ShardId};
use wire::time::{Instant, Now, WallMs};

use crate::disk::Disk;
use crate::event::Request;
use crate::recover::{self, Snapshots};
use crate::swarm::MS;

/// The wall time at which every world begins.
const EPOCH_MS: u64 = 1_795_402_975_120;

/// The clock of a machine: how fast it is, and how wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Thousandths by which it is fast.
    pub(crate) drift: i64,
    /// By how much the wall clock is set wrong.
    pub(crate) offset_ms: i64,
}

impl Clock {
    pub(crate) fn read(self, virtual_ns: u64) -> Now {
        let mono = i128::from(virtual_ns) * i128::from(1000 + self.drift) / 1000;
        let mono = u64::try_from(mono).expect("a world is short");
        let wall = (EPOCH_MS + mono / MS).saturating_add_signed(self.offset_ms);
        Now { mono: Instant(mono), wall: WallMs(wall) }
    }

    /// The first virtual time at which the monotonic clock shows this.
    pub(crate) fn virtual_of(self, mono: Instant) -> u64 {
        let speed = u128::try_from(1000 + self.drift).expect("a clock goes forward");
        u64::try_from((u128::from(mono.0) * 1000).div_ceil(speed)).unwrap_or(u64::MAX)
    }
}

/// A core of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seat {
    pub(crate) node: usize,
    pub(crate) core: usize,
}

impl Seat {
    pub(crate) fn shard(self) -> ShardId {
        ShardId(u16::try_from(self.core).expect("few cores"))
    }
}

/// What waits for a core's next turn.
#[derive(Debug)]
pub(crate) enum Input {
    Request {
        origin: Origin,
        account: usize,
        request: Request,
    },
    Connected(LinkId),
    ConnectFailed(LinkId),
    Received(LinkId, usize, Vec<u8>),
    Written(LinkId, u64),
    Closed(LinkId),
    Crossed(ShardId, Cross),
    /// Another node has called: the end of a wire.
    Called(usize, usize),
    /// A line to another node is there.
    Lined(LineId),
    /// Bytes came on it.
    Heard(LineId, Vec<u8>),
    /// It is gone.
    LineClosed(LineId),
    Rebuilt(Box<Rebuild>),
    Durable(Lsn),
    Prepared(u64),
    /// A piece of a snapshot, and whether the whole has its name now.
    SnapshotWritten(bool),
    SnapshotFailed,
    Plan(Arc<Plan>),
    Drain,
}

/// One core of a running process.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) brain: Shard,
    /// How many the node has.
    pub(crate) shards: u16,
    pub(crate) log: Log,
    pub(crate) batch: Batch,
    pub(crate) start: Option<Start>,
    pub(crate) in_flight: bool,
    pub(crate) preparing: bool,
    /// There was no room for the next segment.
    pub(crate) no_room: bool,
    pub(crate) snapshotting: bool,
    pub(crate) inbox: VecDeque<Input>,
    pub(crate) turn_at: Option<u64>,
    pub(crate) paused_until: u64,
    /// Its connections to other nodes.
    pub(crate) peers: Peers,
    /// The connection of each link.
    pub(crate) conns: Vec<Option<usize>>,
    /// Turns without progress of time.
    pub(crate) spins: u32,
    pub(crate) last_turn: u64,
}

impl Core {
    /// Whether its state is what its disk holds.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.in_flight && self.start.is_none() && !self.brain.has_something_to_write()
    }
}

/// Whether a node belongs to the cluster, as its operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has not come yet.
    Absent,
    There,
    /// Its disks were lost, and empty ones took their place. Nobody is to believe it.
    Lost,
    /// It was removed.
    Gone,
}

/// A node: a machine with disks, and at times a process on it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) plan: Arc<Plan>,
    pub(crate) standing: Standing,
    /// The number of its data directory.
    pub(crate) directory: u64,
    /// Disks that were lost, for the judge alone.
    pub(crate) lost: Vec<Disk>,
    pub(crate) snapshots: Snapshots,
    pub(crate) life: u32,
    /// When its process ended last.
    pub(crate) down_since: u64,
    pub(crate) clock: Clock,
    pub(crate) disks: Vec<Disk>,
    /// Empty while no process runs.
    pub(crate) cores: Vec<Core>,
    pub(crate) draining: bool,
    /// Of each shard, its state's digests when its process ended, if that was all on disk.
    pub(crate) left: Vec<Option<Vec<u64>>>,
}

impl Node {
    pub(crate) fn new(plan: Arc<Plan>, snapshots: Snapshots, drift: i64) -> Self {
        let shards = usize::from(plan.shards);
        Self {
            standing: Standing::There,
            directory: u64::from(plan.node.0) << 32 | 1,
            lost: Vec::new(),
            plan,
            snapshots,
            life: 0,
            down_since: 0,
            clock: Clock { drift, offset_ms: 0 },
            disks: (0..shards).map(|_| Disk::default()).collect(),
            cores: Vec::new(),
            draining: false,
            left: vec![None; shards],
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        !self.cores.is_empty()
    }

    /// Reads every log back and starts every shard; says what an operator would be told.
    pub(crate) fn start(&mut self, now: u64, seed: u64) -> Result<(), String> {
        assert!(!self.is_up(), "one process at a time");
        let now = self.clock.read(now);
        self.life += 1;
        let life = u64::from(self.life);
        let mut cores = Vec::new();
        for (shard, disk) in (0_u16..).map(ShardId).zip(&mut self.disks) {
            let config = recover::log_config(&self.plan, shard);
            let seed = crate::dice::mix(seed ^ life << 8 ^ u64::from(shard.0));
            let mut brain =
                recover::new_shard(&self.plan, shard, (now.wall.0, self.directory), self.snapshots, seed);
            let tail = recover::replay(disk, config, &mut brain)?;
            if let Some(left) = self.left[usize::from(shard.0)].take()
                && left != brain.state_digests()
            {
                return Err(format!("[10] shard {} recovered another state than it left", shard.0));
            }
            let mut log =
                tail.as_ref().map_or_else(|| Log::create(config, seed), |tail| Log::resume(config, tail));
            disk.durable = tail.as_ref().map_or(Lsn::ZERO, |tail| tail.lsn);
            if tail.is_none() {
                let first = log.wanted_segment().ok_or("a new log wants a segment")?;
                disk.prepare(first, &log.segment_header(first), config.layout.segment_bytes(), false);
                disk.prepared();
                log.handle_prepared(first);
            }
            let carriers = (0_u16..).take(self.plan.carriers.len());
            let links: u16 = carriers.map(|carrier| self.plan.links_of(carrier, shard)).sum();
            let hello = Hello {
                cluster: config.identity.cluster,
                node: self.plan.node,
                shard,
                shards: self.plan.shards,
                partitions: self.plan.partitions,
                process: now.wall.0,
                directory: self.directory,
            };
            cores.push(Core {
                brain,
                shards: self.plan.shards,
                peers: Peers::new(hello, &self.plan.founding().voters),
                log,
                batch: Batch::new(),
                start: Some(Start { node: self.plan.node, shard, process: now.wall.0, wall: now.wall }),
                in_flight: false,
                preparing: false,
                no_room: false,
                snapshotting: false,
                inbox: VecDeque::new(),
                turn_at: None,
                paused_until: 0,
                conns: vec![None; usize::from(links)],
                spins: 0,
                last_turn: 0,
            });
        }
        for core in &mut cores {
            core.brain.handle_start(now).map_err(|error| error.to_string())?;
        }
        self.cores = cores;
        self.draining = false;
        Ok(())
    }

    /// Its disks are lost, and empty ones take their place.
    pub(crate) fn lose_disks(&mut self) {
        assert!(!self.is_up(), "a running process has its disks");
        let empty = self.disks.iter().map(|_| Disk::default()).collect();
        self.lost = std::mem::replace(&mut self.disks, empty);
        self.left.fill(None);
        self.directory += 1;
        self.standing = Standing::Lost;
    }

    /// The core on which a partition lives.
    pub(crate) fn core_of(&self, partition: Partition) -> usize {
        usize::from(ShardId::owner_of(partition, self.plan.shards).0)
    }

    /// Up to where a partition's log is durable, as its disk said.
    pub(crate) fn durable(&self, partition: Partition) -> Lsn {
        // What was lost with its disk was there when it counted.
        let disks = if self.lost.is_empty() { &self.disks } else { &self.lost };
        disks[self.core_of(partition)].durable
    }
}
