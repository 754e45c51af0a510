//! Homes change: a partition is decided here, then elsewhere, then here again.
//!
//! ```text
//!   follower ── elected, an entry of its own term is committed ──▶ home
//!      ▲   applies what is committed         applies what it decides │ deposed: lets go, in one step
//!      └── holds nothing too much ◀── rebuilt ◀── holds too much ◀───┘
//! ```
//!
//! A home that was may hold what nobody will commit: records that were in no entry, or entries that the next home replaces. Then
//! its state is made anew from its snapshot and log ([`Rebuild`]), by the functions that a start uses.

use replication::{Group, Install, Installs, Message, Recovery, Unsteppable};
use wal::record::Doubted;
use wal::{Item, Lsn, Record};
use wire::id::{NodeId, Partition};
use wire::smpp::status::CommandStatus;
use wire::time::{Now, WallMs};

use super::cell::{Cell, Output};
use super::start::{RecoveryError, apply_records};
use super::{Phase, Shard};
use crate::api::{NotCancelled, Refusal, Reply, State, Why};
use crate::limits::UNWRITTEN_BYTES_MAX;
use crate::members::NotDone;
use crate::state::message::PartState;
use crate::state::{PartitionState, Retention};
use crate::wheel::Wheel;

/// A partition's state that is made anew. The shell hands it the partition's snapshot, then all items of the shard's log in
/// the order of a scan, and gives it back with [`Shard::handle_rebuilt`].
#[derive(Debug)]
pub struct Rebuild {
    partition: Partition,
    retention: Retention,
    state: PartitionState,
    recovery: Recovery,
    /// The members that the partition's group began with.
    founders: replication::Members,
    /// The index up to which it is made.
    through: u64,
    /// What lies before in the log is void.
    log_from: Lsn,
    number: u32,
}

impl Rebuild {
    /// Whose state it is.
    #[must_use]
    pub const fn partition(&self) -> Partition {
        self.partition
    }

    /// The partition's snapshot, whole, before the log.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn handle_snapshot(&mut self, bytes: &[u8]) -> Result<(), RecoveryError> {
        let (state, head) = PartitionState::restore(self.partition, self.retention, bytes)?;
        self.state = state;
        self.log_from = head.log_from;
        let founders = self.founders.clone();
        self.recovery = Recovery::behind(head.group, (head.term, head.index), founders).with_peers();
        Ok(())
    }

    /// One item of the log, with the place of its batch; those of other partitions are passed over.
    ///
    /// # Errors
    /// When the log is not this partition's, or cannot be read.
    pub fn handle_recovered(&mut self, lsn: Lsn, item: &Item<'_>) -> Result<(), RecoveryError> {
        if lsn < self.log_from {
            return Ok(());
        }
        match item {
            Item::Entry(entry) if entry.partition == self.partition => {
                self.recovery.handle_entry(entry)?;
            }
            Item::HardState(state) if state.partition == self.partition => {
                self.recovery.handle_hard_state(state)?;
            }
            _ => return Ok(()),
        }
        self.apply()
    }

    fn apply(&mut self) -> Result<(), RecoveryError> {
        while let Some((index, records)) = self.recovery.poll_committed(self.through) {
            apply_records(&mut self.state, index, wal::Records::new(&records))?;
        }
        Ok(())
    }
}

impl Shard {
    /// A message of the same group on another node. `true` when the group took it: Raft allows any to be lost.
    pub fn handle_peer(&mut self, now: Now, partition: Partition, message: Message) -> bool {
        let (owner, place) = self.owner_of(partition);
        let is_here = owner == self.config.id && place < self.cells.len();
        let is_deaf = matches!(self.phase, Phase::Recovering | Phase::LogFailed);
        if !is_here || is_deaf || self.cells[place].is_installing() {
            return false;
        }
        self.clock.read(now);
        let group = self.cells[place].group.as_mut().expect("the shard has been started");
        let taken = group.handle_message(message);
        self.counters.log_shortfalls += u64::from(matches!(taken, Err(Unsteppable::Forgotten { .. })));
        self.group_stepped(now, place);
        self.release();
        taken.is_ok()
    }

    /// The next message for the same group on another node: [`Message::to`] says which.
    pub fn poll_peer(&mut self) -> Option<(Partition, Message)> {
        if self.is_alone() {
            return None;
        }
        let count = self.cells.len();
        for _ in 0..count {
            let cell = &mut self.cells[self.next_peer];
            if let Some(message) = cell.group.as_mut().and_then(Group::poll_message) {
                return Some((cell.state.partition, message));
            }
            self.next_peer = (self.next_peer + 1) % count;
        }
        None
    }

