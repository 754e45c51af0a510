//! A cell as one member of its group among others: what it reads back, hears, loses, makes anew and takes from its home.

use bytes::Bytes;
use replication::{Group, Install, Recovered, Recovery};
use wal::{Item, Lsn};
use wire::id::{MessageId, NodeId};

use super::{Cell, Excess, Output};
use crate::api::State;
use crate::limits::{INSTALL_TICKS, SNAPSHOT_AGAIN_TICKS, STUCK_TICKS};
use crate::shard::start::{RecoveryError, apply_records};
use crate::state::PartitionState;
use crate::wheel::Wheel;

impl Cell {
    /// What it is up to as a member, for people.
    pub(in super::super) fn words(&self) -> String {
        let Self { group, excess, installing, sent_to, .. } = self;
        format!("{group:?}, excess {excess:?}, installing {installing:?}, sent to {sent_to:?}")
    }

    /// What recovery brought back and applied is what is known to be committed.
    pub(in super::super) fn adopt_commit(&mut self) {
        (_, self.committed) = self.group().told();
    }

    /// Takes note of what is committed, and applies what was not decided here. `true` when there was some.
    pub(in super::super) fn take_commits(&mut self) -> bool {
        let Self { group, state, .. } = self;
        let group = group.as_mut().expect("the shard has been started");
        while let Some(committed) = group.poll_committed() {
            assert!(committed.index > self.committed, "commits go forward");
            self.committed = committed.index;
        }
        if self.excess != Excess::None {
            return false;
        }
        let mut has_some = false;
        for (_, records) in group.unapplied() {
            has_some = true;
            for record in wal::Records::new(records) {
                let (at, record) = record.expect("records are looked through when they come");
                state.apply(at, &record);
            }
        }
        group.handle_applied();
        self.forget_unapplied(self.committed);
        has_some
    }

    /// A node that makes a majority by itself has committed all that it wrote; what was not applied yet is.
    pub(in super::super) fn commit_alone(
        &mut self,
        recovery: &mut Recovery,
        node: NodeId,
    ) -> Result<(), RecoveryError> {
        while recovery.has_peers() && recovery.commit_alone(node) {
            while let Some((index, records)) = recovery.poll_committed(u64::MAX) {
                apply_records(&mut self.state, index, wal::Records::new(&records))?;
            }
        }
        let (_, last) = recovery.last();
        if recovery.members().is_only(node) {
            self.forget_unapplied(last);
        }
        Ok(())
    }

    fn forget_unapplied(&mut self, applied: u64) {
        while self.unapplied.front().is_some_and(|&(last, _)| last <= applied) {
            self.unapplied.pop_front();
        }
    }

    /// Reads an item of the log back. A group of one voter has committed all that it wrote; of others, only what is known to be
    /// committed is applied: their home will say what counts of the rest.
    pub(in super::super) fn recover(&mut self, lsn: Lsn, item: &Item<'_>) -> Result<(), RecoveryError> {
        if lsn < self.log_from {
            return Ok(());
        }
        let recovery = self.recovery.as_mut().expect("a cell recovers until the start");
        let found = match item {
            Item::Entry(entry) => recovery.handle_entry(entry)?,
            Item::HardState(state) => recovery.handle_hard_state(state)?,
            Item::Start(_) => return Ok(()),
        };
        if found == Recovered::Known {
            return Ok(());
        }
        let mut applied = None;
        if !recovery.has_peers()
            && let Item::Entry(entry) = item
        {
            assert!(found == Recovered::Next, "a group of one voter never replaces an entry");
            apply_records(&mut self.state, entry.index, entry.records())?;
        }
        while let Some((index, records)) = recovery.poll_committed(u64::MAX) {
            apply_records(&mut self.state, index, wal::Records::new(&records))?;
            applied = Some(index);
        }
        if recovery.has_peers()
            && let Item::Entry(entry) = item
        {
            self.unapplied.push_back((entry.index, lsn));
        }
        self.note_written(lsn);
        self.forget_unapplied(applied.unwrap_or(0));
        Ok(())
    }

    /// Its open messages, if they are not counted yet; then they are.
    pub(in super::super) fn count_open(&mut self) -> usize {
        if core::mem::replace(&mut self.is_counted, true) { 0 } else { self.state.open_len() }
    }

    /// One tick of Raft's clock has passed.
    pub(in super::super) fn tick(&mut self) {
        self.put_off = self.put_off.saturating_sub(1);
        if self.installing.is_some() {
            return;
        }
        let group = self.group.as_mut().expect("the shard has been started");
        group.tick();
        let wanted_by = group.poll_snapshot_wanted();
        match &mut self.sent_to {
            Some((member, index, ticks)) if *ticks > 0 && !group.has_matched(*member, *index) => *ticks -= 1,
            Some(_) => {
                group.keep_behind(None);
                self.sent_to = None;
            }
            None => self.wanted_by = wanted_by.or(self.wanted_by).filter(|_| group.is_home()),
        }
        let has_excess =
            if self.decides { self.committed < group.last_index() } else { group.applied().is_none() };
        let waits = self.wanted_by.is_some() && self.committed > 0 && has_excess;
        let ticks = if waits && self.stuck.1 == self.committed { self.stuck.0 + 1 } else { 0 };
        self.stuck = (ticks, self.committed);
    }

