//! One partition's group on this node.
//!
//! What a shard does with it, once for each group commit:
//!
//! 1. [`Group::propose`]: what it decided for the partition becomes one entry. Whether it may is asked first
//!    ([`Group::can_decide`]); between that question and the proposal nothing steps the group, so a refusal by the
//!    library is our bug.
//! 2. [`Group::poll_append`]: the entries and the hard state go into the batch, in the log's own format.
//! 3. [`Group::handle_durable`] when the batch is synced, in order.
//! 4. [`Group::poll_committed`] until `None`: what rests on an entry may leave.
//!
//! The library's priorities stay 0 (with them a replica can refuse the only candidate that can win), and its election
//! jitter is taken out by a range of one tick, since it draws from a generator that is not ours.

mod membership;
mod peers;

use std::collections::VecDeque;

use bytes::Bytes;
use raft::eraftpb::{Entry, EntryType, Message, MessageType};
use raft::{RawNode, StateRole};
use wal::frame::{ENTRY_FRAME_BYTES, HARD_STATE_FRAME_BYTES};
use wal::{Batch, Lsn};
use wire::id::{NodeId, Partition};

use crate::config::{GroupConfig, GroupError, Restored};
use crate::frame::to_wal;
use crate::index::Index;
use crate::limits::{KEPT_BYTES_MAX, READIES_PENDING_MAX, TERM_MAX, UNCOMMITTED_BYTES_MAX};
use crate::members::Members;
use crate::message::Outbox;
use crate::recovery::Recovery;

/// Why nothing may be proposed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another node decides, or none.
    #[error("this node is not the partition's home")]
    NotHome,
    /// It is home, and no entry of its own term is committed yet, or leadership is being handed on.
    #[error("the partition's home does not decide yet")]
    NotYet,
    /// Too much waits for its commit.
    #[error("{uncommitted_bytes} bytes wait for their commit, more than {UNCOMMITTED_BYTES_MAX} may not")]
    Full {
        /// How much waits.
        uncommitted_bytes: usize,
    },
    /// The records are too many for one entry.
    #[error("{bytes} bytes of records in one entry, {bytes_max} are allowed")]
    Large {
        /// How many bytes were proposed.
        bytes: usize,
        /// How many may be.
        bytes_max: usize,
    },
}

/// The place of an entry that was proposed. What rests on it waits under both numbers, so that a home that was deposed
/// and elected again never confuses two entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proposed {
    /// The home's term.
    pub term: u64,
    /// The entry's index.
    pub index: u64,
}

/// Entries that are committed, and on this node's disk: all of this term, up to this index. What waits under (term,
/// index) is released by the first of these with the same term and an index no smaller; one with a larger term says
/// that it was truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The term of the last of them.
    pub term: u64,
    /// The index of the last of them.
    pub index: u64,
}

/// What [`Group::poll_append`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// There was nothing to write.
    Nothing,
    /// Frames were added to the batch.
    Written,
    /// The batch has too little room: ask again with the next one.
    NoRoom,
}

/// One partition's group on this node. One per partition, on the shard that owns it.
pub struct Group {
    partition: Partition,
    raw: RawNode<Index>,
    /// As of the last entry that was told as committed.
    members: Members,
    /// After how many ticks without a word from a home it stands for election.
    patience_ticks: usize,
    election_ticks: usize,
    rank_ticks_max: usize,
    records_bytes_max: usize,
    /// Bytes that were proposed and not sealed yet.
    unsealed_bytes: usize,
    /// The latest; its term and vote are on disk or in a batch.
    hard_state: wal::HardState,
    /// Its commit is newer, and was not worth a write.
    unwritten_commit: bool,
    /// Readies that wait for their sync: number and place.
    pending: VecDeque<(u64, Lsn)>,
    outbox: Outbox,
    /// The first index of entries that this node had applied as home, and that another home has replaced.
    overruled: Option<u64>,
    /// The last index that [`Group::poll_committed`] has told.
    told_index: u64,
    /// The last index that is applied here.
    applied_index: u64,
    /// The last index that the library has handed out as committed.
    handed_index: u64,
}