    /// A message of a partition's group did not leave for a node, or what was on its way there is lost.
    pub fn handle_unreachable(&mut self, partition: Partition, node: NodeId) {
        let (owner, place) = self.owner_of(partition);
        if owner == self.config.id
            && let Some(group) = self.cells.get_mut(place).and_then(|cell| cell.group.as_mut())
        {
            group.report_unreachable(node);
        }
    }

    /// Whether more entries of other homes are welcome: not while a disk is slower than they come.
    #[must_use]
    pub fn has_room_for_entries(&self) -> bool {
        let groups = self.cells.iter().filter_map(|cell| cell.group.as_ref());
        groups.map(Group::unwritten_bytes).sum::<usize>() < UNWRITTEN_BYTES_MAX
    }

    /// Whether this shard decides for a partition, and in which term.
    #[must_use]
    pub fn decides_in(&self, partition: Partition) -> Option<u64> {
        let (owner, place) = self.owner_of(partition);
        let cell = self.cells.get(place).filter(|cell| owner == self.config.id && cell.decides)?;
        Some(cell.group().term())
    }

    /// A partition's group in words, for people.
    #[must_use]
    pub fn replica_of(&self, partition: Partition) -> String {
        let (_, place) = self.owner_of(partition);
        self.cells.get(place).map_or_else(String::new, Cell::words)
    }

    /// A group has taken a message or a tick, or is durable a little farther: who is home may have changed, and what is committed.
    pub(super) fn group_stepped(&mut self, now: Now, place: usize) {
        if self.cells[place].decides && !self.cells[place].group().is_home() {
            self.let_go(place);
        }
        if self.cells[place].take_commits() {
            self.tell_applied(place);
            if self.system_place() == Some(place) {
                self.refresh_members();
            }
        }
        self.take_home_if_elected(now, place);
    }

    /// Begins to decide for a partition as soon as its group allows it.
    fn take_home_if_elected(&mut self, now: Now, place: usize) {
        let cell = &mut self.cells[place];
        if !cell.may_take_home() {
            return;
        }
        cell.decides = true;
        cell.release_recovered();
        self.clock.not_before(cell.state.time);
        self.open_messages += cell.count_open();
        self.settle_tellers(place);
        let at = self.clock.read(now);
        self.cells[place].wheel = Wheel::new(at);
        let mut slots: Vec<_> = self.cells[place].state.messages.slots().collect();
        slots.sort_unstable_by_key(|&slot| self.cells[place].state.messages.at(slot).id);
        for slot in slots {
            self.take_over_message(at, place, slot);
        }
        self.cells[place].forget_kept();
        let accounts: Vec<_> =
            self.cells[place].state.fates.all().iter().map(|&(account, _)| account).collect();
        for account in accounts {
            self.tell_fates(account, place);
        }
    }

    fn take_over_message(&mut self, at: WallMs, place: usize, slot: u32) {
        let message = self.cells[place].state.messages.at(slot);
        if !message.is_final() {
            self.accounts.opened(message.account);
        }
        match message.state {
            State::Final(_) => {}
            // This process decided it, lost the partition, and never handed it to a link.
            State::Attempting if self.cells[place].was_kept(message.id, message.attempt) => {
                let (attempt, parts) = (message.attempt, message.parts.mask(PartState::InFlight));
                self.withdraw(at, place, slot, attempt, parts);
            }
            State::Attempting => {
                let wait = self.plan.class(message.class).doubt_wait;
                let doubted = Doubted {
                    id: message.id,
                    attempt: message.attempt,
                    parts: message.parts.mask(PartState::InFlight),
                    why: Why::ProcessLost as u8,
                    settle_at_ms: at.plus(wait).0,
                };
                self.cells[place].decide_on(slot, at, &Record::Doubted(doubted));
                self.counters.doubted += 1;
                self.after_change(at, place, slot);
            }
            State::Queued | State::Doubtful | State::Sent => self.after_change(at, place, slot),
        }
    }

    /// Another node is home now, or nobody: nothing is decided here any more, and nobody waits for it.
    pub(super) fn let_go(&mut self, place: usize) {
        self.counters.homes_lost += 1;
        let stamps = self.jitter.stamps();
        let cell = &mut self.cells[place];
        cell.decides = false;
        cell.is_counted = false;
        let open = cell.state.messages.slots().map(|slot| cell.state.messages.at(slot));
        for message in open.filter(|message| !message.is_final()) {
            self.open_messages -= 1;
            self.accounts.over(message.account);
        }
        // Links and queues know its messages by their stamps, and know them no more.
        cell.state.messages.stamp_anew(stamps);
        let outputs = cell.abandon();
        self.snapshots.give_up(place, cell);
        for output in outputs {
            self.answer_in_doubt(place, output);
        }
        self.settle_tellers(place);
        for carrier in 0..self.carriers.len() {
            self.deal_again(carrier);
        }
    }

