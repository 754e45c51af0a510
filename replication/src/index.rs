//! Raft's storage: an index over the recent entries of one group.
//!
//! The log itself is the storage. This holds the entries that the library may still ask for: those that are not yet
//! committed and applied here, shown before they are synced (what rests on the sync is told by `on_persist_ready`). Older
//! ones are dropped; only the term of the last dropped one is kept, which Raft needs to match logs (Raft §7).

use std::cell::Cell;
use std::collections::VecDeque;

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Storage, StorageError};

use crate::limits::PINNED_BYTES_MAX;

/// The recent entries of one group. One per group.
#[derive(Debug)]
pub(crate) struct Index {
    hard_state: HardState,
    members: ConfState,
    /// Term and index of the entry before the first that is held.
    before: (u64, u64),
    entries: VecDeque<Entry>,
    /// What they take in memory.
    held_bytes: usize,
    /// A member asked for entries that were dropped.
    wanted_by: Cell<Option<u64>>,
    /// Entries behind this index are kept, whatever they take: a member gets a snapshot that ends here.
    pinned: Option<u64>,
}

impl Index {
    /// An index that holds nothing, behind the entry (term, index) `before`.
    pub(crate) fn new(hard_state: HardState, members: ConfState, before: (u64, u64)) -> Self {
        assert!(hard_state.commit >= before.1, "what is dropped was committed");
        Self {
            hard_state,
            members,
            before,
            entries: VecDeque::new(),
            held_bytes: 0,
            wanted_by: Cell::new(None),
            pinned: None,
        }
    }

    /// A change of members has taken effect.
    pub(crate) fn set_members(&mut self, members: ConfState) {
        self.members = members;
    }

    pub(crate) fn first_index(&self) -> u64 {
        self.before.1 + 1
    }

    pub(crate) fn last_index(&self) -> u64 {
        self.before.1 + self.entries.len() as u64
    }

    /// Adds entries behind the last, or over a tail that another home has replaced.
    pub(crate) fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        assert!(first.index >= self.first_index(), "entry {} was dropped already", first.index);
        assert!(first.index <= self.last_index() + 1, "entry {} leaves a gap", first.index);
        let kept = self.place(first.index);
        let overruled: usize = self.entries.drain(kept..).map(|entry| entry_bytes(&entry)).sum();
        self.entries.extend(entries.iter().cloned());
        if self.held_bytes > PINNED_BYTES_MAX {
            self.pinned = None;
        }
        self.held_bytes += entries.iter().map(entry_bytes).sum::<usize>();
        self.held_bytes -= overruled;
        let last = entries.last().map(|entry| entry.index);
        assert_eq!(last, Some(self.last_index()), "entries come in order");
    }

    /// Drops the oldest entries up to `index`: all of them, or while more than `kept_bytes_max` are held.
    pub(crate) fn drop_beyond(&mut self, kept_bytes_max: usize, index: u64) {
        let index = self.pinned.map_or(index, |pinned| index.min(pinned));
        while let Some(entry) = self.entries.front() {
            if entry.index > index || (kept_bytes_max > 0 && self.held_bytes <= kept_bytes_max) {
                break;
            }
            self.before = (entry.term, entry.index);
            self.held_bytes -= entry_bytes(entry);
            self.entries.pop_front();
        }
    }

    /// The member that asked last for entries that were dropped.
    pub(crate) fn take_wanted(&self) -> Option<u64> {
        self.wanted_by.take()
    }

    /// Keeps what is behind an index, until it is said otherwise or too much.
    pub(crate) fn pin(&mut self, index: Option<u64>) {
        self.pinned = index;
    }

    /// The term of an entry that is held, or of the one before them.
    pub(crate) fn term_of(&self, index: u64) -> Option<u64> {
        if index == self.before.1 {
            return Some(self.before.0);
        }
        self.held(index).map(|entry| entry.term)
    }

    /// An entry, if it is held.
    pub(crate) fn held(&self, index: u64) -> Option<&Entry> {
        if index < self.first_index() { None } else { self.entries.get(self.place(index)) }
    }

    /// The last index up to `high` that has the term of entry `low`.
    pub(crate) fn last_of_term(&self, low: u64, high: u64) -> u64 {
        let Some(term) = self.term_of(low) else { return high };
        if self.term_of(high) == Some(term) {
            return high;
        }
        let (from, to) = (self.place(low), self.place(high));
        let same = self.entries.range(from..to).take_while(|entry| entry.term == term).count();
        low + same as u64 - 1
    }

    fn place(&self, index: u64) -> usize {
        usize::try_from(index - self.first_index()).unwrap_or(usize::MAX)
    }
}

/// What an entry takes in memory.
fn entry_bytes(entry: &Entry) -> usize {
    size_of::<Entry>() + entry.data.len() + entry.context.len()
}

impl Storage for Index {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.members.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low < self.first_index() {
            return Err(Error::Store(StorageError::Compacted));
        }
        assert!(high <= self.last_index() + 1, "entries up to {high} of {}", self.last_index());
        let max_bytes = max_size.into().unwrap_or(u64::MAX);
        let (mut bytes, mut taken) = (0_u64, Vec::with_capacity(self.place(high) - self.place(low)));
        for entry in self.entries.range(self.place(low)..self.place(high)) {
            bytes += entry.data.len() as u64;
            // The library asks for at least one, however large.
            if bytes > max_bytes && !taken.is_empty() {
                break;
            }
            taken.push(entry.clone());
        }
        Ok(taken)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index < self.before.1 {
            return Err(Error::Store(StorageError::Compacted));
        }
        self.term_of(index).ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(Self::first_index(self))
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(Self::last_index(self))
    }

    fn snapshot(&self, _: u64, to: u64) -> raft::Result<Snapshot> {
        // Snapshots take their own way, beside the library: a member that got one says so as if it had got the entries.
        self.wanted_by.set(Some(to));
        Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(term: u64, index: u64) -> Entry {
        Entry { term, index, ..Entry::default() }
    }

    fn index_of(terms: &[u64]) -> Index {
        let mut index = Index::new(HardState::default(), ConfState::default(), (0, 0));
        for (place, &term) in terms.iter().enumerate() {
            index.append(&[entry(term, place as u64 + 1)]);
        }
        index
    }

    #[test]
    fn a_tail_that_another_home_replaced_is_gone() {
        let mut index = index_of(&[1, 1, 1, 1]);
        index.append(&[entry(2, 3)]);
        assert_eq!((index.last_index(), index.term_of(3), index.term_of(2)), (3, Some(2), Some(1)));
    }

    #[test]
    fn the_term_at_the_boundary_is_kept() {
        let mut index = index_of(&[1, 2, 2, 3]);
        index.drop_beyond(0, 3);
        assert_eq!((Index::first_index(&index), Index::last_index(&index)), (4, 4));
        assert_eq!(index.term(3), Ok(2));
        assert_eq!(index.term(2), Err(Error::Store(StorageError::Compacted)));
        assert_eq!(index.term(5), Err(Error::Store(StorageError::Unavailable)));
        index.drop_beyond(0, 9);
        assert_eq!((index.last_index(), index.term(4)), (4, Ok(3)));
    }

    #[test]
    fn runs_of_one_term_are_found() {
        let index = index_of(&[1, 2, 2, 3]);
        let runs: Vec<u64> = [1, 2, 3, 4].iter().map(|&low| index.last_of_term(low, 4)).collect();
        assert_eq!(runs, [1, 3, 3, 4]);
        assert_eq!(index.last_of_term(2, 2), 2);
    }
}
