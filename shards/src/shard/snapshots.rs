//! Snapshots of the shard's partitions, one at a time, so that the log behind them can be released.
//!
//! ```text
//!   the log since the oldest need is long ──▶ begin (head at the last index) ──▶ piece, piece, … ──▶ end
//!                                                                  the shell writes, syncs and names the file
//!   log_needed_from() ◀── the partition needs only what came behind the beginning ◀── published ──┘
//! ```
//!
//! A snapshot is begun when all that was decided is sealed in a batch, so its index is that of the last entry. Its last
//! piece is given out only when that index is committed: a snapshot that exists never holds what could be truncated. The
//! partition whose need reaches farthest back comes next, so they come in turn, and the log stays within twice the size of
//! the state or what was configured, whichever is more. Pieces go out one to a group commit.

use replication::Install;
use wal::{Batch, Lsn};
use wire::id::{NodeId, Partition};

use super::{Phase, Shard, ShardConfig};
use crate::shard::cell::Cell;
use crate::state::capture::TakenAt;

/// A piece of a snapshot, to be written behind the one before it: whole blocks of 4096 bytes.
#[derive(Debug)]
pub struct SnapshotPiece {
    /// Whose snapshot.
    pub partition: Partition,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// It begins a file; what was written for another one that did not end is given up.
    pub is_first: bool,
    /// It ends the file, which is then synced and named, and [`Shard::handle_snapshot_published`] told.
    pub is_last: bool,
}

/// The snapshot that a shard takes.
#[derive(Debug)]
pub(super) struct Taking {
    place: usize,
    /// Term and index that it is taken at.
    last: (u64, u64),
    /// It is of another node's state, which is not installed before it is on disk.
    installs: bool,
    /// A member that needs it too, and what it has of it so far.
    copy: Option<(NodeId, Vec<u8>)>,
    bytes: u64,
    is_begun: bool,
    is_ended: bool,
}

/// What the shard knows of its snapshots.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    taking: Option<Taking>,
    /// Where the next batch goes, or the last one went.
    log_end: Lsn,
    /// No other one is begun before the log ends here: the last one failed.
    not_before: Lsn,
    /// A piece may go out with this group commit.
    may_step: bool,
}

impl Snapshots {
    /// The state of a partition is to change otherwise than by records: its snapshot is given up, unless it is whole.
    pub(super) fn give_up(&mut self, place: usize, cell: &mut Cell) {
        if self.taking.take_if(|taking| taking.place == place && !taking.is_ended).is_some() {
            cell.snapshot_given_up();
        }
    }
}

impl Shard {
    /// The next piece of a snapshot. The shell asks again when it has written this one.
    pub fn poll_snapshot(&mut self) -> Option<SnapshotPiece> {
        if !core::mem::take(&mut self.snapshots.may_step) {
            return None;
        }
        let taking = self.snapshots.taking.as_mut().filter(|taking| !taking.is_ended)?;
        let cell = &mut self.cells[taking.place];
        let piece = cell.state.take_piece();
        let is_last = piece.is_none() && cell.state.is_captured() && cell.is_committed(taking.last.1);
        let bytes = if is_last { cell.state.end_capture() } else { piece? };
        let is_first = !core::mem::replace(&mut taking.is_begun, true);
        taking.is_ended = is_last;
        taking.bytes += bytes.len() as u64;
        if let Some((_, copy)) = &mut taking.copy {
            copy.extend_from_slice(&bytes);
        }
        // A home that cannot commit yet may need that very member for it.
        if let Some((to, copy)) = taking.copy.take_if(|_| is_last && cell.group().is_home()) {
            let (from, term, last) = (self.plan.node, cell.group().term(), taking.last);
            let install = Install { from, to, term, last, snapshot: copy.into() };
            self.installs.push_back((cell.state.partition, install));
        }
        Some(SnapshotPiece { partition: cell.state.partition, bytes, is_first, is_last })
    }

    /// The snapshot whose last piece was given out is on disk under its name.
    ///
    /// # Panics
    /// When none was.
    pub fn handle_snapshot_published(&mut self) {
        let taking = self.snapshots.taking.take().expect("a snapshot was taken");
        assert!(taking.is_ended, "a snapshot is published after its last piece");
        self.cells[taking.place].snapshot_published(taking.bytes);
        if taking.installs {
            self.counters.installed += u64::from(self.cells[taking.place].installed());
            // Nothing may come behind it for long, and it has fates that nobody was told here.
            self.tell_applied(taking.place);
        }
        self.counters.snapshots += 1;
        self.counters.snapshot_bytes += taking.bytes;
    }

