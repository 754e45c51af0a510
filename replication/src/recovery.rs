//! One group as a scan of the log finds it.
//!
//! The scan hands over hard states and entries in the order in which they were written. An entry may replace a tail that
//! an earlier home wrote and another one overruled, so what counts is known only at the end.

use std::collections::VecDeque;

use bytes::Bytes;
use raft::eraftpb::{self, EntryType};
use wire::id::{NodeId, Partition};

use crate::frame::from_wal;
use crate::limits::KEPT_BYTES_MAX;
use crate::members::{Change, Members};

/// What an entry of the log means for the state that is being rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// The snapshot that recovery began with has it already.
    Known,
    /// It is new; an entry follows the last one: apply its records.
    Next,
    /// It replaces entries from this index on, which another home overruled: the partition's state is to be rebuilt
    /// without them. A group of one voter never does this.
    Replaces(u64),
}

/// Why a log is not one that this group can have written. All of these are damage that no checksum saw, or our bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// Entries are missing.
    #[error("partition {partition}: expected entry {expected}, found entry {found}: those between are missing", partition = .partition.0)]
    Gap {
        /// Whose group.
        partition: Partition,
        /// The index that should come next.
        expected: u64,
        /// The index that came.
        found: u64,
    },
    /// A change of members that means nothing here.
    #[error("partition {partition}, entry {index}: a change of members that means nothing here", partition = .partition.0)]
    Change {
        /// Whose group.
        partition: Partition,
        /// The entry.
        index: u64,
    },
    /// Something went backwards that never does.
    #[error("partition {partition}: {what} went back from {before} to {found}", partition = .partition.0)]
    Backwards {
        /// Whose group.
        partition: Partition,
        /// What.
        what: &'static str,
        /// What it was.
        before: u64,
        /// What it became.
        found: u64,
    },
}

/// What a scan has found of one group so far. Start with [`Recovery::new`], hand it every item of its partition, then
/// give it to [`crate::Group::new`].
#[derive(Clone, Debug)]
pub struct Recovery {
    pub(crate) partition: Partition,
    pub(crate) hard_state: wal::HardState,
    /// The members as of the last entry that is known to be committed.
    pub(crate) members: Members,
    /// Term and index of the entry before those that are held.
    pub(crate) before: (u64, u64),
    /// The last entries: all that are not known to be committed, and what is kept for peers.
    pub(crate) held: VecDeque<eraftpb::Entry>,
    held_bytes: usize,
    /// How many bytes of committed entries are held.
    kept_bytes_max: usize,
    /// The last index that [`Recovery::poll_committed`] gave; with no peers, nobody asks.
    given_index: Option<u64>,
    /// The index of the snapshot that recovery began with; 0 is none.
    pub(crate) snapshot_index: u64,
    /// The term of the entry at that index.
    snapshot_term: u64,
    /// The last entry of the log that the snapshot has too; 0 is none.
    pub(crate) known_index: u64,
}

impl Recovery {
    /// A group of which nothing has been found, with the members that it began with.
    #[must_use]
    pub const fn new(partition: Partition, founders: Members) -> Self {
        Self::behind(wal::HardState { partition, term: 0, vote: 0, commit: 0 }, (0, 0), founders)
    }

    /// A group whose state is known up to the entry of a term and index, from a snapshot, with the hard state and the members of that
    /// moment. A log may still hold entries before it.
    #[must_use]
    pub const fn behind(state: wal::HardState, last: (u64, u64), members: Members) -> Self {
        let partition = state.partition;
        let (term, index) = last;
        let hard_state = wal::HardState { commit: index, ..state };
        let before = (term, index);
        let held = VecDeque::new();
        Self {
            partition,
            hard_state,
            members,
            before,
            held,
            held_bytes: 0,
            kept_bytes_max: 0,
            given_index: None,
            snapshot_index: index,
            snapshot_term: term,
            known_index: 0,
        }
    }

    /// For a group with peers: what it has at the end of its log may be replaced by another home, so only what
    /// [`Recovery::poll_committed`] gives is to be applied; and the latest committed entries are held too, for peers that lag.
    #[must_use]
    pub const fn with_peers(mut self) -> Self {
        self.kept_bytes_max = KEPT_BYTES_MAX;
        self.given_index = Some(self.snapshot_index);
        self
    }

    /// Whether it was made for a group with peers.
    #[must_use]
    pub const fn has_peers(&self) -> bool {
        self.given_index.is_some()
    }

