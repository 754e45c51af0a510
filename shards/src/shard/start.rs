//! From a log to a shard that decides.
//!
//! The shell reads the snapshots, then scans the log and hands over each item; entries behind their partition's snapshot are
//! applied in their order. Then each partition's group
//! stands for election (a single voter at once), and when an entry of its own term is committed the node is home (`homes`): it queues what
//! waits, doubts the attempts of the process before it, and sets all timers.

use wal::snapshot::Head;
use wal::{Item, Lsn, Record};
use wire::id::{Partition, ShardId};
use wire::time::{Now, WallMs};

use replication::{Group, GroupConfig, GroupError, Recovery};

use super::cell::Cell;
use super::links::{Link, kinds_of};
use super::{Phase, Shard};
use crate::clock::RecordClock;
use crate::limits::{ELECTION_TICKS, ELECTION_TICKS_APART, HEARTBEAT_TICKS, MEMBERS_MAX, RAFT_TICK};
use crate::members;
use crate::plan::Plan;
use crate::state::capture::TakenAt;
use crate::state::restore::RestoreError;
use crate::state::{PartitionState, Retention};
use crate::wheel::Wheel;

/// Why a log cannot be this shard's.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// An entry of a partition that lives elsewhere.
    #[error(
        "the log holds partition {partition}, which belongs to another shard of {shards}: was the number of cores changed?",
        partition = .partition.0
    )]
    Partition {
        /// Whose entry it is.
        partition: Partition,
        /// How many shards the node has.
        shards: u16,
    },
    /// Entries do not follow each other.
    #[error(transparent)]
    Sequence(#[from] replication::RecoveryError),
    /// A record cannot be read.
    #[error("partition {partition}, entry {index}: {error}", partition = .partition.0)]
    Record {
        /// Whose entry it is.
        partition: Partition,
        /// The entry's index.
        index: u64,
        /// What is wrong.
        error: wal::RecordError,
    },
    /// A group cannot go on from its log.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// A snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] RestoreError),
    /// A snapshot is another cluster's.
    #[error(
        "the snapshot of partition {partition} belongs to another {what}: expected {expected}, found {found}",
        partition = .partition.0
    )]
    OtherSnapshot {
        /// Whose snapshot.
        partition: Partition,
        /// What differs.
        what: &'static str,
        /// What this node is or has.
        expected: String,
        /// What the snapshot says.
        found: String,
    },
}

impl Shard {
    pub(super) fn make_cells(&mut self) {
        let (plan, retention) = (&self.plan, self.retention());
        let system = plan.is_clustered.then(|| members::system(plan.partitions));
        let own = (0..plan.partitions.count()).map(Partition).chain(system);
        let own = own.filter(|&partition| ShardId::owner_of(partition, plan.shards) == self.config.id);
        let entry_bytes_max = self.config.records_bytes_max;
        let cell = |partition| {
            let recovery = recovery_of(plan, Recovery::new(partition, plan.founding()));
            Cell::new(partition, retention, recovery, entry_bytes_max)
        };
        self.cells = own.map(cell).collect();
        // The system partition comes last, and has no messages.
        let with_messages = self.cells.len() - usize::from(self.system_place().is_some());
        assert!(with_messages <= 1 << 9, "a link's token names a cell by nine bits");
    }

    pub(super) fn retention(&self) -> Retention {
        let plan = &self.plan;
        let per_cell = plan.finished_max.div_ceil(usize::from(plan.partitions.count()));
        Retention { finished_for: plan.retention, finished_max: per_cell.max(1) }
    }

    pub(super) fn make_links(&mut self) {
        for (place, carrier) in (0_u16..).zip(&self.plan.carriers) {
            let binds = 0..self.plan.binds_of(place, self.config.id);
            for of in binds.flat_map(|bind| kinds_of(&carrier.profile, self.config.id, bind)) {
                let id = super::LinkId(u16::try_from(self.links.len()).expect("few carriers with few binds"));
                let link = Link::new(place, &carrier.profile, of, wire::time::Instant(0));
                if link.submits() {
                    self.carriers[usize::from(place)].links.push(id);
                }
                self.links.push(link);
            }
        }
    }

    /// A partition's snapshot, whole. Snapshots come before the log.
    ///
    /// # Errors
    /// When it cannot be read, or is not this cluster's.
    pub fn handle_snapshot(&mut self, partition: Partition, bytes: &[u8]) -> Result<(), RecoveryError> {
        assert!(self.phase == Phase::Recovering, "snapshots are read back before the start");
        let place = self.own_cell(partition)?;
        let retention = self.retention();
        let (state, head) = PartitionState::restore(partition, retention, bytes)?;
        self.is_ours(partition, &head, (head.term, head.index))?;
        let recovery = Recovery::behind(head.group, (head.term, head.index), self.plan.members_in(&head));
        let cell = &mut self.cells[place];
        cell.state = state;
        cell.recovery = Some(recovery_of(&self.plan, recovery));
        cell.log_from = head.log_from;
        cell.snapshot_bytes = bytes.len() as u64;
        Ok(())
    }