    /// Whether it can commit nothing before another member has a state that it cannot give: then it is home no more, for a while.
    pub(super) fn give_up_if_stuck(&mut self, place: usize) {
        if !self.cells[place].is_stuck() {
            return;
        }
        if self.cells[place].decides {
            self.let_go(place);
        }
        self.cells[place].step_down();
    }

    /// A node that stops hands its partitions on, when its links have nothing under way any more.
    pub(super) fn hand_homes_on(&mut self) {
        if self.phase != Phase::Draining
            || self.segments_out > 0
            || !self.links.iter().all(super::Link::is_stopped)
        {
            return;
        }
        for place in 0..self.cells.len() {
            let Some(heir) = self.heir_of(place) else { continue };
            if self.cells[place].decides && !self.cells[place].has_pending() {
                self.let_go(place);
                self.cells[place].hand_on(heir);
            }
        }
    }

    /// What waited for a commit that may come, or not, under another home.
    fn answer_in_doubt(&mut self, place: usize, output: Output) {
        match output {
            Output::Answer { origin, .. } => self.refuse(origin, Refusal::HomeLost),
            Output::View { origin, account, id, .. } => {
                self.reply(origin, Reply::Message { origin, account, id, view: None });
            }
            Output::Cancelled { origin, id, .. } => {
                self.reply(origin, Reply::Cancelled { origin, id, outcome: Err(NotCancelled::Busy) });
            }
            Output::Transmit { shard, link, bind, slot, attempt, parts } => {
                self.cells[place].note_kept(slot.slot, attempt);
                self.transmit(place, (shard, link, bind), (slot, attempt, parts));
            }
            // The carrier says it again, and the next home knows it by then.
            Output::ReceiptTaken { from, .. } => self.receipt_taken(from, CommandStatus::ESME_RX_T_APPN),
            Output::Fate { .. } => {}
            Output::Done { origin, .. } => self.tell_done(origin, Err(NotDone::NoHome)),
        }
    }

    /// The state of a partition as its home had it, for this node, which is too far behind for entries. It takes the place of what is here, and
    /// when it is on disk the home is told. `true` when it is taken.
    ///
    /// # Errors
    /// When it cannot be read, or is not this cluster's.
    pub fn handle_install(&mut self, partition: Partition, install: Install) -> Result<bool, RecoveryError> {
        let place = self.own_cell(partition)?;
        let is_deaf = matches!(self.phase, Phase::Recovering | Phase::LogFailed);
        if is_deaf || self.cells[place].is_installing() {
            return Ok(false);
        }
        let group = self.cells[place].group.as_mut().expect("the shard has been started");
        if group.installs(&install) != Installs::Yes {
            return Ok(false);
        }
        let hard_state = group.hard_state_behind(&install);
        let (mut state, head) = PartitionState::restore(partition, self.retention(), &install.snapshot)?;
        self.is_ours(partition, &head, install.last)?;
        state.messages.stamp_anew(self.jitter.stamps());
        let members = self.plan.members_in(&head);
        let recovery = Recovery::behind(hard_state, install.last, members).with_peers();
        let group = Group::new(&self.group_config(place), recovery)?;
        self.snapshots.give_up(place, &mut self.cells[place]);
        self.cells[place].install(state, group, install);
        if self.system_place() == Some(place) {
            self.refresh_members();
        }
        Ok(true)
    }

    /// The next partition whose state is to be made anew from what is on disk.
    pub fn poll_rebuild(&mut self) -> Option<Rebuild> {
        let (retention, founders) = (self.retention(), self.plan.founding());
        self.cells.iter_mut().find_map(|cell| {
            let (through, number) = cell.begin_rebuild()?;
            let partition = cell.state.partition;
            let state = PartitionState::new(partition, retention);
            let recovery = Recovery::new(partition, founders.clone()).with_peers();
            let (founders, log_from) = (founders.clone(), Lsn::ZERO);
            Some(Rebuild { partition, retention, state, recovery, founders, through, log_from, number })
        })
    }

    /// A partition's state is made anew.
    ///
    /// # Errors
    /// When the log had less than was committed.
    pub fn handle_rebuilt(&mut self, now: Now, mut rebuild: Rebuild) -> Result<(), RecoveryError> {
        let (_, place) = self.owner_of(rebuild.partition);
        if !self.cells[place].is_under_work(rebuild.number) {
            return Ok(());
        }
        rebuild.recovery.commit_through(rebuild.through);
        rebuild.apply()?;
        rebuild.recovery.reaches(rebuild.through)?;
        rebuild.state.messages.stamp_anew(self.jitter.stamps());
        let cell = &mut self.cells[place];
        self.snapshots.give_up(place, cell);
        cell.end_rebuild(rebuild.state);
        self.counters.rebuilt += 1;
        self.group_stepped(now, place);
        // It has what was committed meanwhile, too.
        self.tell_applied(place);
        self.release();
        Ok(())
    }
}
