//! The cluster's members as a shard knows them: what the system partition decides about them, and how each partition follows.
//!
//! ```text
//!   operator ─▶ Act ─▶ the system partition's home ─▶ a row, committed ─▶ every shard's table
//!                                                                              │ each tick, at each home
//!                             leave · learn · vote, one entry at a time  ◀─────┤
//!                             hand on to who is to be home               ◀─────┘
//! ```

use std::collections::BTreeSet;

use replication::Change;
use replication::stream::Known;
use wire::id::NodeId;
use wire::time::Now;

use super::across::Asker;
use super::cell::{Cell, Output, QueuedIn};
use super::cross::Cross;
use super::{Phase, Shard};
use crate::across::Question;
use crate::api::{Origin, Reply, State};
use crate::limits::{ELECTION_TICKS_APART, HAND_ON_TICKS, HAND_ON_TRIES, PREFERRED_TICKS};
use crate::members::{self, Act, Member, Members, NotDone, Standing};

/// How a home comes to hand its partition on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Handing {
    /// For so many ticks another node was to be home, and could.
    wanted_ticks: u32,
    /// To whom, and for how many ticks more its attempts are waited for.
    under_way: Option<(NodeId, u32)>,
    /// How often that was given up.
    tries: u32,
}

impl Handing {
    /// Whether the partition takes no submissions, and nothing of it goes out.
    pub(crate) const fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    pub(crate) const fn is_over(&mut self) {
        *self = Self { wanted_ticks: 0, under_way: None, tries: 0 };
    }
}

impl Cell {
    /// Whether it decides on what it is asked: not while it hands the partition on.
    pub(crate) const fn takes_questions(&self) -> bool {
        self.decides && !self.handing.is_under_way()
    }

    /// What the log says about data directories beyond what is known to be committed. It may come to nothing; but after a restart, when little is known
    /// to be committed, a disk that was lost must not be taken for one that was never seen.
    fn overlay_directories(&self, members: &mut Members) {
        let tail = self.group.iter().flat_map(replication::Group::tail);
        for (_, record) in tail.flat_map(|records| wal::Records::new(records).flatten()) {
            if let wal::Record::Member(row) = record
                && let Some(member) = members.find(row.node).filter(|member| member.directory == 0)
            {
                members.set(Member { directory: row.directory, ..member.clone() });
            }
        }
    }

    /// Whether an attempt's outcome is awaited.
    fn has_attempts(&self) -> bool {
        let mut slots = self.state.messages.slots();
        slots.any(|slot| self.state.messages.at(slot).state == State::Attempting)
    }
}

impl Shard {
    /// The place of the system partition, if it is this shard's.
    pub(super) fn system_place(&self) -> Option<usize> {
        let system = members::system(self.plan.partitions);
        let (owner, place) = self.owner_of(system);
        (self.plan.is_clustered && owner == self.config.id && place < self.cells.len()).then_some(place)
    }

    /// The cluster's members for the stream, if they have changed since this was asked last.
    pub fn poll_members(&mut self) -> Option<Vec<Known>> {
        let known = |member: &Member| Known {
            node: member.node,
            directory: member.directory,
            is_removed: member.standing == Standing::Removed && !self.lingering.contains(&member.node),
        };
        core::mem::take(&mut self.has_other_members).then(|| self.members.rows().iter().map(known).collect())
    }

    /// Which shard it is.
    #[must_use]
    pub const fn id(&self) -> wire::id::ShardId {
        self.config.id
    }

    /// The members of each partition's group, as far as this shard knows, with whether it is the system partition.
    pub fn groups(&self) -> impl Iterator<Item = (&replication::Members, bool)> {
        let system = self.system_place();
        let groups = self.cells.iter().enumerate();
        groups.filter_map(move |(place, cell)| Some((cell.group.as_ref()?.members(), system == Some(place))))
    }

    /// The cluster's members, as far as this shard knows.
    #[must_use]
    pub const fn members(&self) -> &Members {
        &self.members
    }

    /// Nodes that were removed and are still in a group of this shard: they are heard until they have left, since their votes may be needed for that.
    fn lingering(&self) -> BTreeSet<NodeId> {
        let groups = || self.cells.iter().filter_map(|cell| cell.group.as_ref());
        let is_there = |node| groups().any(|group| group.members().contains(node));
        let rows = self.members.rows().iter().filter(|row| row.standing == Standing::Removed);
        rows.map(|row| row.node).filter(|&node| is_there(node)).collect()
    }