    /// The index and records of the next entry that is known to be committed, up to `through`; call after each item until `None`.
    pub fn poll_committed(&mut self, through: u64) -> Option<(u64, Bytes)> {
        loop {
            let next = self.given_index? + 1;
            if next > self.committed_index().min(through) {
                return None;
            }
            let first = self.held.front()?.index;
            let entry = &self.held[usize::try_from(next - first).expect("an index of what is held")];
            self.given_index = Some(next);
            if entry.get_entry_type() == EntryType::EntryNormal {
                return Some((next, entry.data.clone()));
            }
            if let Some(next) = Change::of_entry(entry).and_then(|change| self.members.after(change)) {
                self.members = next;
            }
        }
    }

    /// All up to this index is known to be committed, by whoever asks for it: the group has told it.
    pub fn commit_through(&mut self, index: u64) {
        self.hard_state.commit = self.hard_state.commit.max(index);
    }

    /// Whether this node makes a majority by itself and the next entry is not known to be committed: then it is now. A change of members
    /// takes effect with [`Recovery::poll_committed`], so call both until neither has any.
    pub fn commit_alone(&mut self, node: NodeId) -> bool {
        let next = self.committed_index() + 1;
        let is_next = self.members.is_only(node) && next <= self.last().1;
        if is_next {
            self.commit_through(next);
        }
        is_next
    }

    /// The members as of the last entry that was given out.
    #[must_use]
    pub const fn members(&self) -> &Members {
        &self.members
    }

    /// Whether the log has all up to an index that is known to be committed.
    ///
    /// # Errors
    /// When it does not.
    pub fn reaches(&self, index: u64) -> Result<(), RecoveryError> {
        let (partition, (_, last)) = (self.partition, self.last());
        if last < index {
            return Err(RecoveryError::Gap { partition, expected: index, found: last });
        }
        Ok(())
    }

    /// The last entry's term and index.
    #[must_use]
    pub fn last(&self) -> (u64, u64) {
        self.held.back().map_or(self.before, |entry| (entry.term, entry.index))
    }

    /// A hard state of this partition: [`Recovered::Known`] when the snapshot says the same.
    ///
    /// # Errors
    /// When term or commit go backwards.
    pub fn handle_hard_state(&mut self, state: &wal::HardState) -> Result<Recovered, RecoveryError> {
        assert_eq!(state.partition, self.partition, "an item of another partition");
        let partition = self.partition;
        let back = |what, before, found| Err(RecoveryError::Backwards { partition, what, before, found });
        if state.commit <= self.snapshot_index {
            // Written before the snapshot was taken, or behind it with a vote that counts.
            let known = (self.hard_state.term, self.hard_state.vote);
            if (state.term, state.vote) <= known {
                return Ok(Recovered::Known);
            }
            (self.hard_state.term, self.hard_state.vote) = (state.term, state.vote);
            return Ok(Recovered::Next);
        }
        if state.term < self.hard_state.term {
            return back("the term", self.hard_state.term, state.term);
        }
        if state.commit < self.hard_state.commit {
            return back("the commit", self.hard_state.commit, state.commit);
        }
        self.hard_state = *state;
        Ok(Recovered::Next)
    }

    /// An entry of this partition. Its bytes are held only until it is known to be committed.
    ///
    /// # Errors
    /// When entries are missing before it, or it replaces a committed one.
    pub fn handle_entry(&mut self, entry: &wal::Entry<'_>) -> Result<Recovered, RecoveryError> {
        assert_eq!(entry.partition, self.partition, "an item of another partition");
        let partition = self.partition;
        if entry.index <= self.snapshot_index {
            self.known_index = entry.index;
            return Ok(Recovered::Known);
        }
        if entry.term < self.snapshot_term {
            // It was replaced before the snapshot was taken, by an entry of its term.
            return Ok(Recovered::Known);
        }
        let (_, last_index) = self.last();
        if entry.index > last_index + 1 {
            return Err(RecoveryError::Gap { partition, expected: last_index + 1, found: entry.index });
        }
        let back = |what, before, found| Err(RecoveryError::Backwards { partition, what, before, found });
        if entry.index <= self.committed_index() {
            return back("a committed entry", self.committed_index(), entry.index);
        }
        while self.held.back().is_some_and(|held| held.index >= entry.index) {
            self.held_bytes -= self.held.pop_back().map_or(0, |held| held.data.len());
        }
        let (term_before, _) = self.last();
        if entry.term < term_before {
            return back("a term", term_before, entry.term);
        }
        let read = from_wal(entry, Bytes::copy_from_slice(entry.payload));
        let read = read.ok_or(RecoveryError::Change { partition, index: entry.index })?;
        if let Some(next) = Change::of_entry(&read).and_then(|change| self.members.after(change))
            && !self.has_peers()
        {
            self.members = next;
        }
        self.held_bytes += read.data.len();
        self.held.push_back(read);
        self.settle();
        assert_eq!(self.last(), (entry.term, entry.index), "the entry is the last one now");
        Ok(if entry.index == last_index + 1 { Recovered::Next } else { Recovered::Replaces(entry.index) })
    }