    /// Whether it can neither commit what it has decided, since the member that would acknowledge it needs a state first, nor give that member a state,
    /// since what it has decided is in its own and not committed.
    pub(in super::super) const fn is_stuck(&self) -> bool {
        self.stuck.0 >= STUCK_TICKS
    }

    /// It gives the partition up, and makes its state anew up to what is committed, which it can give away when it is elected again.
    pub(in super::super) fn step_down(&mut self) {
        self.stuck = (0, self.committed);
        self.excess = Excess::Some;
        self.group.as_mut().expect("the shard has been started").step_down();
    }

    /// Whether its snapshot is to be taken now, whatever the log's length: it is another node's state, or another node needs it.
    pub(in super::super) const fn needs_snapshot(&self) -> bool {
        self.put_off == 0 && (self.installing.is_some() || self.wanted_by.is_some())
    }

    /// The snapshot could not be written: one that is wanted is tried again in a while.
    pub(in super::super) const fn put_snapshot_off(&mut self) {
        self.put_off = SNAPSHOT_AGAIN_TICKS;
    }

    /// The snapshot that is begun is for this member, too.
    pub(in super::super) fn begin_sending(&mut self, index: u64) -> Option<NodeId> {
        let member = self.wanted_by.take()?;
        self.group.as_mut().expect("the shard has been started").keep_behind(Some(index));
        self.sent_to = Some((member, index, INSTALL_TICKS));
        Some(member)
    }

    /// Whether a message is heard.
    pub(in super::super) const fn is_installing(&self) -> bool {
        self.installing.is_some()
    }

    /// Another node's state takes the place of this one's.
    pub(in super::super) fn install(&mut self, state: PartitionState, group: Group, install: Install) {
        assert!(!self.decides && self.pending.is_empty(), "a home has nothing installed");
        self.state = state;
        (_, self.committed) = group.told();
        self.group = Some(group);
        self.excess = Excess::None;
        self.unapplied.clear();
        self.kept.clear();
        self.installing = Some(Install { snapshot: Bytes::new(), ..install });
    }

    /// What was installed is on disk: the home may know.
    pub(in super::super) fn installed(&mut self) -> bool {
        let Some(install) = self.installing.take() else { return false };
        self.group.as_mut().expect("the shard has been started").say_matched(&install);
        true
    }

    /// Whether it decides, or another node does as far as is known.
    pub(in super::super) fn has_home(&self) -> bool {
        let elsewhere = |group: &Group| group.home().is_some_and(|home| home != group.node());
        let is_whole = self.excess == Excess::None && self.installing.is_none();
        is_whole && (self.decides || self.group.as_ref().is_some_and(elsewhere))
    }

    /// Whether its state is being made anew, or another node's takes its place.
    pub(in super::super) fn is_remade(&self) -> bool {
        self.excess != Excess::None || self.installing.is_some()
    }

    /// An attempt was decided here and not handed to a link: if the node is home again, nothing is in doubt.
    pub(in super::super) fn note_kept(&mut self, slot: u32, attempt: u16) {
        let message = self.state.messages.at(slot);
        if message.state == State::Attempting && message.attempt == attempt {
            self.kept.push((message.id, attempt));
        }
    }

    pub(in super::super) fn was_kept(&self, id: MessageId, attempt: u16) -> bool {
        self.kept.contains(&(id, attempt))
    }

    pub(in super::super) fn forget_kept(&mut self) {
        self.kept.clear();
    }

    pub(in super::super) fn hand_on(&mut self, heir: NodeId) {
        self.group.as_mut().expect("the shard has been started").hand_on(heir);
    }

    /// Whether something waits for a commit.
    pub(in super::super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether it is time to decide.
    pub(in super::super) fn may_take_home(&self) -> bool {
        !self.decides && self.excess == Excess::None && self.group.as_ref().is_some_and(Group::can_decide)
    }

    /// The node is not home any more: what was in no entry is dropped, and what waited for a commit is given back.
    pub(in super::super) fn abandon(&mut self) -> Vec<Output> {
        if !self.open.is_empty() || !self.full.is_empty() {
            self.open.clear();
            self.full.clear();
            self.full_bytes = 0;
            self.excess = Excess::Some;
        }
        // Who needs a state asks the next home for it.
        self.wanted_by = None;
        self.wants_change = None;
        self.handing.is_over();
        self.live.clear();
        self.released.clear();
        self.wheel = Wheel::new(self.state.time);
        self.pending.drain(..).map(|(_, output)| output).collect()
    }

    /// If the state is to be made anew: up to which index, and which time it is that it is to.
    pub(in super::super) fn begin_rebuild(&mut self) -> Option<(u64, u32)> {
        if self.excess != Excess::Some {
            return None;
        }
        self.excess = Excess::UnderWork;
        let group = self.group.as_mut().expect("the shard has been started");
        group.forget_applied();
        self.rebuilds += 1;
        Some((group.told().1, self.rebuilds))
    }

    /// Whether this is the time that its state is being made anew; another node's may have taken its place.
    pub(in super::super) fn is_under_work(&self, number: u32) -> bool {
        self.excess == Excess::UnderWork && self.rebuilds == number
    }

    /// The state is made anew, up to the index that [`Cell::begin_rebuild`] said.
    pub(in super::super) fn end_rebuild(&mut self, state: PartitionState) {
        assert!(self.excess == Excess::UnderWork && !self.decides, "a state is made anew when it is to be");
        self.state = state;
        self.excess = Excess::None;
    }
}