    /// A tick has passed: whoever has left the last group is spoken to no more.
    pub(super) fn tend_lingering(&mut self) {
        let lingering = self.lingering();
        self.has_other_members |= lingering != self.lingering;
        self.lingering = lingering;
    }

    /// The table of the system partition may have changed: all shards are to know it.
    pub(super) fn refresh_members(&mut self) {
        let Some(place) = self.system_place() else { return };
        let mut members = self.cells[place].state.members.over(&self.plan.founders);
        self.cells[place].overlay_directories(&mut members);
        members.heed(&self.members);
        if members == self.members {
            return;
        }
        for shard in (0..self.plan.shards).map(wire::id::ShardId).filter(|&shard| shard != self.config.id) {
            self.crosses.push_back((shard, Cross::Members(Box::new(members.clone()))));
        }
        self.take_members(members);
    }

    pub(super) fn take_members(&mut self, members: Members) {
        if self.members != members {
            self.has_other_members = true;
            self.members = members;
            self.say_members();
        }
        self.tend_lingering();
    }

    /// Another node has said whom it knows. Who was removed hears of it in no other way when it has missed it, and who is new finds the others.
    pub(super) fn hear_members(&mut self, records: &[u8]) {
        let Some(heard) = Members::from_records(records) else { return self.counters.words_unread += 1 };
        let mut members = self.members.clone();
        members.heed(&heard);
        self.take_members(members);
    }

    /// An operator has decided something about the members. The reply comes from [`Shard::poll_reply`] of the shard that `origin` names.
    pub fn handle_act(&mut self, now: Now, origin: Origin, act: Act) {
        if self.is_alone() {
            return self.tell_done(Some(origin), Err(NotDone::Alone));
        }
        let (owner, place) = self.owner_of(members::system(self.plan.partitions));
        if owner != self.config.id {
            return self.crosses.push_back((owner, Cross::Act(origin, Box::new(act))));
        }
        if self.phase != Phase::Running
            || !self.ask_home(now, place, Asker::Customer(origin), Question::from(&act))
        {
            self.tell_done(Some(origin), Err(NotDone::NoHome));
        }
    }

    /// The home of the system partition decides an act.
    pub(super) fn decide_act(&mut self, now: Now, place: usize, origin: Origin, act: &Act) {
        match self.members_there(place).after(act) {
            Ok(row) => self.decide_member(now, place, Some(origin), &row),
            Err(reason) => self.tell_done(Some(origin), Err(reason)),
        }
    }

    /// The table as its home has it, decided and not yet committed rows among it.
    fn members_there(&self, place: usize) -> Members {
        self.cells[place].state.members.over(&self.plan.founders)
    }

    fn decide_member(&mut self, now: Now, place: usize, origin: Option<Origin>, row: &Member) {
        let at = self.clock.read(now);
        let cell = &mut self.cells[place];
        if cell.state.members.find(row.node) != Some(row) {
            cell.decide(at, &row.record());
        }
        cell.after_decided(Output::Done { origin, node: row.node });
    }

    pub(super) fn tell_done(&mut self, origin: Option<Origin>, outcome: Result<NodeId, NotDone>) {
        if let Some(origin) = origin {
            self.reply(origin, Reply::Done { origin, outcome });
        }
    }

    /// A tick has passed: a partition follows the table of members a step further.
    pub(super) fn tend_members(&mut self, now: Now, place: usize) {
        if self.is_alone() {
            return;
        }
        let own = self.plan.node;
        let cell = &mut self.cells[place];
        let partition = cell.state.partition.0;
        let Some(group) = &mut cell.group else { return };
        let rank = members::rank(&self.members, &group.members().voters, own, partition);
        group.set_rank(rank * ELECTION_TICKS_APART);
        if !cell.decides {
            return;
        }
        if self.phase == Phase::Running {
            self.cells[place].wants_change = self.next_change(place);
            self.tend_handing(now, place);
            if self.system_place() == Some(place) && self.cells[place].decides {
                self.see_directories(now, place);
            }
        }
    }