    /// The snapshot could not be written: it is given up, and tried again when the log has grown by a part of what makes
    /// one due.
    pub fn handle_snapshot_failed(&mut self) {
        let Some(taking) = self.snapshots.taking.take() else { return };
        self.cells[taking.place].snapshot_given_up();
        self.cells[taking.place].put_snapshot_off();
        self.snapshots.not_before = Lsn(self.snapshots.log_end.0 + self.config.snapshot_every_bytes / 8);
        self.counters.snapshots_failed += 1;
    }

    /// Nothing in the log before this place is needed to recover.
    #[must_use]
    pub fn log_needed_from(&self) -> Lsn {
        let needs = self.cells.iter().filter_map(|cell| cell.needed_from);
        needs.min().unwrap_or(self.snapshots.log_end)
    }

    /// Begins the snapshot of the partition that needs the oldest part of the log, when that is old enough. The batch has
    /// all that was decided.
    pub(super) fn begin_snapshot_if_due(&mut self, batch: &Batch) {
        let snapshots = &mut self.snapshots;
        snapshots.may_step = true;
        snapshots.log_end = batch.lsn();
        if snapshots.taking.is_some() || self.phase != Phase::Running {
            return;
        }
        // One that is wanted and cannot be begun yet holds up no other.
        let mut places = 0..self.cells.len();
        let is_begun =
            places.any(|place| self.cells[place].needs_snapshot() && self.begin_snapshot(place, batch));
        if !is_begun && let Some(place) = self.longest_due() {
            self.begin_snapshot(place, batch);
        }
    }

    /// Begins the snapshot of a partition; `false` when not all that was decided is sealed.
    fn begin_snapshot(&mut self, place: usize, batch: &Batch) -> bool {
        let cell = &mut self.cells[place];
        let last = cell.begin_snapshot(&self.config, self.plan.partitions.count(), batch.lsn());
        let Some(last) = last else { return false };
        let installs = cell.is_installing();
        let copy = cell.begin_sending(last.1).map(|member| (member, Vec::new()));
        self.snapshots.taking =
            Some(Taking { place, last, installs, copy, bytes: 0, is_begun: false, is_ended: false });
        true
    }

    /// The partition that needs the oldest part of the log, if that is old enough.
    fn longest_due(&self) -> Option<usize> {
        let needs =
            self.cells.iter().enumerate().filter_map(|(place, cell)| Some((cell.needed_from?, place)));
        let (oldest, place) = needs.min().filter(|_| self.snapshots.log_end >= self.snapshots.not_before)?;
        let state_bytes: u64 = self.cells.iter().map(|cell| cell.snapshot_bytes).sum();
        let every_bytes = self.config.snapshot_every_bytes.max(state_bytes);
        (self.snapshots.log_end.0 - oldest.0 >= every_bytes).then_some(place)
    }

    /// The next state for a member of a group that is too far behind for entries.
    pub fn poll_install(&mut self) -> Option<(Partition, Install)> {
        self.installs.pop_front()
    }
}

impl Cell {
    /// Begins a snapshot at the last index, if all that was decided is sealed; says at which, and in which term it was written.
    fn begin_snapshot(&mut self, config: &ShardConfig, partitions: u16, lsn: Lsn) -> Option<(u64, u64)> {
        let (term, index) = self.sealed_through()?;
        let group = self.group().hard_state();
        let node = self.group().node();
        let (cluster, piece_bytes) = (config.cluster, config.snapshot_piece_bytes);
        if self.is_installing() {
            self.log_from = lsn;
        }
        let log_from = self.log_from;
        let group_members = self.group().members_at(index);
        let taken_at =
            TakenAt { cluster, node, partitions, group, term, index, log_from, piece_bytes, group_members };
        self.state.begin_capture(taken_at);
        // A follower has not applied all that it wrote.
        self.needed_behind = if self.decides { None } else { self.first_unapplied() };
        Some((term, index))
    }

    fn snapshot_published(&mut self, bytes: u64) {
        self.needed_from = self.needed_behind;
        self.snapshot_bytes = bytes;
    }

    fn snapshot_given_up(&mut self) {
        self.state.give_up_capture();
    }

    /// Something of the partition lies at this place of the log.
    pub(super) fn note_written(&mut self, lsn: Lsn) {
        self.needed_from.get_or_insert(lsn);
        self.needed_behind.get_or_insert(lsn);
    }
}