impl core::fmt::Debug for Group {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Group")
            .field("partition", &self.partition)
            .field("role", &self.raw.raft.state)
            .field("term", &self.term())
            .field("last_index", &self.last_index())
            .field("committed_index", &self.raw.raft.raft_log.committed)
            .field("told_index", &self.told_index)
            .field("members", &self.members)
            .field("lags", &self.lags().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Group {
    /// A group that goes on where the log ended.
    ///
    /// With one voter, all that was recovered is committed: it lies on the only disk that counts. The caller has synced
    /// that disk since the scan, and has applied every entry.
    ///
    /// # Errors
    /// When the configuration is not one that Raft can work with, or the log is not one of this group.
    pub fn new(config: &GroupConfig, recovery: Recovery) -> Result<Self, GroupError> {
        let partition = config.partition;
        assert_eq!(recovery.partition, partition, "what was recovered is of another partition");
        let members = recovery.members.clone();
        config.check(&members)?;
        let restored = Restored::from(recovery, config)?;
        let committed_index = restored.hard_state.commit;
        let mut index = Index::new(restored.hard_state, members.conf_state(), restored.before);
        index.append(&restored.held);
        let silent = slog::Logger::root(slog::Discard, slog::o!());
        let raw = RawNode::new(&config.raft(committed_index), index, &silent)
            .map_err(|error| GroupError::Config { partition, what: error.to_string() })?;
        Ok(Self {
            partition,
            raw,
            members,
            patience_ticks: config.election_ticks,
            election_ticks: config.election_ticks,
            rank_ticks_max: config.rank_ticks_max,
            records_bytes_max: config.records_bytes_max,
            unsealed_bytes: 0,
            hard_state: restored.written,
            unwritten_commit: false,
            pending: VecDeque::new(),
            outbox: Outbox::default(),
            overruled: None,
            told_index: committed_index,
            applied_index: committed_index,
            handed_index: committed_index,
        })
    }

    /// Whose group it is.
    #[must_use]
    pub const fn partition(&self) -> Partition {
        self.partition
    }

    /// The latest hard state; its term and vote are on disk or in a batch. A snapshot begins with it.
    #[must_use]
    pub const fn hard_state(&self) -> wal::HardState {
        self.hard_state
    }

    /// Term and index of the last entry, once it is in a batch and all before it.
    #[must_use]
    pub fn sealed_through(&self) -> Option<(u64, u64)> {
        let log = &self.raw.raft.raft_log;
        log.unstable_entries().is_empty().then(|| (log.last_term(), log.last_index()))
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        NodeId(u32::try_from(self.raw.raft.id).expect("made from a node's number"))
    }

    /// The latest term that this node has seen.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.raw.raft.term
    }

    /// Whether this node leads. It may not decide yet: [`Group::can_decide`].
    #[must_use]
    pub fn is_home(&self) -> bool {
        self.raw.raft.state == StateRole::Leader
    }

    /// The node that leads in this term, as far as this one knows.
    #[must_use]
    pub fn home(&self) -> Option<NodeId> {
        u32::try_from(self.raw.raft.leader_id).ok().filter(|&id| id != 0).map(NodeId)
    }

    /// The index of the last entry, written or not.
    #[must_use]
    pub fn last_index(&self) -> u64 {
        self.raw.raft.raft_log.last_index()
    }

    /// The index that the next proposal takes.
    #[must_use]
    pub fn next_index(&self) -> u64 {
        self.last_index() + 1
    }

    /// Whether this node may decide: it leads, an entry of its own term is committed and told (so that all of the terms
    /// before are settled), all that was told is applied, and leadership is not being handed on.
    #[must_use]
    pub fn can_decide(&self) -> bool {
        self.is_home()
            && self.raw.raft.lead_transferee.is_none()
            && self.applied_index >= self.told_index
            && self.raw.store().term_of(self.told_index) == Some(self.term())
    }

    /// Whether this node is the group's only member: it is home when it says so ([`Group::campaign`]).
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.members.is_only(self.node())
    }

    /// Stands for election now, without waiting for a time-out. A single voter has won when this returns.
    pub fn campaign(&mut self) {
        assert!(self.raw.raft.term < TERM_MAX, "a message id carries no term beyond {TERM_MAX}");
        // It fails only for a node that is no member, which `new` has refused.
        self.raw.campaign().expect("a voter may campaign");
    }

    /// One tick of Raft's clock has passed.
    pub fn tick(&mut self) {
        self.keep_patience();
        self.raw.tick();
    }