    /// One step from the members of a partition's group to those of the table: who was removed leaves, who is new learns, who has learnt all votes.
    fn next_change(&self, place: usize) -> Option<Change> {
        let (group, table) = (self.cells[place].group(), &self.members);
        let members = group.members();
        let mut there = members.voters.iter().chain(&members.learners).copied();
        let leaves = there.find(|&node| node != self.plan.node && table.is_removed(node));
        let learns = || table.present().map(|member| member.node).find(|&node| !members.contains(node));
        let votes = || members.learners.iter().copied().find(|&node| group.is_level(node));
        let change = leaves.map(Change::Leave).or_else(|| learns().map(Change::Learn));
        change.or_else(|| votes().map(Change::Vote))
    }

    /// The node that is to be home of a partition after this one, if this one is: of those that take homes, else of those that vote.
    pub(super) fn heir_of(&self, place: usize) -> Option<NodeId> {
        let group = self.cells[place].group.as_ref().filter(|group| group.is_home())?;
        let takes = group.heir(|node| self.members.takes_homes(node));
        takes.or_else(|| group.heir(|node| !self.members.is_removed(node)))
    }

    /// The node that is to be home instead of this one, and whether it is to be so whatever it costs.
    fn successor(&self, place: usize) -> Option<(NodeId, bool)> {
        let group = self.cells[place].group();
        if !self.members.takes_homes(self.plan.node) {
            let heir = group.heir(|node| self.members.takes_homes(node))?;
            return group.is_level(heir).then_some((heir, true));
        }
        let preferred =
            members::preferred(&self.members, &group.members().voters, self.cells[place].state.partition.0)?;
        (preferred != self.plan.node && group.is_level(preferred)).then_some((preferred, false))
    }

    /// Hands a partition on to who is to be home of it, when what is under way is over.
    fn tend_handing(&mut self, now: Now, place: usize) {
        let successor = self.successor(place);
        let cell = &mut self.cells[place];
        let Some((heir, must)) = successor else {
            cell.handing.wanted_ticks = 0;
            if cell.handing.under_way.take().is_some() {
                self.go_on(now, place);
            }
            return;
        };
        cell.handing.wanted_ticks += 1;
        let Some((_, ticks)) = cell.handing.under_way else {
            if must || cell.handing.wanted_ticks >= PREFERRED_TICKS {
                cell.handing.under_way = Some((heir, HAND_ON_TICKS));
            }
            return;
        };
        let is_over = !cell.has_pending() && !cell.has_attempts();
        if is_over || (must && ticks == 0 && cell.handing.tries + 1 >= HAND_ON_TRIES) {
            self.let_go(place);
            self.cells[place].hand_on(heir);
            self.counters.homes_handed_on += 1;
        } else if ticks == 0 {
            cell.handing.tries += 1;
            cell.handing.wanted_ticks = 0;
            cell.handing.under_way = None;
            self.go_on(now, place);
        } else {
            cell.handing.under_way = Some((heir, ticks - 1));
        }
    }

    /// The partition stays here after all: what waits is queued again.
    fn go_on(&mut self, now: Now, place: usize) {
        let at = self.clock.read(now);
        let slots: Vec<_> = self.cells[place].state.messages.slots().collect();
        for slot in slots {
            let is_nowhere = self.cells[place].live(slot).queued_in == QueuedIn::Nothing;
            if is_nowhere && self.cells[place].state.messages.at(slot).state == State::Queued {
                self.after_change(at, place, slot);
            }
        }
    }

    /// The home of the system partition writes down which data directories the members have, the first time that it sees them; the rows of the
    /// founders come into the table by that.
    fn see_directories(&mut self, now: Now, place: usize) {
        let own = (self.plan.node, self.config.directory);
        let table = self.members_there(place);
        let unseen = table.present().filter(|member| member.directory == 0);
        let seen = unseen.filter_map(|member| {
            let directory =
                if member.node == own.0 { Some(own.1) } else { self.across.directory_of(member.node) };
            Some(Member { directory: directory.filter(|&directory| directory != 0)?, ..member.clone() })
        });
        for row in seen.collect::<Vec<_>>() {
            self.decide_member(now, place, None, &row);
        }
    }
}
