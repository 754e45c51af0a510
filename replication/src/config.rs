//! What a group is made with: its configuration, and what the log said.

use raft::Config;
use raft::eraftpb::{Entry, HardState};
use wire::id::{NodeId, Partition};

use crate::limits::{
    COMMITTED_BYTES_PER_READY_MAX, MESSAGE_BYTES_MAX, MESSAGES_IN_FLIGHT_MAX, TERM_MAX,
    UNCOMMITTED_BYTES_MAX, VOTERS_MAX,
};
use crate::members::Members;
use crate::recovery::Recovery;

/// What a group is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// Whose group.
    pub partition: Partition,
    /// This node. Raft numbers its members from 1, so the number 0 is refused.
    pub node: NodeId,
    /// Ticks without a word from the home before this node stands for election, at least; its rank is added
    /// ([`crate::Group::set_rank`]). More than a round trip.
    pub election_ticks: usize,
    /// The most ticks that a rank adds.
    pub rank_ticks_max: usize,
    /// Ticks between two heartbeats of a home.
    pub heartbeat_ticks: usize,
    /// The most bytes of records in an entry ([`wal::Layout::records_bytes_max`]).
    pub records_bytes_max: usize,
}

/// Why a group cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The configuration is not one that Raft can work with.
    #[error("partition {partition}: {what}", partition = .partition.0)]
    Config {
        /// Whose group.
        partition: Partition,
        /// What is wrong.
        what: String,
    },
    /// What was recovered is not what this group can have written.
    #[error("partition {partition}: the log has entries of term {entries}, and a hard state of term {hard_state}", partition = .partition.0)]
    Term {
        /// Whose group.
        partition: Partition,
        /// The term of the last entry.
        entries: u64,
        /// The term that the node remembers.
        hard_state: u64,
    },
    /// The log ends before what is known to be committed. A disk lost something that was synced.
    #[error("partition {partition}: entry {commit} is known to be committed, and the log ends with entry {last}", partition = .partition.0)]
    Short {
        /// Whose group.
        partition: Partition,
        /// The last index that is known to be committed.
        commit: u64,
        /// The last index that the log has.
        last: u64,
    },
    /// All terms that a message id can carry are used up.
    #[error("partition {partition}: term {term} is the last that a message id can carry", partition = .partition.0)]
    Terms {
        /// Whose group.
        partition: Partition,
        /// The term.
        term: u64,
    },
}

impl GroupConfig {
    /// The library's configuration, for a group that has applied all up to `applied_index`.
    pub(crate) fn raft(&self, applied_index: u64) -> Config {
        Config {
            id: raft_id(self.node),
            election_tick: self.election_ticks,
            // The library draws a time-out from this range with a generator that is not ours; before it counts, it is replaced.
            min_election_tick: self.election_ticks,
            max_election_tick: self.election_ticks + self.rank_ticks_max + 1,
            heartbeat_tick: self.heartbeat_ticks,
            applied: applied_index,
            max_size_per_msg: self.message_bytes_max(),
            max_inflight_msgs: MESSAGES_IN_FLIGHT_MAX,
            max_uncommitted_size: UNCOMMITTED_BYTES_MAX as u64,
            max_committed_size_per_ready: COMMITTED_BYTES_PER_READY_MAX,
            check_quorum: true,
            pre_vote: true,
            // With priorities a replica can refuse the only candidate that can win.
            priority: 0,
            ..Config::default()
        }
    }

    /// The most bytes of entries in one message, as the library counts them. It counts at least four for an entry, and
    /// one takes up to 16 times that in a batch: what comes in one message fits into one batch.
    fn message_bytes_max(&self) -> u64 {
        MESSAGE_BYTES_MAX.min(self.records_bytes_max as u64 / 16)
    }

    /// Whether Raft can work with it, and with these members.
    pub(crate) fn check(&self, members: &Members) -> Result<(), GroupError> {
        let fail = |what: &str| Err(GroupError::Config { partition: self.partition, what: what.to_owned() });
        if self.node.0 == 0 || members.contains(NodeId(0)) {
            return fail("node numbers begin at 1");
        }
        if members.voters.is_empty() {
            return fail("expected somebody who votes");
        }
        if members.voters.len() > VOTERS_MAX {
            return fail("too many voters");
        }
        if self.heartbeat_ticks == 0 || self.election_ticks <= self.heartbeat_ticks {
            return fail("expected more ticks to an election than to a heartbeat, and at least one to that");
        }
        Ok(())
    }
}

/// What Raft starts from.
pub(crate) struct Restored {
    pub(crate) hard_state: HardState,
    pub(crate) written: wal::HardState,
    /// Term and index of the entry before those that are held.
    pub(crate) before: (u64, u64),
    pub(crate) held: Vec<Entry>,
}

impl Restored {
    pub(crate) fn from(recovery: Recovery, config: &GroupConfig) -> Result<Self, GroupError> {
        let partition = config.partition;
        let (last_term, last_index) = recovery.last();
        let written = recovery.hard_state;
        if last_term > written.term {
            return Err(GroupError::Term { partition, entries: last_term, hard_state: written.term });
        }
        // What is left of the log reaches to its end: if it has any entry of the snapshot, it has the last one.
        if recovery.known_index != 0 && recovery.known_index < recovery.snapshot_index {
            let (commit, last) = (recovery.snapshot_index, recovery.known_index);
            return Err(GroupError::Short { partition, commit, last });
        }
        if written.commit > last_index {
            return Err(GroupError::Short { partition, commit: written.commit, last: last_index });
        }
        if written.term >= TERM_MAX {
            return Err(GroupError::Terms { partition, term: written.term });
        }
        let hard_state =
            |commit| HardState { term: written.term, vote: written.vote, commit, ..HardState::default() };
        if recovery.members.is_only(config.node) {
            let before = (last_term, last_index);
            return Ok(Self { hard_state: hard_state(last_index), written, before, held: Vec::new() });
        }
        let before = recovery.before;
        Ok(Self { hard_state: hard_state(written.commit), written, before, held: recovery.held.into() })
    }
}

pub(crate) fn raft_id(node: NodeId) -> u64 {
    u64::from(node.0)
}