    /// The last index that is known to be committed and was found.
    pub(crate) fn committed_index(&self) -> u64 {
        self.hard_state.commit.min(self.last().1)
    }

    /// Forgets entries that are known to be committed: Raft needs only the last one's place.
    fn settle(&mut self) {
        let committed_index = self.committed_index();
        while let Some(first) = self.held.front() {
            let is_surplus = self.kept_bytes_max == 0 || self.held_bytes > self.kept_bytes_max;
            let is_given = self.given_index.is_none_or(|given| first.index <= given);
            if first.index > committed_index || !is_surplus || !is_given {
                break;
            }
            self.before = (first.term, first.index);
            self.held_bytes -= first.data.len();
            self.held.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: Partition = Partition(3);

    fn entry(term: u64, index: u64) -> wal::Entry<'static> {
        wal::Entry::of_records(PARTITION, term, index, &[]).unwrap()
    }

    fn state(term: u64, commit: u64) -> wal::HardState {
        wal::HardState { partition: PARTITION, term, vote: 1, commit }
    }

    #[test]
    fn a_replaced_tail_is_noticed_and_a_gap_is_refused() {
        let mut recovery = Recovery::new(PARTITION, Members::default());
        recovery.handle_hard_state(&state(1, 0)).unwrap();
        for index in 1..=3 {
            assert_eq!(recovery.handle_entry(&entry(1, index)), Ok(Recovered::Next));
        }
        recovery.handle_hard_state(&state(2, 1)).unwrap();
        assert_eq!(recovery.handle_entry(&entry(2, 2)), Ok(Recovered::Replaces(2)));
        assert_eq!(recovery.last(), (2, 2));
        let gap = RecoveryError::Gap { partition: PARTITION, expected: 3, found: 4 };
        assert_eq!(recovery.handle_entry(&entry(2, 4)), Err(gap));
        assert!(recovery.handle_entry(&entry(2, 1)).is_err(), "a committed entry is never replaced");
        assert!(recovery.handle_hard_state(&state(1, 1)).is_err(), "a term never goes back");
    }

    #[test]
    fn an_entry_may_be_replaced_by_one_of_an_earlier_term() {
        // The home of term 2 wrote its first entry and fell; the one of term 3 had not seen it, and fills its own log,
        // which still ends in term 1, up on this node. Its commit covers what it just sent.
        let mut recovery = Recovery::new(PARTITION, Members::default());
        recovery.handle_entry(&entry(1, 1)).unwrap();
        recovery.handle_entry(&entry(2, 2)).unwrap();
        recovery.handle_hard_state(&state(2, 1)).unwrap();
        assert_eq!(recovery.handle_entry(&entry(1, 2)), Ok(Recovered::Replaces(2)));
        assert_eq!(recovery.handle_entry(&entry(3, 3)), Ok(Recovered::Next));
        recovery.handle_hard_state(&state(3, 3)).unwrap();
        assert_eq!((recovery.last(), recovery.committed_index()), ((3, 3), 3));
    }

    #[test]
    fn committed_entries_are_not_held() {
        let mut recovery = Recovery::new(PARTITION, Members::default());
        for index in 1..=100 {
            recovery.handle_hard_state(&state(1, index - 1)).unwrap();
            recovery.handle_entry(&entry(1, index)).unwrap();
            assert!(recovery.held.len() <= 2);
        }
        assert_eq!((recovery.before, recovery.last()), ((1, 99), (1, 100)));
    }

    #[test]
    fn a_log_may_begin_before_its_snapshot_and_not_behind_it() {
        let mut recovery = Recovery::behind(state(4, 40), (4, 40), Members::default());
        recovery.handle_hard_state(&state(3, 38)).unwrap();
        assert_eq!(recovery.handle_entry(&entry(3, 39)), Ok(Recovered::Known));
        assert_eq!(recovery.handle_entry(&entry(4, 40)), Ok(Recovered::Known));
        assert_eq!(recovery.last(), (4, 40));
        assert_eq!(recovery.handle_entry(&entry(5, 41)), Ok(Recovered::Next));
        assert_eq!(recovery.last(), (5, 41));
        recovery.handle_hard_state(&wal::HardState { vote: 2, ..state(6, 40) }).unwrap();
        recovery.handle_hard_state(&state(3, 39)).unwrap();
        let kept = wal::HardState { partition: PARTITION, term: 6, vote: 2, commit: 40 };
        assert_eq!(recovery.hard_state, kept, "a vote that was cast behind the snapshot counts");
        let gap = RecoveryError::Gap { partition: PARTITION, expected: 1, found: 2 };
        assert_eq!(Recovery::new(PARTITION, Members::default()).handle_entry(&entry(1, 2)), Err(gap));
    }
}