    /// Whether a snapshot is this cluster's, and of this place in the partition's log.
    pub(super) fn is_ours(
        &self,
        partition: Partition,
        head: &Head,
        last: (u64, u64),
    ) -> Result<(), RecoveryError> {
        let other = |what, expected: &dyn ToString, found: &dyn ToString| {
            let (expected, found) = (expected.to_string(), found.to_string());
            Err(RecoveryError::OtherSnapshot { partition, what, expected, found })
        };
        if head.cluster != self.config.cluster {
            return other(
                "cluster",
                &format!("{:032x}", self.config.cluster),
                &format!("{:032x}", head.cluster),
            );
        }
        let partitions = self.plan.partitions.count();
        if head.partitions != partitions {
            return other("partition count", &partitions, &head.partitions);
        }
        if (head.term, head.index) != last {
            return other("place", &format!("{last:?}"), &format!("{:?}", (head.term, head.index)));
        }
        Ok(())
    }

    /// One item of the log, in the order of the scan, with the place of its batch.
    ///
    /// # Errors
    /// When the log is not this shard's, or cannot be read.
    pub fn handle_recovered(&mut self, lsn: Lsn, item: &Item<'_>) -> Result<(), RecoveryError> {
        assert!(self.phase == Phase::Recovering, "the log is read back before the start");
        let partition = match item {
            Item::Entry(entry) => entry.partition,
            Item::HardState(state) => state.partition,
            Item::Start(_) => return Ok(()),
        };
        let place = self.own_cell(partition)?;
        self.cells[place].recover(lsn, item)
    }

    pub(super) fn own_cell(&self, partition: Partition) -> Result<usize, RecoveryError> {
        let (owner, place) = self.owner_of(partition);
        let is_own = owner == self.config.id && place < self.cells.len();
        if is_own { Ok(place) } else { Err(RecoveryError::Partition { partition, shards: self.plan.shards }) }
    }

    /// The log was read back, and what was read is synced: the groups stand for election.
    ///
    /// # Errors
    /// When a group cannot go on from its log.
    pub fn handle_start(&mut self, now: Now) -> Result<(), RecoveryError> {
        assert!(self.phase == Phase::Recovering, "a shard starts once");
        let last = self.cells.iter().map(|cell| cell.state.time).max().unwrap_or_default();
        self.clock = RecordClock::start(now, last);
        let at = self.clock.read(now);
        for place in 0..self.cells.len() {
            let config = self.group_config(place);
            let cell = &mut self.cells[place];
            let founders = self.plan.founding();
            let recovery = cell.recovery.take();
            let mut recovery = recovery.unwrap_or_else(|| Recovery::new(cell.state.partition, founders));
            cell.commit_alone(&mut recovery, self.plan.node)?;
            let mut group = Group::new(&config, recovery)?;
            if group.is_alone() {
                group.campaign();
                self.open_messages += cell.count_open();
            }
            cell.group = Some(group);
            cell.adopt_commit();
            cell.wheel = Wheel::new(at);
        }
        self.next_tick = now.mono.plus(RAFT_TICK);
        self.phase = Phase::Running;
        self.refresh_members();
        Ok(())
    }

    pub(super) fn group_config(&self, place: usize) -> GroupConfig {
        GroupConfig {
            partition: self.cells[place].state.partition,
            node: self.plan.node,
            election_ticks: ELECTION_TICKS,
            rank_ticks_max: 2 * MEMBERS_MAX * ELECTION_TICKS_APART,
            heartbeat_ticks: HEARTBEAT_TICKS,
            records_bytes_max: self.config.records_bytes_max,
        }
    }

    /// Instead of a start: the snapshots of all partitions at their last entries, for logs of another number of shards.
    /// Those of which nothing is known have none.
    ///
    /// # Errors
    /// When a group could not go on from its log.
    pub fn export_snapshots(mut self) -> Result<Vec<(Partition, Vec<u8>)>, RecoveryError> {
        assert!(self.phase == Phase::Recovering, "a shard that runs takes snapshots by itself");
        let mut snapshots = Vec::new();
        for place in 0..self.cells.len() {
            let config = self.group_config(place);
            let cell = &mut self.cells[place];
            let Some(recovery) = cell.recovery.take() else { continue };
            let (term, index) = recovery.last();
            let group_members = recovery.members().clone();
            if index == 0 {
                continue;
            }
            let group = Group::new(&config, recovery)?.hard_state();
            let state = &mut cell.state;
            state.begin_capture(TakenAt {
                cluster: self.config.cluster,
                node: self.plan.node,
                partitions: self.plan.partitions.count(),
                group,
                term,
                index,
                log_from: Lsn::ZERO,
                piece_bytes: self.config.snapshot_piece_bytes,
                group_members,
            });
            let mut bytes = Vec::new();
            while !state.is_captured() {
                bytes.extend(state.take_piece().unwrap_or_default());
            }
            bytes.extend(state.end_capture());
            snapshots.push((state.partition, bytes));
        }
        Ok(snapshots)
    }
}

fn recovery_of(plan: &Plan, recovery: Recovery) -> Recovery {
    if plan.is_clustered { recovery.with_peers() } else { recovery }
}

/// Applies the records of an entry that was read back.
pub(super) fn apply_records<'a>(
    state: &mut PartitionState,
    index: u64,
    records: impl Iterator<Item = Result<(WallMs, Record<'a>), wal::RecordError>>,
) -> Result<(), RecoveryError> {
    let partition = state.partition;
    for record in records {
        let (at, record) = record.map_err(|error| RecoveryError::Record { partition, index, error })?;
        state.apply(at, &record);
    }
    Ok(())
}