    /// Makes one entry of a run of whole records ([`wal::Record::encode`]). The home has applied them already. Nothing
    /// is copied.
    ///
    /// # Errors
    /// When this node may not decide, or too much waits. Nothing has happened then.
    pub fn propose(&mut self, records: Bytes) -> Result<Proposed, Refused> {
        self.may_propose(records.len())?;
        self.unsealed_bytes += records.len();
        Ok(self.propose_entry(Entry { data: records, ..Entry::default() }))
    }

    /// Makes an entry the next one, when all that could stand against it was asked.
    fn propose_entry(&mut self, entry: Entry) -> Proposed {
        let place = Proposed { term: self.term(), index: self.next_index() };
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.raw.raft.id;
        message.set_entries(vec![entry].into());
        self.raw.raft.step(message).expect("all that the library refuses was asked before");
        assert_eq!(self.last_index(), place.index, "a proposal is the next entry");
        // The home applies when it appends.
        self.applied_index = place.index;
        place
    }

    /// Whether [`Group::propose`] would take this many bytes of records now.
    ///
    /// # Errors
    /// Says why not.
    pub fn may_propose(&self, records_bytes: usize) -> Result<(), Refused> {
        if !self.is_home() {
            return Err(Refused::NotHome);
        }
        if !self.can_decide() {
            return Err(Refused::NotYet);
        }
        if records_bytes > self.records_bytes_max {
            return Err(Refused::Large { bytes: records_bytes, bytes_max: self.records_bytes_max });
        }
        let uncommitted_bytes = self.raw.raft.uncommitted_size();
        // What was proposed and not sealed goes into one batch; more would not fit.
        let unsealed_bytes = self.unsealed_bytes + records_bytes;
        if uncommitted_bytes + records_bytes > UNCOMMITTED_BYTES_MAX
            || unsealed_bytes > self.records_bytes_max
        {
            return Err(Refused::Full { uncommitted_bytes });
        }
        Ok(())
    }

    /// Whether [`Group::poll_append`] has anything to do, be it only to take note of a commit.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.raw.has_ready()
    }

    /// Puts what is new into the batch: entries, and the hard state with them.
    ///
    /// # Panics
    /// When the batch was not begun.
    pub fn poll_append(&mut self, batch: &mut Batch) -> Appended {
        if !self.raw.has_ready() {
            return Appended::Nothing;
        }
        let unstable = self.raw.raft.raft_log.unstable_entries();
        if frames_bytes(unstable) + HARD_STATE_FRAME_BYTES > batch.room_bytes() {
            return Appended::NoRoom;
        }
        assert!(self.pending.len() < READIES_PENDING_MAX, "readies wait for a sync that does not come");
        let mut ready = self.raw.ready();
        assert!(ready.snapshot().get_metadata().index == 0, "nobody sends snapshots yet");
        let wrote = self.write(&ready, batch);
        if let Some(entry) = ready.committed_entries().last() {
            self.handed_index = entry.index;
        }
        let number = ready.number();
        self.outbox.send(ready.take_messages());
        self.outbox.hold(number, ready.take_persisted_messages());
        self.raw.advance_append_async(ready);
        self.unsealed_bytes = 0;
        self.persists_with(number, if wrote { Some(batch.lsn()) } else { None });
        self.drop_applied();
        if wrote { Appended::Written } else { Appended::Nothing }
    }

    /// Writes entries and hard state of a ready; `false` when there was nothing to write.
    ///
    /// The hard state comes behind the entries: its commit may cover some of them, and recovery must know which of the
    /// entries before them could still be replaced.
    fn write(&mut self, ready: &raft::Ready, batch: &mut Batch) -> bool {
        for entry in ready.entries() {
            batch.push_entry(&to_wal(self.partition, entry));
        }
        self.note_overruled(ready.entries());
        self.raw.mut_store().append(ready.entries());
        let mut must_write = false;
        if let Some(state) = ready.hs() {
            let (term, vote, commit) = (state.term, state.vote, state.commit);
            assert!(
                commit >= self.hard_state.commit && term >= self.hard_state.term,
                "a hard state goes forward"
            );
            must_write = (term, vote) != (self.hard_state.term, self.hard_state.vote);
            self.unwritten_commit |= commit != self.hard_state.commit;
            self.hard_state = wal::HardState { partition: self.partition, term, vote, commit };
        }
        // A commit alone is not worth a write: it can be found again. With entries it costs nothing, and tells
        // recovery what it need not hold in memory.
        if must_write || (self.unwritten_commit && !ready.entries().is_empty()) {
            batch.push_hard_state(&self.hard_state);
            self.unwritten_commit = false;
        }
        must_write || !ready.entries().is_empty()
    }

    /// A ready is persisted when the batch at `lsn` is; one without bytes when all before it are.
    fn persists_with(&mut self, number: u64, lsn: Option<Lsn>) {
        match (lsn, self.pending.back_mut()) {
            (Some(lsn), _) => self.pending.push_back((number, lsn)),
            (None, Some(last)) => last.0 = number,
            (None, None) => self.persisted(number),
        }
    }

    /// The log is durable up to `lsn`: every byte before it ([`wal::Write::end`]).
    pub fn handle_durable(&mut self, lsn: Lsn) {
        let mut durable = None;
        while let Some(&(number, batch)) = self.pending.front() {
            if batch >= lsn {
                break;
            }
            durable = Some(number);
            self.pending.pop_front();
        }
        if let Some(number) = durable {
            self.persisted(number);
        }
    }

    /// The ready of this number is persisted, and all before it.
    fn persisted(&mut self, number: u64) {
        self.raw.on_persist_ready(number);
        self.outbox.release(number);
    }

    /// What is newly committed and on this disk, one term at a time; call until `None`.
    pub fn poll_committed(&mut self) -> Option<Committed> {
        let log = &self.raw.raft.raft_log;
        let high = log.committed.min(log.persisted);
        if high <= self.told_index {
            return None;
        }
        let low = self.told_index + 1;
        let index = log.store().last_of_term(low, high);
        let term = log.store().term_of(index).expect("what was not told is still held");
        assert!(index >= low, "told entries go forward");
        self.told_index = index;
        self.follow_changes(low..=index);
        Some(Committed { term, index })
    }

    /// The records of committed entries that this node has not applied: a follower's, and those of the terms before a
    /// new home's. Entries that were proposed here are applied already.
    pub fn unapplied(&self) -> impl Iterator<Item = (u64, &Bytes)> {
        let store = self.raw.store();
        (self.applied_index + 1..=self.told_index).filter_map(move |index| {
            let entry = store.held(index)?;
            (entry.get_entry_type() == EntryType::EntryNormal).then_some((index, &entry.data))
        })
    }

    /// The records of the entries that this node has and has not applied, whatever becomes of them.
    pub fn tail(&self) -> impl Iterator<Item = &Bytes> {
        let held =
            (self.applied_index + 1..=self.last_index()).filter_map(|index| self.raw.store().held(index));
        held.filter(|entry| entry.get_entry_type() == EntryType::EntryNormal).map(|entry| &entry.data)
    }

    /// The last index that [`Group::poll_committed`] has told, and its term.
    #[must_use]
    pub fn told(&self) -> (u64, u64) {
        let term =
            self.raw.store().term_of(self.told_index).expect("what was told last is held, or right before");
        (term, self.told_index)
    }

    /// Term and index of the last entry that is applied; `None` when some are that may still be replaced, or none is.
    #[must_use]
    pub fn applied(&self) -> Option<(u64, u64)> {
        (self.applied_index == self.told_index && self.told_index > 0).then(|| self.told())
    }

    /// What is applied beyond what was told is to be forgotten: the state is made anew up to there ([`Group::told`]).
    pub fn forget_applied(&mut self) {
        self.applied_index = self.told_index;
    }

    /// All that [`Group::poll_committed`] has told is applied.
    pub fn handle_applied(&mut self) {
        self.applied_index = self.applied_index.max(self.told_index);
        // A change of members that counts as not applied keeps a member from standing for election.
        self.drop_applied();
    }

    /// Drops from memory what nobody will ask for again.
    fn drop_applied(&mut self) {
        let applied = self.applied_index.min(self.told_index).min(self.handed_index);
        if applied > self.raw.raft.raft_log.applied {
            self.raw.advance_apply_to(applied);
        }
        // Alone, nobody asks. Else what a peer may still ask for is kept, not down to what it has matched: the library
        // steps back behind that when a late refusal comes.
        let kept_bytes_max = if self.is_alone() { 0 } else { KEPT_BYTES_MAX };
        self.raw.mut_store().drop_beyond(kept_bytes_max, applied);
    }
}

/// What entries take in a batch.
fn frames_bytes(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| ENTRY_FRAME_BYTES + entry.data.len() + entry.context.len()).sum()
}

#[cfg(test)]
mod tests;
